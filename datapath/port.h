// SPDX-License-Identifier: Apache-2.0
// Ports as plain values: what a port is (PortSpec), what it has (PortConfig), what is known of it (PortState,
// counters). No ownership, no errors; any thread.
#pragma once

#include <array>
#include <bitset>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/addr.h"
#include "base/drop_reason.h"
#include "base/limits.h"
#include "base/result.h"

namespace heddle::dp {

// A port's number in the datapath, 1 to limits::kPorts - 1. The OpenFlow number is another one: per bridge, and given
// by policy.
enum class PortNo : std::uint16_t { none = 0 };
// A bridge's number, 0 to limits::kBridges - 1.
enum class BridgeId : std::uint16_t { none = 0xffff };

using VlanId = std::uint16_t;                                    // 0 to 4095; 0 = untagged
using VlanSet = std::bitset<limits::kVlanMax + std::size_t{1}>;  // bit n = VLAN n

// --- kinds of port ---

// Pinned maps keep the numbers: a kind that comes is added at the end.
enum class PortKind : std::uint8_t {
  netdev,    // an existing network device, taken over with XDP or TC; PortSpec::name is its name
  tap,       // a device that the datapath makes, and removes with the daemon
  internal,  // the bridge's own device: made by the datapath, outlives the daemon so that its addresses survive
  vxlan,     // tunnel; no device of its own
  patch,     // one end of a link between two bridges: a frame that leaves by it arrives at PortSpec::peer
};
using KindSet = std::set<PortKind>;

// Everything that code outside a provider may ask of a kind. A new kind is a new row here; whether a provider offers it
// is Ports::kinds().
struct KindTraits {
  PortKind kind;
  const char* type;   // Interface.type in the database
  const char* noun;   // for messages
  bool has_device;    // a network device bears the port's name
  bool made_by_us;    // the datapath makes that device
  bool outlives;      // and leaves it when the daemon ends
  bool is_tunnel;     // PortSpec::tunnel holds; frames leave through the underlay
  bool has_peer;      // PortSpec::peer holds
  bool may_shape;     // takes a QosSpec
  bool stands_alone;  // no other port's configuration depends on this one or the reverse
};
const KindTraits& traits(PortKind kind);
// All kinds, in the order of the enumeration.
std::array<PortKind, 5> all_kinds();
// The kind of an Interface.type; nothing: no such type.
std::optional<PortKind> kind_of_type(std::string_view type);

// --- tunnels ---

// RFC 7348.
struct Vxlan {
  std::uint32_t vni = 0;  // 0 to limits::kVniMax
  std::uint16_t dst_port = 4789;
  bool operator==(const Vxlan&) const = default;
};

// The fields that every tunnel has, and those of its protocol. Addresses are of one family. Defaults are those that
// Open vSwitch users know.
struct TunnelSpec {
  std::optional<IpAddr> remote;  // none: multipoint, remotes are learned or in the flood list
  // Multipoint: the network's multicast group (RFC 7348 section 4.2). The host is a member, and of packets to groups
  // the tunnel takes those to this one. It is the flood list's only remote.
  std::optional<IpAddr> group;
  std::optional<IpAddr> local;  // none: the route to the remote decides
  std::uint8_t tos = 0;         // outer TOS or traffic class; the ECN bits always follow RFC 6040
  bool tos_inherit = false;     // take the DSCP of an inner IP packet
  std::uint8_t ttl = 64;
  bool ttl_inherit = false;
  bool df = true;  // IPv4: "don't fragment" on the outer header
  bool csum = false;
  bool split_horizon = true;  // frames from a tunnel do not leave through this one
  // A packet from the remote is taken by the devices that lead to it (a strict reverse path, RFC 3704 section 2.2).
  // Else, and from any sender of a multipoint tunnel: by any device but a bridge's own port, and that too if it leads
  // to a tunnel's remote.
  bool strict_ingress = true;
  bool v6 = false;  // underlay family; that of the addresses above
  std::variant<Vxlan> protocol;
  bool operator==(const TunnelSpec&) const = default;

  [[nodiscard]] bool multipoint() const { return !remote; }
  [[nodiscard]] const Vxlan& vxlan() const { return std::get<Vxlan>(protocol); }
  [[nodiscard]] Vxlan& vxlan() { return std::get<Vxlan>(protocol); }
};

// Whether packets that arrive for the two could not be told apart; a network has one group.
bool same_end_point(const TunnelSpec& a, const TunnelSpec& b);

// --- what a port is ---

struct PortSpec {
  std::string name;  // netdev name, or the tunnel's or patch port's name; unique in the datapath
  PortKind kind = PortKind::netdev;
  TunnelSpec tunnel;            // tunnels
  std::string peer;             // patch: name of the other end. Frames pass while that port names this one
  std::optional<MacAddr> mac;   // kinds that the datapath makes a device for: its address when it is made
  std::optional<unsigned> mtu;  // kinds with a device: its MTU
  bool operator==(const PortSpec&) const = default;

