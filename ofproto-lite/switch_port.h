// SPDX-License-Identifier: Apache-2.0
// Ports of a switch as plain values. No ownership, no errors; any thread.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "datapath/port.h"
#include "ofproto-lite/of_port_numbers.h"

namespace heddle::ofproto {

// spec.name is the port's name; its Bridge fills in policy.bridge.
struct PortConfig : dp::PortConfig {
  std::optional<OfPort> ofport_request;
  bool operator==(const PortConfig&) const = default;
};

struct SwitchPort {
  std::string bridge;
  PortConfig config;
  dp::PortNo number = dp::PortNo::none;
  OfPort ofport = 0;
};
using PortsByName = std::map<std::string, SwitchPort>;

}  // namespace heddle::ofproto
