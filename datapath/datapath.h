// SPDX-License-Identifier: Apache-2.0
// The seam between switching policy and forwarding mechanism. A Datapath holds ports, VLAN table, forwarding database
// (FDB), flood lists and tunnels, and forwards frames by them; it decides nothing. Everything above it (ofproto-lite)
// works through this interface alone and does not know which implementation it has.
//
// Threads. "control" configures ports and tunnels; "handler" owns the FDB and takes events. The two may call at the
// same time, each only the functions of its group. No call blocks on traffic; a call may wait for an RCU grace period
// (well under 10 ms).
#pragma once

#include <array>
#include <bitset>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/addr.h"
#include "base/clock.h"
#include "base/drop_reason.h"
#include "base/limits.h"
#include "base/result.h"

namespace heddle::dp {

// A port's number in the datapath, 1 to limits::kPorts - 1. Not the OpenFlow number: that is per bridge, and policy's
// affair.
enum class PortNo : std::uint16_t { none = 0 };
// A bridge's number, 0 to limits::kBridges - 1.
enum class BridgeId : std::uint16_t { none = 0xffff };

using VlanId = std::uint16_t;                                    // 0 to 4095; 0 = untagged
using VlanSet = std::bitset<limits::kVlanMax + std::size_t{1}>;  // bit n = VLAN n

enum class PortKind {
  netdev,    // an existing network device, taken over with XDP or TC; PortSpec::name is its name
  tap,       // a device that the datapath makes, and removes again
  internal,  // the bridge's own device: made by the datapath, outlives the daemon so that its addresses survive
  vxlan,     // tunnel; no device of its own
  patch,     // one end of a link between two bridges: what leaves by it arrives at PortSpec::peer
};

// RFC 7348. Addresses are of one family. Defaults are those that Open vSwitch users know.
struct VxlanSpec {
  std::optional<IpAddr> remote;  // none: multipoint, remotes are learned or in the flood list
  std::optional<IpAddr> local;   // none: the route to the remote decides
  std::uint32_t vni = 0;         // 0 to limits::kVniMax
  std::uint16_t dst_port = 4789;
  std::uint8_t tos = 0;      // outer TOS or traffic class; the ECN bits always follow RFC 6040
  bool tos_inherit = false;  // take the DSCP of an inner IP packet
  std::uint8_t ttl = 64;
  bool ttl_inherit = false;
  bool df = true;  // IPv4: "don't fragment" on the outer header
  bool csum = false;
  bool split_horizon = true;  // frames from a tunnel do not leave through this one
  bool v6 = false;            // underlay family; equals remote->is_v6() when there is a remote
  bool operator==(const VxlanSpec&) const = default;
};

struct PortSpec {
  std::string name;  // netdev name, or the tunnel's or patch port's name; unique in the datapath
  PortKind kind = PortKind::netdev;
  VxlanSpec vxlan;              // kind == vxlan
  std::string peer;             // kind == patch: name of the other end. Frames pass while that one names this one
  std::optional<MacAddr> mac;   // kind == tap or internal: the device's address when it is made
  std::optional<unsigned> mtu;  // kind == tap or internal: the device's MTU
  bool operator==(const PortSpec&) const = default;
};

enum class VlanMode { access, trunk, native_tagged, native_untagged };

// What a port may bring, on average and at once; 0 = not limited. Frames that come faster are dropped (Drop::policed).
// A frame passes while the bucket is not empty, so one that is longer than the burst passes too, and the average holds.
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

// Copies of a bridge's frames for somebody who watches. A frame is selected once, by the port it came by or one it
// leaves by, as it was admitted and in the VLAN it was put in, and copied before the rules for its way out are applied;
// frames that are dropped later are seen too. The copy goes to one port, or to every port that carries one VLAN
// (RSPAN), the ingress port among them.
struct MirrorSpec {
  bool all = false;                   // every frame
  std::vector<PortNo> from;           // frames that came by these, and
  std::vector<PortNo> to;             // frames that leave by these
  VlanSet vlans;                      // only frames in these; none set = all
  PortNo output = PortNo::none;       // reserved: it carries copies and nothing else, what arrives there is dropped
  std::optional<VlanId> output_vlan;  // instead of `output`; frames in that very VLAN are not copied
  bool operator==(const MirrorSpec&) const = default;
};

// What holds for a bridge as a whole.
struct BridgePolicy {
  bool secure = false;                     // nothing is forwarded (Drop::fail_secure): fail_mode without a controller
  VlanSet flood_vlans;                     // nothing is learned in these, and everything flooded
  std::map<unsigned, MirrorSpec> mirrors;  // by slot, 0 to limits::kMirrors - 1
  bool operator==(const BridgePolicy&) const = default;
};

struct MirrorCounters {
  std::uint64_t tx_packets = 0;  // copies made
  std::uint64_t tx_bytes = 0;
};

// Egress shaping in the manner of the kernel's HTB: what leaves by the port waits, so that rates hold. Rates in bit/s,
// sizes in bytes. A frame is in the queue that a policy gave it, else in queue 0, else in one of no other limit than
// the port's.
struct QosQueue {
  std::uint64_t min_rate = 0;
  std::uint64_t max_rate = 0;  // 0: the port's
  std::uint64_t burst = 0;     // 0: what the rate needs
  std::uint32_t priority = 0;  // lower ones get what is left over first
  bool operator==(const QosQueue&) const = default;
};
struct QosSpec {
  std::uint64_t max_rate = 0;                // never 0
  std::map<std::uint32_t, QosQueue> queues;  // by number, 0 to limits::kQueueMax
  bool operator==(const QosSpec&) const = default;
};
struct QueueCounters {
  std::uint64_t tx_packets = 0;
  std::uint64_t tx_bytes = 0;
  std::uint64_t dropped = 0;  // the queue was full
};

struct FdbKey {
  BridgeId bridge = BridgeId::none;
  VlanId vlan = 0;
  MacAddr mac;
  auto operator<=>(const FdbKey&) const = default;
};

// Where frames for a MAC go. `remote` only for a multipoint tunnel port.
struct FdbTarget {
  PortNo port = PortNo::none;
  std::optional<IpAddr> remote;
  bool operator==(const FdbTarget&) const = default;
};

// A source MAC that the FDB does not have, or has elsewhere. Reported at a bounded rate and fairly per port; the frame
// that caused it has been forwarded all the same. The same source may be reported again until put_fdb() is called for
// it.
struct LearnEvent {
  FdbKey key;
  FdbTarget target;
};

struct PortCounters {
  std::uint64_t rx_packets = 0;
  std::uint64_t rx_bytes = 0;
  std::uint64_t tx_packets = 0;
  std::uint64_t tx_bytes = 0;
  std::uint64_t learn_dropped = 0;  // learn events that found the port's queue full
  std::uint64_t icmp_too_big = 0;   // answers sent to guests whose frames exceed a tunnel's MTU
  std::array<std::uint64_t, kDropCount>
      drops{};  // by Drop: on the ingress port, but for egress reasons on the egress port
};

// Of a device that carries tunnels: what is counted before a frame belongs to a tunnel port.
struct UnderlayCounters {
  std::string name;  // e.g. "eth1" or "udp:4789"
  PortCounters counters;
};

// What is known of a port's device now.
struct PortState {
  bool present = false;  // the device exists and is taken over (tunnels: there is a route to the remote)
  int ifindex = 0;       // 0 for tunnels
  MacAddr mac;
  unsigned mtu = 0;       // bytes of IP packet; tunnels: largest guest packet that fits the underlay, 0 = not known yet
  bool admin_up = false;  //
  bool link_up = false;   //
  std::uint64_t link_speed = 0;  // bit/s, 0 = not known
  bool full_duplex = false;
  std::string driver;                                        //
  std::vector<std::pair<std::string, std::string>> details;  // for the status column, e.g. {"xdp_mode","native"}
  std::string error;                                         // why it is not present, with a remedy; empty when it is
};

struct FdbUse {
  FdbKey key;
  std::uint32_t idle_seconds = 0;  // since a frame with this source was last seen on the entry's port
};

class Datapath {
 public:
  virtual ~Datapath() = default;

