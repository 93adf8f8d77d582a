// SPDX-License-Identifier: Apache-2.0
// Bridge-wide policy as plain values. No ownership, no errors; any thread.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "datapath/port.h"

namespace heddle::dp {

// Copies of a bridge's frames for an observer. A frame is selected once, by its ingress port or by one of its egress
// ports, as it was admitted and in the VLAN it was put in, and copied before the egress rules are applied; frames that
// are dropped later are copied too. The copy goes to one port, or to every port that carries one VLAN (RSPAN), the
// ingress port among them.
struct MirrorSpec {
  bool all = false;                   // every frame
  std::vector<PortNo> from;           // frames that came by these, and
  std::vector<PortNo> to;             // frames that leave by these
  VlanSet vlans;                      // only frames in these; none set = all
  PortNo output = PortNo::none;       // reserved: it carries copies and nothing else, and drops its ingress
  std::optional<VlanId> output_vlan;  // instead of `output`; frames in that very VLAN are not copied
  bool operator==(const MirrorSpec&) const = default;
};

struct BridgePolicy {
  bool secure = false;                     // nothing is forwarded (Drop::fail_secure): fail_mode without a controller
  VlanSet flood_vlans;                     // nothing is learned in these, and everything flooded
  std::map<unsigned, MirrorSpec> mirrors;  // by slot, 0 to limits::kMirrors - 1
  // False: a frame to an unknown station does not leave by tunnels, but for the VLANs above. For bridges whose stations
  // behind tunnels are all known.
  bool flood_unknown = true;
  bool operator==(const BridgePolicy&) const = default;
};

struct MirrorCounters {
  std::uint64_t tx_packets = 0;  // copies made
  std::uint64_t tx_bytes = 0;
};

}  // namespace heddle::dp
