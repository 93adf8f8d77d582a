// SPDX-License-Identifier: Apache-2.0
// The workers' configuration: an immutable snapshot, replaced as a whole under RCU when the control thread changes
// anything. State that changes in place hangs on it by pointer, in the Shared objects: counters, learn queues, FDB
// tables, link state.
//
// Threads: control builds a snapshot (ConfigDraft) and owns it until the grace period after its replacement; workers
// read it under an RCU guard. Nothing fails.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "datapath/datapath.h"
#include "datapath/user/bridge_rules.h"
#include "datapath/user/fdb_table.h"
#include "datapath/user/policer.h"
#include "datapath/user/port_io.h"
#include "datapath/user/shaper.h"
#include "datapath/user/spsc.h"
#include "packet/vxlan.h"

namespace heddle::dp {

// The way to one remote VTEP of one tunnel port. Immutable; replaced when route or neighbour changes.
struct TunnelPath {
  PortNo port = PortNo::none;
  IpAddr remote;
  bool usable = false;         // there is a route and a local address
  unsigned mtu = 0;            // of the underlay: outer IP packet, bytes
  std::uint32_t io = 0;        // slot of the underlay's PortIo: AF_XDP, or the socket while the neighbour is unresolved
  packet::EncapTemplate head;  // outer headers
  std::vector<int> devices;    // that lead to the remote, in ascending order; empty: not known
};

// The paths by number, read by workers while the control side replaces entries. Number 0 is never a path.
class TunnelPaths {
 public:
  TunnelPaths() : slots_(std::make_unique<std::atomic<const TunnelPath*>[]>(limits::kTunnelRemotes)) {}
  [[nodiscard]] const TunnelPath* at(std::uint32_t n) const { return slots_[n].load(std::memory_order_acquire); }
  // Returns the old one, to be freed after a grace period.
  const TunnelPath* replace(std::uint32_t n, const TunnelPath* next) {
    return slots_[n].exchange(next, std::memory_order_acq_rel);
  }

 private:
  std::unique_ptr<std::atomic<const TunnelPath*>[]> slots_;
};

struct LearnRecord {
  std::uint64_t key = 0;  // fdb_key()
  BridgeId bridge = BridgeId::none;
  bool tunnelled = false;  // `remote` is set
  IpAddr remote;
};

// A port's state that changes without a new snapshot.
struct PortShared {
  struct PerWorker {
    WorkerCounters counters;
    Spsc<LearnRecord, limits::kLearnQueue> learned;
  };
  explicit PortShared(unsigned workers) : worker(workers) {}
  std::vector<PerWorker> worker;
  std::atomic<bool> up{false};
  std::atomic<unsigned> mtu{0};  // of the device, 0 = no limit known
  PolicerState policed;
};

struct BridgeShared {
  std::atomic<FdbTable*> fdb{nullptr};
};

inline constexpr std::uint32_t kNoIo = 0xffffffff;

struct PortConf {
  PortNo no = PortNo::none;
  PortKind kind{};
  std::uint32_t io = kNoIo;  // netdev, tap, internal: slot of its PortIo; kNoIo while there is no device
  PortPolicy policy;
  TunnelSpec tunnel_spec;
  std::uint32_t path = 0;            // point-to-point tunnel: its path
  std::vector<std::uint32_t> flood;  // multipoint tunnel: paths of the flood list
  PortNo peer = PortNo::none;        // patch: port where the frames that leave arrive; none while there is no such port
  PortShared* shared = nullptr;
  BridgeShared* bridge = nullptr;
  std::shared_ptr<const BridgeRules> rules;  // null: the bridge has none

  // Answers to the questions that the packet path asks for each frame, computed from the fields above.
  struct Derived {
    bool is_tunnel = false;         // by its kind
    bool plain = true;              // neither rules nor policing
    bool mirror_output = false;     // of a mirror of the bridge
    std::uint32_t mirrors_in = 0;   // mirrors that select the frames that come by this port, one bit a slot
    std::uint32_t mirrors_out = 0;  // mirrors that select the frames that leave by it
    VlanSet carried;                // policy.carries() of every VLAN
    Policer policer;
  } derived;

