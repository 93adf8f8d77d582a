// SPDX-License-Identifier: Apache-2.0
// The closed loop: generator on one device, sink on another, frames counted at both ends. One loop at a time in a
// process; run() blocks the caller and uses threads of its own. Needs CAP_BPF, CAP_NET_ADMIN and CAP_SYS_ADMIN.
#pragma once

#include <cstdint>
#include <optional>

#include "base/result.h"
#include "bench/rate/frame.h"
#include "bench/support/netns.h"

namespace heddle::bench {

struct LoopOptions {
  NetDevice from;
  NetDevice to;
  std::optional<Tunnel> from_tunnel;  // frames leave with this outer header
  std::optional<Tunnel> to_tunnel;    // frames arrive with an outer header; this one goes the other way
  std::size_t size = 64;              // bytes of the inner frame, without FCS
  std::uint32_t flows = 1;
  std::uint32_t macs = 1;
  bool strangers = false;  // sources are new to the switch, and all frames go to one MAC that it knows
  std::uint32_t window = 512;
  double seconds = 2;
  double warm_up = 0.5;
  int cpu = -1;          // of the generator
  bool tc_sink = false;  // the far guest takes skbs at tc ingress, instead of frames at XDP
};

struct LoopReport {
  double began = 0;  // first frame: seconds of Clock (CLOCK_MONOTONIC)
  double seconds = 0;
  double mpps = 0;         // arrivals in the measured time
  std::uint64_t sent = 0;  // of the whole run, warm-up included
  std::uint64_t received = 0;
  std::int64_t lost = 0;     // negative: duplicates
  std::uint64_t stalls = 0;  // times the loop had to give frames up for lost to go on
  std::uint64_t reordered = 0;
};

// Ends before its time when SIGINT or SIGTERM comes; both are blocked in the calling thread from then on.
// Fails when the devices do not exist, hold an XDP program already, or no frame gets through.
Result<LoopReport> run_loop(const LoopOptions& options);

}  // namespace heddle::bench
