// SPDX-License-Identifier: Apache-2.0
// One round of a worker: the configuration that holds until the round ends, and the time at which it began.
//
// Owned by the worker's Forwarder, which sets it in begin(); the parts of the Forwarder keep a reference and only read.
// One thread: the worker's, under the RCU guard that keeps the configuration alive.
#pragma once

#include <cstdint>

#include "datapath/user/config.h"

namespace heddle::dp {

struct Round {
  unsigned worker = 0;
  const Config* config = nullptr;
  std::uint64_t nanoseconds = 0;  // on the clock that all workers share
  std::uint32_t seconds = 0;      // the same, in full seconds: the time of the FDB

  // The share of this worker in the counters of a port or an underlay.
  [[nodiscard]] WorkerCounters& counters(PortShared& of) const { return of.worker[worker].counters; }
};

}  // namespace heddle::dp
