// SPDX-License-Identifier: Apache-2.0
// What a commit has changed of that which the switches may depend on. Pure; threads: control.
#pragma once

#include "ovsdb/database.h"
#include "vswitchd/dependencies.h"

namespace heddle::vswitchd {

// Adds the facts that the commit has changed: rows, and the tables that they are in. Returns whether the switches are
// concerned at all: external_ids, which are other programs' notes, and what only tells the switch's state are not. A
// new next_cfg concerns them, because it wants an answer, but changes no fact.
bool add_touched(const ovsdb::Change& change, Facts& touched);

}  // namespace heddle::vswitchd
