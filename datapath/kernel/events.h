// SPDX-License-Identifier: Apache-2.0
// What the programs report through the ring buffer: new stations, and frames that are too big for a tunnel. The latter
// are answered here (ICMP), out of the port's device.
//
// Fairness: a port may have HD_LEARN_PENDING events waiting and bring so many a second (layout.h), so a port that
// floods the ring leaves room for the others.
//
// Threads: handler, but for the counters and adopt().
#pragma once

#include <array>
#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "base/fd.h"
#include "base/limits.h"
#include "base/result.h"
#include "datapath/datapath.h"
#include "datapath/kernel/programs.h"

struct ring_buffer;

namespace heddle::dp {

class Events {
 public:
  // Which device answers leave by, for a port; 0: none.
  using DeviceOf = std::function<int(PortNo)>;

  // Throws away what waits from a former life.
  static Result<std::unique_ptr<Events>> open(const Programs& programs, DeviceOf device_of);
  ~Events();
  Events(const Events&) = delete;
  Events& operator=(const Events&) = delete;

  [[nodiscard]] int fd() const { return epoll_.get(); }
  std::size_t poll(std::span<LearnEvent> out);
  // Entries of a former life, reported before anything else unless `stale` says that they are overtaken.
  void adopt(std::vector<LearnEvent> entries, std::function<bool(const FdbKey&)> stale);
  // Whether poll() reported them just now: they are to be withdrawn unless they are put.
  [[nodiscard]] std::vector<FdbKey> take_adopted() { return std::exchange(reported_, {}); }

  [[nodiscard]] std::uint64_t learn_dropped(PortNo port) const;
  [[nodiscard]] std::uint64_t answered(PortNo port) const { return answered_[index(port)].load(); }
  // A number gets a new port: its counters begin anew.
  void reset(PortNo port);

 private:
  explicit Events(DeviceOf device_of) : device_of_(std::move(device_of)) {}
  static std::size_t index(PortNo port) { return static_cast<std::size_t>(port) % limits::kPorts; }
  static int on_event(void* self, void* data, std::size_t size);
  int take(const void* data, std::size_t size);
  void take_learned(const hd_learn_event& e);
  void answer(const hd_too_big_event& e);
  std::size_t report_adopted(std::span<LearnEvent> out);

  DeviceOf device_of_;
  ring_buffer* ring_ = nullptr;
  hd_learning* learning_ = nullptr;  // shared with the programs
  Fd epoll_, bell_, packets_;
  std::span<LearnEvent> out_;
  std::size_t n_ = 0;
  std::mutex mutex_;                 // adopted_
  std::vector<LearnEvent> adopted_;  // from the back
  std::function<bool(const FdbKey&)> stale_;
  std::vector<FdbKey> reported_;
  std::array<std::atomic<std::uint64_t>, limits::kPorts> answered_{};
};

}  // namespace heddle::dp
