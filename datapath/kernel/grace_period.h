// SPDX-License-Identifier: Apache-2.0
// Waits until no TC program runs that was running before: what such a program may have read can be used again then.
//
// Owner: the kernel datapath. wait() may be called on any thread; it takes an RCU grace period of the kernel,
// milliseconds as a rule.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "base/fd.h"
#include "base/result.h"

namespace heddle::dp {

class GracePeriod {
 public:
  static Result<std::unique_ptr<GracePeriod>> make();
  void wait() const;
  // How often wait() was called.
  [[nodiscard]] std::uint64_t waits() const { return waits_.load(std::memory_order_relaxed); }

 private:
  GracePeriod(Fd inner, Fd outer);

  Fd inner_, outer_;
  mutable std::atomic<std::uint64_t> waits_ = 0;
};

}  // namespace heddle::dp
