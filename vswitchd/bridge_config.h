// SPDX-License-Identifier: Apache-2.0
// A Bridge row, and the Mirror rows it names, turned into what the switch takes. Threads: control; nothing is kept.
// Cannot fail: what is wrong goes to `warnings`, and is as if it were not set.
#pragma once

#include <set>
#include <string>

#include "ofproto-lite/switch.h"
#include "ovsdb/database.h"
#include "vswitchd/dependencies.h"

namespace heddle::vswitchd {

ofproto::BridgeConfig read_bridge_config(Lookup& lookup, const ovsdb::Row& bridge, std::set<std::string>& warnings);

// The datapath ID asked for in other_config:datapath-id, as 16 hex digits; empty when there is none.
std::string asked_datapath_id(const ovsdb::Row& bridge, std::set<std::string>& warnings);

// The column's VLANs.
dp::VlanSet vlan_set(const ovsdb::Datum& vlans);

}  // namespace heddle::vswitchd
