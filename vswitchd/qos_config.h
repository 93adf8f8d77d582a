// SPDX-License-Identifier: Apache-2.0
// A QoS row and its Queue rows turned into what the switch takes. Rates are bit/s and sizes bits there, as
// ovs-vswitchd.conf.db(5) has them.
//
// Threads: control; nothing is kept. Cannot fail: what is wrong goes to `warnings` and is as if it were not set.
#pragma once

#include <optional>
#include <set>
#include <string>

#include "datapath/datapath.h"
#include "ovsdb/database.h"
#include "vswitchd/dependencies.h"

namespace heddle::vswitchd {

struct DesiredQos {
  std::optional<dp::QosSpec> spec;
  bool acted_on = true;  // false: a type that has no effect here
};

// `max_rate` of the answer is 0 where the row names none: the link's rate (see default_rate()).
DesiredQos read_qos(Lookup& lookup, const ovsdb::Row& port, std::set<std::string>& warnings);

// What a QoS without max-rate gets: the link's rate, and 10 Gbit/s for a link that has none.
std::uint64_t default_rate(const dp::PortState& state);

}  // namespace heddle::vswitchd