  // --- control ---
  // A number for a bridge. A datapath that outlived its daemon gives a name the number that it had. Errc::exists,
  // Errc::limit.
  virtual Result<BridgeId> add_bridge(const std::string& name) = 0;
  // Its ports must have left it. Entries that it still has go with it.
  virtual void remove_bridge(BridgeId bridge) = 0;
  // A bridge begins with BridgePolicy{}. Ports that a mirror names and that do not exist, or are of another bridge, are
  // passed over. The counters of a mirror's slot go on until its MirrorSpec is another.
  virtual Result<> set_bridge(BridgeId bridge, const BridgePolicy& policy) = 0;
  [[nodiscard]] virtual MirrorCounters mirror_counters(BridgeId bridge, unsigned slot) const = 0;
  // Between these two, a port that comes into a bridge or gets its device may wait for its first frames until
  // end_changes(): for many calls in a row, of some milliseconds. What a port must not get any more it never gets.
  virtual void begin_changes() {}
  virtual void end_changes() {}
  // Ports. A datapath that outlived its daemon knows a port again by its name, and goes on forwarding for it as it did
  // until it is told otherwise. add_port succeeds for a netdev that does not exist yet (PortState::error tells, and it
  // is taken up when it appears); it fails for a request that can never work: name or number taken, limit reached,
  // contradiction.
  virtual Result<PortNo> add_port(const PortSpec& spec) = 0;
  virtual Result<> set_port(PortNo port, const PortPolicy& policy) = 0;
  // Removes the port and every FDB entry that leads to it.
  virtual Result<> remove_port(PortNo port) = 0;
  // Nothing: as the device does without. Errc::unsupported for ports without a device (tunnels, patch ports).
  virtual Result<> set_qos(PortNo port, const std::optional<QosSpec>& qos) = 0;
  // By queue number; empty when there is no QosSpec.
  [[nodiscard]] virtual std::map<std::uint32_t, QueueCounters> queue_counters(PortNo port) const = 0;
  // Head-end replication list of a multipoint tunnel port, at most limits::kFloodList remotes.
  virtual Result<> set_flood(PortNo multipoint, std::span<const IpAddr> remotes) = 0;
  [[nodiscard]] virtual PortState port_state(PortNo port) const = 0;
  [[nodiscard]] virtual PortCounters port_counters(PortNo port) const = 0;
  [[nodiscard]] virtual std::vector<UnderlayCounters> underlay_counters() const { return {}; }
  // A descriptor that is readable when run_control() has work (devices, routes or neighbours changed). run_control()
  // calls `changed` for every port whose PortState is another than before.
  [[nodiscard]] virtual int control_fd() const = 0;
  virtual void run_control(const std::function<void(PortNo)>& changed) = 0;
  // To be called once, when the first configuration is in: what a former life left and nobody asked for again goes, and
  // poll_events() reports what it had learned on the ports that stay.
  virtual void settle() {}
  // Removes whatever would outlive this object. After it, only the destructor may be called.
  virtual void clean_up() {}

  // --- handler ---
  // Room for `entries` MACs in a bridge's FDB, from then on; existing entries stay. A bridge starts with
  // limits::kFdbDefault.
  virtual Result<> set_fdb_capacity(BridgeId bridge, std::size_t entries) = 0;
  // Adds or replaces. Errc::limit when the table is full, Errc::not_found when the port does not exist (any more).
  virtual Result<> put_fdb(const FdbKey& key, const FdbTarget& target) = 0;
  virtual void remove_fdb(const FdbKey& key) = 0;
  // Fills `idle_seconds` of each row; rows the datapath does not hold get UINT32_MAX.
  virtual void fdb_use(std::span<FdbUse> rows) const = 0;
  // Takes up to events.size() events, fairly over the ports; returns how many. Never blocks. Those of a former life
  // (see settle()) are withdrawn unless put_fdb() takes them up before the next call.
  virtual std::size_t poll_events(std::span<LearnEvent> events) = 0;
  // Readable when poll_events() may have something. Reading it is poll_events()'s affair.
  [[nodiscard]] virtual int event_fd() const = 0;
};

}  // namespace heddle::dp