  // To be called when all other fields are set.
  void derive() {
    derived = {};
    derived.is_tunnel = traits(kind).is_tunnel;
    derived.policer = Policer(policy.policing);
    derived.plain = !rules && !derived.policer.limits();
    if (policy.vlan_mode != VlanMode::access) derived.carried = policy.trunks.none() ? VlanSet().set() : policy.trunks;
    if (policy.vlan_mode != VlanMode::trunk && policy.tag < derived.carried.size()) derived.carried.set(policy.tag);
    if (!rules) return;
    derived.mirrors_in = rules->mirrors_from(no);
    derived.mirrors_out = rules->mirrors_to(no);
    derived.mirror_output = rules->reserves(no);
    // A port without a bridge is no frame's destination: so the packet path needs no test of its own.
    if (derived.mirror_output) bridge = nullptr;
  }
  [[nodiscard]] bool tunnel() const { return derived.is_tunnel; }
  [[nodiscard]] bool multipoint() const { return tunnel() && !tunnel_spec.remote; }
  // Frames can leave by a tunnel as long as its path is usable: no link of its own can be down.
  [[nodiscard]] bool is_down() const { return !tunnel() && !shared->up.load(std::memory_order_relaxed); }
};

// A PortIo in the configuration, with the worker that serves each of its queues.
struct IoConf {
  std::shared_ptr<PortIo> io;
  std::uint64_t generation = 0;  // tells a reused slot from the one a frame was meant for
  PortNo port = PortNo::none;    // none: an underlay, whose frames are decapsulated
  int device = 0;                // ifindex of the underlay's device; 0: each frame says it (arrival_device())
  PortShared* shared = nullptr;  // counters of the device
  std::vector<std::uint8_t> queue_worker;
  std::shared_ptr<const QosConf> qos;  // null: nothing waits

  // The queue that `worker` sends by. Nothing when it serves none: then the worker of queue 0 sends for it.
  [[nodiscard]] std::optional<unsigned> queue_for(unsigned worker) const {
    for (unsigned q = 0; q < queue_worker.size(); ++q)
      if (queue_worker[q] == worker) return q;
    return std::nullopt;
  }
};

struct TunnelKey {
  std::uint32_t vni = 0;
  std::uint16_t dst_port = 0;
  IpAddr remote;  // of the family's "any" for a multipoint port
  bool operator==(const TunnelKey&) const = default;
};
struct TunnelKeyHash {
  std::size_t operator()(const TunnelKey& k) const noexcept {
    return k.remote.hash() ^ (std::uint64_t{k.vni} << 16 | k.dst_port) * 0x9e3779b97f4a7c15ULL;
  }
};

// "version" differs between any two snapshots; an address may come again.
struct Config {
  std::uint64_t version = 0;
  struct RxQueue {
    std::uint32_t io;
    std::uint8_t queue;
    bool cheap;
    int fd;
    std::uint64_t generation;  // of the slot
  };
  std::vector<std::shared_ptr<const PortConf>> ports;                 // by PortNo
  std::vector<std::vector<std::shared_ptr<const PortConf>>> bridges;  // members, by BridgeId
  std::vector<std::shared_ptr<const IoConf>> ios;                     // by slot
  std::vector<std::vector<RxQueue>> rx;                               // by worker; generations ascend
  // Several ports may share a key and differ in their local address.
  std::unordered_map<TunnelKey, std::vector<const PortConf*>, TunnelKeyHash> tunnels;
  // Devices that bring bridges' frames to the host and do not lead to a remote, in ascending order: no tunnel's packet
  // is taken from them. Only TunnelSpec::strict_ingress takes packets from fewer devices.
  std::vector<int> untrusted;

  [[nodiscard]] const PortConf* port(PortNo no) const {
    const auto i = static_cast<std::size_t>(no);
    return i < ports.size() ? ports[i].get() : nullptr;
  }
};

}  // namespace heddle::dp
