// SPDX-License-Identifier: Apache-2.0
// A wakeup for a thread that sleeps on a descriptor. Many raise() calls before the thread looks cost one system call.
//
// Threads: raise() on any, clear() on the sleeping one. Without descriptors left fd() is -1, and raise() wakes nobody.
#pragma once

#include <sys/eventfd.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>

#include "base/fd.h"

namespace heddle::dp {

class Signal {
 public:
  Signal() : fd_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {}
  [[nodiscard]] int fd() const { return fd_.get(); }
  // Memory written before the call is seen by the thread after clear().
  void raise() {
    if (raised_.exchange(true, std::memory_order_acq_rel)) return;
    const std::uint64_t one = 1;
    // Fails only when the counter is at its maximum, and then the descriptor is readable anyway.
    [[maybe_unused]] const ssize_t n = write(fd_.get(), &one, sizeof one);
  }
  // Before the thread looks for work. False when nobody has called raise() since the last clear().
  bool clear() {
    std::uint64_t n = 0;
    [[maybe_unused]] const ssize_t got = read(fd_.get(), &n, sizeof n);
    return raised_.exchange(false, std::memory_order_acq_rel);
  }

 private:
  Fd fd_;
  std::atomic<bool> raised_{false};
};

}  // namespace heddle::dp
