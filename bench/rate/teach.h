// SPDX-License-Identifier: Apache-2.0
// Shows the switch where the MACs are before anything is measured, and proves that frames arrive.
#pragma once

#include <functional>

#include "base/result.h"
#include "bench/rate/frame.h"
#include "bench/support/netns.h"

namespace heddle::bench {

// Announces `macs` MACs from the sink's and the source's device and probes the way from source to sink until
// `probes()` (what the sink has counted) grows. Fails after ten seconds, naming the devices. Any thread.
Result<> teach(const NetDevice& from, const std::optional<Tunnel>& from_tunnel, const NetDevice& to,
               const std::optional<Tunnel>& to_tunnel, std::uint32_t macs,
               const std::function<std::uint64_t()>& probes);

}  // namespace heddle::bench
