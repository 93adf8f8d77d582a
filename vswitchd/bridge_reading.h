// SPDX-License-Identifier: Apache-2.0
// What one Bridge row asks for, with the mirrors that it has and without its ports. Reading changes nothing and cannot
// fail; what is wrong is part of the answer. Threads: control. The answer owns all it holds.
#pragma once

#include <optional>
#include <set>
#include <string>

#include "ovsdb/database.h"
#include "vswitchd/dependencies.h"
#include "vswitchd/desired.h"
#include "vswitchd/port_config.h"

namespace heddle::vswitchd {

struct BridgeReading {
  BridgeOfPort place;                    // what its ports use of it
  std::optional<DesiredBridge> desired;  // nothing: it cannot be had, for the reason in place.error
  std::string without_effect;            // its columns of that sort
  std::string row_warning;               // what is wrong with it, in sentences
  std::set<std::string> warnings;
  ovsdb::RowRef row;  // as it was read: which ports have come or gone is told by comparing
};

BridgeReading read_bridge(Lookup& lookup, const ovsdb::RowRef& row, const DatapathOffer& offer);

}  // namespace heddle::vswitchd
