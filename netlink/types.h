// SPDX-License-Identifier: Apache-2.0
// Network objects of the kernel as plain values, for Netlink and Monitor; no libnl types leave this directory. Values
// own their strings and may be copied to any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/addr.h"

namespace heddle::netlink {

// A network device. `kind` is the kernel's IFLA_INFO_KIND (veth, tun, bridge, vxlan, ...), empty for hardware and lo.
struct Link {
  int index = 0;  // 0: no device
  std::string name;
  MacAddr mac;
  unsigned mtu = 0;
  bool admin_up = false;  // IFF_UP
  bool lower_up = false;  // IFF_LOWER_UP: carrier
  int master = 0;         // ifindex of the bridge or bond to which the device belongs; 0 = none
  std::string kind;
  unsigned rx_queues = 1;  // IFLA_NUM_RX_QUEUES: allocated; EthtoolInfo::rx_queues is the number in use
  int link = 0;            // IFLA_LINK: ifindex of the lower device, for a veth of its peer; 0 = none
  // IFLA_LINK_NETNSID: set when `link` is an index in another namespace; the value is the id of that namespace here
  // (see Netlink::peer). The kernel assigns the id with its first report; -1: it could not.
  std::optional<int> link_netns;
  unsigned promiscuity = 0;  // IFLA_PROMISCUITY: number of users of promiscuous mode (tcpdump, a bridge, `ip link`)
  std::string alias;         // IFLA_IFALIAS: a remark, at most 255 bytes; empty = none
  std::string qdisc;         // IFLA_QDISC: kind of the root queueing discipline; "noqueue" = frames do not wait
  bool operator==(const Link&) const = default;
};

// A device's counters since its creation (IFLA_STATS64).
struct LinkStatistics {
  std::uint64_t rx_packets = 0;
  std::uint64_t rx_bytes = 0;
  std::uint64_t tx_packets = 0;
  std::uint64_t tx_bytes = 0;
  std::uint64_t rx_frame_errors = 0;
  std::uint64_t tx_lost = 0;  // tx_dropped + tx_errors
  std::uint64_t collisions = 0;
  std::uint64_t rx_crc_errors = 0;
  std::uint64_t rx_over_errors = 0;
  std::uint64_t rx_missed = 0;
};

// A veth pair to add. A later run of the program finds its devices by the alias.
struct VethSpec {
  std::string name{};
  std::string peer{};
  std::optional<MacAddr> mac{};   // of `name`; none: random. The peer's is always random
  std::optional<unsigned> mtu{};  // of both ends; none: 1500
  std::string alias{};            // of both ends
};

// A vxlan device to add, in collect-metadata ("external") mode: one device for all networks and remotes, with the
// tunnel fields in each packet's metadata (bpf_skb_set_tunnel_key). No learning; UDP checksum 0 is accepted over IPv6
// (RFC 6935).
struct VxlanDeviceSpec {
  std::string name{};
  std::uint16_t udp_port = 0;  // standard: 4789 (RFC 7348). 0 is refused: the kernel would take 8472
  // UDP source ports, selected by the inner flow's hash. Low must be less than high: instead of a range of one port the
  // kernel would silently use net.ipv4.ip_local_port_range (udp_flow_src_port() in net/udp.h).
  std::uint16_t source_low = 49152;
  std::uint16_t source_high = 65535;
  std::string alias{};
  unsigned mtu = 65485;  // 65535 less the 50 bytes of outer headers over IPv4
};

// The queueing discipline at a device's root. Major 0: the kernel's default, not configured by anyone.
struct Qdisc {
  std::uint16_t major = 0;
  std::string kind;
  bool operator==(const Qdisc&) const = default;
};

// A class of a hierarchical token bucket (HTB, tc-htb(8)), identified by its minor number. Rates in bytes per second,
// sizes in bytes.
struct HtbClass {
  std::uint16_t minor = 0;
  std::uint16_t parent = 0;    // 0 or a missing class: the qdisc itself
  std::uint64_t rate = 0;      // guaranteed rate; must not be 0
  std::uint64_t ceil = 0;      // rate with borrowing from sibling classes; must not be 0
  std::uint64_t burst = 0;     // bucket of `rate`
  std::uint64_t cburst = 0;    // bucket of `ceil`
  std::uint32_t quantum = 0;   // bytes per turn when classes share spare rate; 0: the kernel derives it from the rate
  std::uint32_t priority = 0;  // 0 to 7; a lower number borrows first
};

// A class's counters since its creation.
struct ClassStatistics {
  std::uint64_t tx_packets = 0;  // each segment of a GSO packet counts
  std::uint64_t tx_bytes = 0;
  std::uint64_t dropped = 0;  // packets that found the class's queue full; a GSO packet counts once
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

// The result of a route lookup.
struct Route {
  int ifindex = 0;
  std::optional<IpAddr> gateway;  // none: the destination is on the link. May be of the other family (RFC 8950)
  IpAddr source;                  // preferred source address; 0.0.0.0 or :: when the route has none
  unsigned mtu = 0;               // the route's MTU metric (path MTU discovery included) or the device's MTU
  bool local = false;             // the destination is an address of this host
  bool unreachable = false;       // unreachable, blackhole, prohibit, or no route at all
  bool operator==(const Route&) const = default;
};

// An IPv6 route in table local for one multicast group, with the mark of this program (its protocol number). Sending
// to a group, the kernel looks for the device there alone. Metrics tell the routes of several owners apart.
struct GroupRoute {
  IpAddr group;
  int ifindex = 0;
  std::uint32_t metric = 0;
  auto operator<=>(const GroupRoute&) const = default;
};

// An entry of the neighbour table (ARP, IPv6 ND). States as in linux/neighbour.h. A `mac` is valid in every state but
// `failed`.
struct Neighbour {
  int ifindex = 0;
  IpAddr addr;
  std::optional<MacAddr> mac;
  enum class State { none, incomplete, reachable, stale, delay, probe, failed, permanent, noarp };
  State state = State::none;
  bool operator==(const Neighbour&) const = default;
};

}  // namespace heddle::netlink
