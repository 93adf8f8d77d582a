// SPDX-License-Identifier: Apache-2.0
// What the command clients-show prints: who is connected by which door, and whom each door has refused or cut off.
// Pure.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "ovsdb/rpc_server.h"

namespace heddle::vswitchd {

// A socket or remote by which clients come.
struct Door {
  std::string name;
  std::size_t clients = 0;  // at this moment
  ovsdb::RpcCounters counters;
};

struct Clients {
  std::vector<Door> doors;
  std::size_t held = 0;  // bytes: answers that nobody has read yet, and messages of which a part has come
};

std::string show_clients(const Clients& clients);

}  // namespace heddle::vswitchd
