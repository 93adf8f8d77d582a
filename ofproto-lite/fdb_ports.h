// SPDX-License-Identifier: Apache-2.0
// The ports on which stations may be, with a list of the entries on each. Finds the port of a bridge
// with most learned entries without a search.
//
// Owner: the Fdb, which owns the entries too. Handler thread. Errors name the port.
#pragma once

#include <cstddef>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "datapath/port.h"
#include "ofproto-lite/fdb_entry.h"

namespace heddle::ofproto {

class FdbPorts {
 public:
  using List = FdbList<&FdbEntry::of_port>;
  struct Port {
    dp::BridgeId bridge = dp::BridgeId::none;
    std::string name;
    bool tunnel = false;
    List learned;  // oldest first
    List lasting;  // entries of other origins
    std::size_t learned_count = 0;
  };

  // Again with the same bridge: renames the port. `tunnel`: other hosts' stations are behind it.
  Result<> add(dp::PortNo number, dp::BridgeId bridge, std::string name, bool tunnel);
  // Its entries must have been detached.
  void remove(dp::PortNo number);
  // Null when there is no such port.
  [[nodiscard]] Port* find(dp::PortNo number);
  [[nodiscard]] const Port* find(dp::PortNo number) const;
  [[nodiscard]] std::string name(dp::PortNo number) const;
  [[nodiscard]] std::vector<dp::PortNo> all() const;
  [[nodiscard]] std::vector<dp::PortNo> of(dp::BridgeId bridge) const;
  // The port of the bridge with most learned entries; null when no port has any.
  [[nodiscard]] Port* fullest(dp::BridgeId bridge);

  // Puts the entry into the list of its target's port, which must be known, as the youngest; takes it out.
  void attach(FdbEntry& entry);
  void detach(FdbEntry& entry);
  void make_youngest(FdbEntry& entry);

 private:
  void recount(dp::PortNo number, Port& port, int change);

  std::map<dp::PortNo, Port> ports_;
  std::map<dp::BridgeId, std::set<std::pair<std::size_t, dp::PortNo>>> by_count_;  // (learned entries, port)
};

}  // namespace heddle::ofproto
