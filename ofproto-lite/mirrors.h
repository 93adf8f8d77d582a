// SPDX-License-Identifier: Apache-2.0
// The mirrors of one bridge: their slots in the datapath, and their ports by number. A mirror keeps its slot, and with
// it its counters, while the bridge has it.
//
// Owner: the Bridge. Control thread. No errors: a mirror beyond limits::kMirrors gets no slot and copies nothing.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "datapath/bridge.h"
#include "ofproto-lite/switch_port.h"

namespace heddle::ofproto {

// A mirror (dp::MirrorSpec) with its ports by name. Ports that are not in the bridge (yet) are passed over.
struct MirrorConfig {
  std::string name;  // unique in the bridge
  bool all = false;
  std::set<std::string> from{}, to{};
  dp::VlanSet vlans{};
  std::string output{};  // empty: output_vlan
  std::optional<dp::VlanId> output_vlan{};
  bool operator==(const MirrorConfig&) const = default;
};

class Mirrors {
 public:
  // The mirrors by slot, with the numbers of those ports that are there. A mirror whose output port is not there is
  // left out: its copies would have nowhere to go.
  std::map<unsigned, dp::MirrorSpec> resolve(const std::vector<MirrorConfig>& mirrors, const PortsByName& ports);
  // As of the last resolve().
  [[nodiscard]] std::optional<unsigned> slot(const std::string& mirror) const;

 private:
  void assign_slots(const std::vector<MirrorConfig>& mirrors);

  std::map<std::string, unsigned> slots_;  // by mirror
};

}  // namespace heddle::ofproto
