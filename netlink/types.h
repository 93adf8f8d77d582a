// SPDX-License-Identifier: Apache-2.0
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
  int link = 0;            // IFLA_LINK: ifindex of the lower device, of a veth its peer; 0 = none
  // IFLA_LINK_NETNSID: set when `link` is an index in another namespace, which is known in this one by that id (see
  // Netlink::peer_mac). The kernel gives a namespace an id when it first reports it; -1: it could not.
  std::optional<int> link_netns;
  unsigned promiscuity = 0;  // IFLA_PROMISCUITY: how many want all frames (tcpdump, a bridge, `ip link set promisc on`)
  std::string alias;         // IFLA_IFALIAS: a remark, at most 255 bytes; empty = none
  std::string qdisc;         // IFLA_QDISC: kind of the root queueing discipline; "noqueue" = frames do not wait
  bool operator==(const Link&) const = default;
};

// What a device has counted since it was made (IFLA_STATS64).
struct LinkStatistics {
  std::uint64_t rx_packets = 0;
  std::uint64_t rx_bytes = 0;
  std::uint64_t tx_packets = 0;
  std::uint64_t tx_bytes = 0;
  std::uint64_t rx_frame_errors = 0;
  std::uint64_t tx_lost = 0;  // dropped, with an error, or for want of a carrier
};

// A veth pair to make. An alias marks devices as ours, for a later run of the program to find.
struct VethSpec {
  std::string name{};
  std::string peer{};
  std::optional<MacAddr> mac{};   // of `name`; none: the kernel draws one. The peer's is always drawn
  std::optional<unsigned> mtu{};  // of both ends; none: 1500
  std::string alias{};            // of both ends
};

// A vxlan device in collect-metadata ("external") mode to make: one for all networks and remotes, the tunnel's fields
// go with each packet (bpf_skb_set_tunnel_key). No learning; UDP checksum 0 is accepted over IPv6 (RFC 6935).
struct VxlanDeviceSpec {
  std::string name{};
  std::uint16_t udp_port = 0;  // the standard one is 4789 (RFC 7348); 0 is refused: the kernel would take 8472
  // UDP source ports, drawn by the inner flow's hash. Low must be less than high: a range of one port the kernel would
  // pass over in silence for net.ipv4.ip_local_port_range (udp_flow_src_port() in net/udp.h).
  std::uint16_t source_low = 49152;
  std::uint16_t source_high = 65535;
  std::string alias{};
  unsigned mtu = 65485;  // 65535 less the 50 bytes of outer headers over IPv4
};

// The queueing discipline at a device's root. Major 0: the kernel's own choice, nobody asked for it.
struct Qdisc {
  std::uint16_t major = 0;
  std::string kind;
  bool operator==(const Qdisc&) const = default;
};

// A class of a hierarchical token bucket (HTB, tc-htb(8)), called by its minor number. Rates in bytes a second, sizes
// in bytes.
struct HtbClass {
  std::uint16_t minor = 0;
  std::uint16_t parent = 0;    // 0, or a class that is not there: the discipline itself
  std::uint64_t rate = 0;      // what it may always send; the kernel takes no 0
  std::uint64_t ceil = 0;      // what it may send when classes beside it leave something
  std::uint64_t burst = 0;     // sent at once at most within `rate`, and
  std::uint64_t cburst = 0;    // within `ceil`
  std::uint32_t quantum = 0;   // sent in a turn when several share what is left; 0: the kernel derives it from the rate
  std::uint32_t priority = 0;  // 0 to 7; lower ones get first what is left
};

// What a class has counted since it was made.
struct ClassStatistics {
  std::uint64_t tx_packets = 0;  // segments of GSO packets each
  std::uint64_t tx_bytes = 0;
  std::uint64_t dropped = 0;  // found the class's queue full; a GSO packet is one
  bool operator==(const ClassStatistics&) const = default;
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
