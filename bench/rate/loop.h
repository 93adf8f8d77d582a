// SPDX-License-Identifier: Apache-2.0
// The closed loop: a generator on one device and a sink on another, with frames counted at both ends. One loop at a
// time per process; run() blocks the caller and uses its own threads. Needs CAP_BPF, CAP_NET_ADMIN and CAP_SYS_ADMIN.
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
  std::optional<Tunnel> to_tunnel;    // frames arrive with an outer header; this is the opposite direction's
  std::size_t size = 64;              // bytes of the inner frame, without FCS
  std::uint32_t flows = 1;
  std::uint32_t macs = 1;
  bool strangers = false;  // sources are unknown to the switch, and all frames go to one known MAC
  std::uint32_t window = 512;
  double seconds = 2;
  double warm_up = 0.5;
  int cpu = -1;          // of the generator
  bool tc_sink = false;  // the far guest counts skbs at tc ingress instead of frames at XDP
};

struct LoopReport {
  double began = 0;  // first frame: seconds of Clock (CLOCK_MONOTONIC)
  double seconds = 0;
  double mpps = 0;         // arrivals in the measured time
  std::uint64_t sent = 0;  // of the whole run, with the warm-up
  std::uint64_t received = 0;
  std::int64_t lost = 0;     // negative: duplicates
  std::uint64_t stalls = 0;  // times that the loop counted frames as lost to go on
  std::uint64_t reordered = 0;
};

// Ends early on SIGINT or SIGTERM; both stay blocked in the calling thread. Fails when a device does not exist or has
// an XDP program already, or when no frame arrives.
Result<LoopReport> run_loop(const LoopOptions& options);

}  // namespace heddle::bench