  [[nodiscard]] const KindTraits& traits() const { return dp::traits(kind); }
  [[nodiscard]] bool is_tunnel() const { return traits().is_tunnel; }
  [[nodiscard]] bool multipoint() const { return is_tunnel() && tunnel.multipoint(); }
};

// Whether a live port may change from one spec to the other: the MAC and MTU of its device may differ, nothing else.
bool may_become(const PortSpec& from, const PortSpec& to);

// --- what a port has ---

enum class VlanMode { access, trunk, native_tagged, native_untagged };

// The average and the burst that a port may bring; 0 = not limited. Frames that come faster are dropped
// (Drop::policed). A frame passes while the bucket is not empty, so one that is longer than the burst passes too, and
// the average holds.
struct Policing {
  std::uint64_t bits_per_second = 0;
  std::uint64_t burst_bits = 0;
  std::uint64_t packets_per_second = 0;
  std::uint64_t burst_packets = 0;
  bool operator==(const Policing&) const = default;
};

// IEEE 802.1Q ingress and egress rules of a port, in the words of Open vSwitch's Port table.
struct PortPolicy {
  BridgeId bridge = BridgeId::none;
  VlanMode vlan_mode = VlanMode::trunk;
  VlanId tag = 0;  // access and native VLAN; 0 in trunk mode
  VlanSet trunks;  // trunk and native modes; none set = all
  bool protected_port = false;
  bool learning = true;
  Policing policing;
  bool operator==(const PortPolicy&) const = default;

  // Whether the port carries `vlan` (after classification).
  [[nodiscard]] bool carries(VlanId vlan) const {
    if (vlan_mode == VlanMode::access) return vlan == tag;
    if (vlan_mode != VlanMode::trunk && vlan == tag) return true;
    return trunks.none() || trunks.test(vlan);
  }
};

// Egress shaping in the manner of the kernel's HTB: frames that leave by the port wait, so that rates hold. Rates in
// bit/s, sizes in bytes. A frame is in the queue that a policy gave it, else in queue 0, else limited by the port's
// rate alone.
struct QosQueue {
  std::uint64_t min_rate = 0;
  std::uint64_t max_rate = 0;  // 0: the port's
  std::uint64_t burst = 0;     // 0: as the rate needs
  std::uint32_t priority = 0;  // lower ones get the rest first
  bool operator==(const QosQueue&) const = default;
};
struct QosSpec {
  std::uint64_t max_rate = 0;                // never 0
  std::map<std::uint32_t, QosQueue> queues;  // by number, 0 to limits::kQueueMax
  bool operator==(const QosSpec&) const = default;
};
// Errc::invalid or Errc::limit, with the port's name, for a QosSpec that no provider takes or a port that cannot have
// one.
Result<> check_qos(const PortSpec& port, const QosSpec& qos);

struct PortConfig {
  PortSpec spec;
  PortPolicy policy;
  std::vector<IpAddr> flood;   // multipoint tunnel: head-end replication list, at most limits::kFloodList remotes
  std::optional<QosSpec> qos;  // none: frames leave as the device does without
  bool operator==(const PortConfig&) const = default;
};

// --- what is known of a port ---

struct PortState {
  bool present = false;  // the device exists and is taken over (tunnels: there is a route to the remote)
  bool moved = false;    // the device is ours and is in another network namespace: that one's to look after
  int ifindex = 0;       // 0 for tunnels, and when moved
  MacAddr mac;           // when moved: zero if it cannot be read there; the same of mtu
  unsigned mtu = 0;      // bytes of IP packet; tunnels: largest guest packet that fits the underlay, 0 = not known yet
  bool admin_up = false;
  bool link_up = false;
  std::uint64_t link_speed = 0;  // bit/s, 0 = not known
  bool full_duplex = false;
  std::string driver;
  std::vector<std::pair<std::string, std::string>> details;  // for the status column, e.g. {"xdp_mode","native"}
  std::string error;      // why the port is not present, with a remedy; empty when it is
  std::string qos_error;  // why PortConfig::qos is not in force although the port is present, with a remedy
};

struct PortCounters {
  std::uint64_t rx_packets = 0;
  std::uint64_t rx_bytes = 0;
  std::uint64_t tx_packets = 0;
  std::uint64_t tx_bytes = 0;
  std::uint64_t learn_dropped = 0;  // learn events that found the port's queue full
  std::uint64_t icmp_too_big = 0;   // answers sent to guests whose frames exceed a tunnel's MTU
  // By Drop. A frame counts at its ingress port, but for egress reasons at the egress port.
  std::array<std::uint64_t, kDropCount> drops{};
  // What a network card has counted before any frame was ours; 0 for devices that are none.
  std::uint64_t collisions = 0;
  std::uint64_t rx_crc_errors = 0;
  std::uint64_t rx_frame_errors = 0;
  std::uint64_t rx_over_errors = 0;
  std::uint64_t rx_missed = 0;
};

struct QueueCounters {
  std::uint64_t tx_packets = 0;
  std::uint64_t tx_bytes = 0;
  std::uint64_t dropped = 0;  // the queue was full
};

// Of a device that carries tunnels: frames before they belong to a tunnel port.
struct UnderlayCounters {
  std::string name;  // e.g. "eth1" or "udp:4789"
  PortCounters counters;
};

}  // namespace heddle::dp
