// SPDX-License-Identifier: Apache-2.0
// What commits have changed of that which the switches may depend on, since somebody last took note of it.
//
// Owner: the Reconciler. Threads: control. As large as the number of ports, at most.
#pragma once

#include <functional>
#include <optional>

#include "ovsdb/database.h"
#include "vswitchd/desired.h"

namespace heddle::vswitchd {

struct Touched {
  bool all = true;     // more than ports, or nothing is known: everything must be read
  TouchedPorts ports;  // when not `all`
};

// Adds what the commit did. `port_of` tells the Port row of an Interface row that has been read. Returns whether the
// switches are concerned at all: external_ids, which are other programs' notes, and what only tells the switch's state
// are not.
bool add_commit(const ovsdb::Change& change,
                const std::function<std::optional<ovsdb::Uuid>(const ovsdb::Uuid&)>& port_of, Touched& touched);

}  // namespace heddle::vswitchd
