// SPDX-License-Identifier: Apache-2.0
// What one Port row and its interfaces ask for, taken by themselves: which of several claims holds is decided
// afterwards (claims.h). Reading changes nothing and cannot fail; what is wrong is part of the answer.
// Threads: control. The answer owns all it holds.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "ovsdb/database.h"
#include "vswitchd/dependencies.h"
#include "vswitchd/desired.h"
#include "vswitchd/port_config.h"

namespace heddle::vswitchd {

// What one Port row asks of one interface.
struct Claim {
  std::string name;
  ovsdb::Uuid row;  // of the Interface
  std::string bridge;
  DesiredPortRef port;  // null: it cannot be had, for this reason:
  std::string error;
  std::string without_effect;  // the Interface's columns of that sort
};

struct PortReading {
  std::string name;  // of the Port
  std::vector<Claim> claims;
  std::string without_effect;  // the Port's columns of that sort
  std::string row_warning;     // what is wrong with the Port, in sentences
  std::set<std::string> warnings;
};

PortReading read_port(Lookup& lookup, const BridgeOfPort& bridge, const ovsdb::Row& port);

// Warnings as one text for the row that they are about, whose name in front ("bridge br0: ") they do not need there.
std::string row_warning(const std::set<std::string>& warnings, const std::string& name);

// The names, parted by blanks, of columns that `what` holds in vain, which also goes to the log.
std::string list_without_effect(const std::string& what, const std::vector<std::string>& columns,
                                std::set<std::string>& warnings);

}  // namespace heddle::vswitchd
