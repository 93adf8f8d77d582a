// SPDX-License-Identifier: Apache-2.0
#include "vswitchd/clients.h"

#include <fmt/format.h>

#include "base/limits.h"
#include "vswitchd/grid.h"

namespace heddle::vswitchd {

std::string show_clients(const Clients& clients) {
  Grid grid({"where", "clients", "accepted", "refused", "malformed", "slow", "greedy", "silent", "untrusted"},
            "lrrrrrrrr");
  for (const Door& door : clients.doors) {
    const ovsdb::RpcCounters& c = door.counters;
    std::vector<std::string> row{door.name};
    for (const std::uint64_t n :
         {std::uint64_t{door.clients}, c.sessions, c.refused, c.malformed, c.slow, c.greedy, c.silent, c.untrusted})
      row.push_back(std::to_string(n));
    grid.add(std::move(row));
  }
  return grid.text() +
         fmt::format("waiting to be read, or read in part: {} bytes (limit {})\n", clients.held, limits::kClientMemory);
}

}  // namespace heddle::vswitchd
