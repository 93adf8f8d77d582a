// SPDX-License-Identifier: Apache-2.0
// Frames handed from the worker that decided about them to the one that owns the queue they leave by: a bounded queue
// for each ordered pair of workers.
#pragma once

#include <memory>
#include <vector>

#include "datapath/user/frames.h"
#include "datapath/user/signal.h"
#include "datapath/user/spsc.h"

namespace heddle::dp {

struct Handover {
  std::uint32_t io = 0;          // slot of the way out
  FrameRef frame = kNoFrame;     //
  std::uint64_t generation = 0;  // of the slot, so that a frame never leaves by a port that took the slot over
};

class Mailboxes {
 public:
  explicit Mailboxes(unsigned workers) : workers_(workers), boxes_(std::size_t{workers} * workers), bells_(workers) {
    for (unsigned i = 0; i < boxes_.size(); ++i) {
      if (i / workers != i % workers) boxes_[i] = std::make_unique<Box>();
    }
    for (auto& b : bells_) b = std::make_unique<Signal>();
  }
  // Worker `from`. False when the queue is full.
  bool put(unsigned from, unsigned to, const Handover& item) {
    if (!boxes_[std::size_t{from} * workers_ + to]->push(item)) return false;
    bells_[to]->raise();
    return true;
  }
  // Worker `to`. clear() of the bell comes first.
  bool take(unsigned from, unsigned to, Handover& item) {
    return from != to && boxes_[std::size_t{from} * workers_ + to]->pop(item);
  }
  [[nodiscard]] Signal& bell(unsigned worker) { return *bells_[worker]; }
  [[nodiscard]] unsigned workers() const { return workers_; }

 private:
  using Box = Spsc<Handover, limits::kMailbox>;
  unsigned workers_;
  std::vector<std::unique_ptr<Box>> boxes_;
  std::vector<std::unique_ptr<Signal>> bells_;
};

}  // namespace heddle::dp
