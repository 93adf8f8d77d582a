// What the kernel tells about its network, as plain values: no libnl types leave this directory.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/addr.h"

namespace heddle::netlink {

// A network device. `kind` is the kernel's IFLA_INFO_KIND (veth, tun, bridge, vxlan, ...), empty for hardware and lo.
struct Link {
  int index = 0;  // 0 in a default-made Link: no device
  std::string name;
  MacAddr mac;
  unsigned mtu = 0;
  bool admin_up = false;  // IFF_UP
  bool lower_up = false;  // IFF_LOWER_UP: carrier
  int master = 0;         // ifindex of the bridge or bond that holds it; 0 = none
  std::string kind;
  unsigned rx_queues = 1;  // IFLA_NUM_RX_QUEUES: allocated; ethtool.h tells how many are in use
  bool operator==(const Link&) const = default;
};

// An address of a device. A tentative IPv6 address is still in duplicate address detection (RFC 4862 5.4) and must not
// be used as a source.
struct Address {
  int ifindex = 0;
  IpAddr addr;
  unsigned prefix = 0;
  bool tentative = false;
  bool operator==(const Address&) const = default;
};

// The kernel's answer to "where would a packet to this address go?".
struct Route {
  int ifindex = 0;
  std::optional<IpAddr> gateway;  // none: the destination is on the link; may be of the other family (RFC 8950)
  IpAddr source;                  // preferred source address; 0.0.0.0 or :: when the kernel names none
  unsigned mtu = 0;               // the route's MTU metric (path MTU discovery included) or the device's MTU
  bool local = false;             // the destination is this host itself
  bool unreachable = false;       // unreachable, blackhole, prohibit, or no route at all
  bool operator==(const Route&) const = default;
};

// An entry of the neighbour table (ARP, IPv6 ND). States as in linux/neighbour.h. `mac` may be used in every state that
// has one but failed.
struct Neighbour {
  int ifindex = 0;
  IpAddr addr;
  std::optional<MacAddr> mac;
  enum class State { none, incomplete, reachable, stale, delay, probe, failed, permanent, noarp };
  State state = State::none;
  bool operator==(const Neighbour&) const = default;
};

}  // namespace heddle::netlink
