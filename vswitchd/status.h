// SPDX-License-Identifier: Apache-2.0
// The status columns: what the switch knows, as database values. Pure; any thread.
#pragma once

#include <optional>
#include <set>
#include <string>

#include "datapath/datapath.h"
#include "ofproto-lite/switch.h"
#include "ovsdb/database.h"
#include "vswitchd/desired.h"

namespace heddle::vswitchd {

// Columns of an Interface that is in the switch; its error is `error` or, when there is none, why its device is not
// there. A tunnel without a route is no error (routes come and go): its link is down and `status` says why.
ovsdb::RowUpdate interface_status(const ovsdb::Uuid& row, const ofproto::SwitchPort& port, const dp::PortState& state,
                                  const std::string& error);
// Columns of an Interface that is not in the switch.
ovsdb::RowUpdate absent_interface(const ovsdb::Uuid& row, const std::string& error);
// The `statistics` column.
ovsdb::Datum interface_statistics(const dp::PortCounters& counters);

// Statistics of a mirror; nothing for one that is not in force.
ovsdb::RowUpdate mirror_status(const ovsdb::Uuid& row, const std::optional<dp::MirrorCounters>& counters);

// Columns of the Open_vSwitch row about the program and the system it runs on. `offer`: for datapath_types and
// iface_types.
ovsdb::RowUpdate program_status(const ovsdb::Row& root, const std::string& db_version, const DatapathOffer& offer);

}  // namespace heddle::vswitchd
