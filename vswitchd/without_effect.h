// SPDX-License-Identifier: Apache-2.0
// The columns that the schema has for its clients' sake and that this switch does not act on: the one list of them. A
// column leaves the list when the feature behind it comes. What is named here is said in the log, in the record's
// `status` (Open_vSwitch: `statistics`) under the key `no_effect`, and by vsctl to whoever sets it.
//
// Pure functions; any thread. Columns that the switch itself writes, names and external_ids are never part of it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "ovsdb/database.h"

namespace heddle::vswitchd {

inline constexpr std::string_view kWithoutEffectKey = "no_effect";
// Beside it: what is wrong with values of a Bridge or Port, in sentences (Desired::row_warnings).
inline constexpr std::string_view kWarningKey = "warning";

// The row's columns, and keys of other_config as "other_config:KEY", that are set (differ from their default) and have
// no effect; in a fixed order, and bounded. Of tables without an entry: nothing.
std::vector<std::string> columns_without_effect(const ovsdb::Row& row);

// The same of an Interface, with its options that nobody reads as "options:KEY". `own_device`: the switch makes the
// device, so that its address and MTU are the switch's.
std::vector<std::string> interface_without_effect(const ovsdb::Row& row, bool own_device);

}  // namespace heddle::vswitchd
