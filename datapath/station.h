// SPDX-License-Identifier: Apache-2.0
// Entries of the forwarding database as plain values. No ownership, no errors; any thread.
#pragma once

#include <cstdint>
#include <optional>

#include "base/addr.h"
#include "datapath/port.h"

namespace heddle::dp {

struct FdbKey {
  BridgeId bridge = BridgeId::none;
  VlanId vlan = 0;
  MacAddr mac;
  auto operator<=>(const FdbKey&) const = default;
};

// Where frames for a MAC go. `remote` is set exactly for a multipoint tunnel port.
struct FdbTarget {
  PortNo port = PortNo::none;
  std::optional<IpAddr> remote;
  bool operator==(const FdbTarget&) const = default;
};

// A source MAC that the FDB does not have, or has elsewhere. Reported at a bounded rate and fairly per port; the frame
// that caused the event has been forwarded all the same. The same source may be reported again until Stations::put()
// is called for it.
struct LearnEvent {
  FdbKey key;
  FdbTarget target;
};

struct FdbUse {
  FdbKey key;
  std::uint32_t idle_seconds = 0;  // since a frame with this source was last seen on the entry's port
};

}  // namespace heddle::dp
