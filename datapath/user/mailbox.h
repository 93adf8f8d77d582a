// SPDX-License-Identifier: Apache-2.0
// Frames handed from the worker that decided about them to the worker that serves the queue they leave by: a bounded
// queue for each ordered pair of workers, and a wakeup for each worker.
//
// Threads: put() on worker `from`, take() on worker `to`, wakeup() on any. A frame in a queue belongs to neither
// worker; it is the taker's after take(). put() fails when the queue is full, and the frame stays the caller's.
#pragma once

#include <memory>
#include <vector>

#include "datapath/user/frames.h"
#include "datapath/user/signal.h"
#include "datapath/user/spsc.h"

namespace heddle::dp {

struct Handover {
  std::uint32_t io = 0;          // slot of the device that the frame leaves by
  FrameRef frame = kNoFrame;     //
  std::uint64_t generation = 0;  // of the slot, so that a frame never leaves by a device that took the slot over
};

class Mailboxes {
 public:
  explicit Mailboxes(unsigned workers) : workers_(workers), boxes_(std::size_t{workers} * workers), wakeups_(workers) {
    for (unsigned i = 0; i < boxes_.size(); ++i) {
      if (i / workers != i % workers) boxes_[i] = std::make_unique<Box>();
    }
    for (auto& w : wakeups_) w = std::make_unique<Signal>();
  }
  // False when the queue is full.
  bool put(unsigned from, unsigned to, const Handover& item) {
    if (!boxes_[std::size_t{from} * workers_ + to]->push(item)) return false;
    wakeups_[to]->raise();
    return true;
  }
  // False when the queue is empty. The taker clears its wakeup first, so that no hand-over is missed.
  bool take(unsigned from, unsigned to, Handover& item) {
    return from != to && boxes_[std::size_t{from} * workers_ + to]->pop(item);
  }
  [[nodiscard]] Signal& wakeup(unsigned worker) { return *wakeups_[worker]; }
  [[nodiscard]] unsigned workers() const { return workers_; }

 private:
  using Box = Spsc<Handover, limits::kMailbox>;
  unsigned workers_;
  std::vector<std::unique_ptr<Box>> boxes_;
  std::vector<std::unique_ptr<Signal>> wakeups_;
};

}  // namespace heddle::dp
