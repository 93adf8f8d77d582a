// SPDX-License-Identifier: Apache-2.0
// Lets the switch learn the MACs before a measurement, and checks that frames arrive.
#pragma once

#include <functional>

#include "base/result.h"
#include "bench/rate/frame.h"
#include "bench/support/netns.h"

namespace heddle::bench {

// Announces `macs` MACs from the sink's and the source's device and sends probes from source to sink until `probes()`
// (the sink's counter) grows. Fails after ten seconds with the devices' names. Any thread.
Result<> teach(const NetDevice& from, const std::optional<Tunnel>& from_tunnel, const NetDevice& to,
               const std::optional<Tunnel>& to_tunnel, std::uint32_t macs,
               const std::function<std::uint64_t()>& probes);

}  // namespace heddle::bench
