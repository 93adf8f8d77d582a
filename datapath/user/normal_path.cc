// SPDX-License-Identifier: Apache-2.0
#include "datapath/user/normal_path.h"

namespace heddle::dp {
namespace {

constexpr std::uint16_t kVidMask = 0x0fff;

// IEEE 802.1D table 7-10: addresses that a bridge never forwards (spanning tree, pause, LLDP, ...).
bool is_reserved(const MacAddr& m) { return (m.to_u64() & 0xfffffffffff0ULL) == 0x0180c2000000ULL; }

// Reasons that count at the port to which the frame was to go.
bool is_egress(Drop why) { return why == Drop::egress_vlan || why == Drop::port_down; }

}  // namespace

Decision NormalPath::decide(const Ingress& in) {
  Decision d;
  d.counted_at = in.port;
  d.drop = walk(in, d);
  return d;
}

// Inlined into its only caller, as are the steps: the way of a known frame has no call.
[[gnu::always_inline]] inline std::optional<Drop> NormalPath::walk(const Ingress& in, Decision& d) {
  const PortConf& port = *in.port;
  if (port.bridge == nullptr) return Drop::no_bridge;
  if (in.l2.src.is_multicast()) return Drop::source_multicast;
  const bool reserved = is_reserved(in.l2.dst);
  if (const auto why = classify(in, d.vlan)) return reserved ? Drop::reserved_multicast : why;
  d.admitted = true;
  if (reserved) return Drop::reserved_multicast;
  const BridgeRules* rules = port.rules.get();
  if (rules != nullptr && rules->secure) return Drop::fail_secure;
  if (rules == nullptr || !rules->flood_vlans[d.vlan]) {
    look_up_source(in, d);
    Output to{nullptr, 0, d.vlan};
    if (find_destination(in, to)) {
      const auto why = blocked(in, to);
      if (!why) {
        d.one = to;
      } else if (is_egress(*why)) {
        d.counted_at = to.port;
      }
      return why;
    }
  }
  d.many = flood(in, d.vlan);
  if (d.many.empty()) return Drop::no_destination;
  return std::nullopt;
}

// The ingress rules of IEEE 802.1Q 8.6.2. A tag with VLAN 0 carries a priority only.
[[gnu::always_inline]] inline std::optional<Drop> NormalPath::classify(const Ingress& in, VlanId& vlan) {
  const PortPolicy& p = in.port->policy;
  const VlanId vid = in.l2.vlan_tpid != 0 ? in.l2.vlan_tci & kVidMask : 0;
  if (vid != 0 && p.vlan_mode == VlanMode::access) return Drop::vlan_tagged_on_access;
  vlan = vid != 0 || p.vlan_mode == VlanMode::trunk ? vid : p.tag;
  if (!in.port->derived.carried[vlan]) return Drop::vlan_not_member;
  return std::nullopt;
}

[[gnu::always_inline]] inline void NormalPath::look_up_source(const Ingress& in, Decision& d) const {
  const PortConf& port = *in.port;
  if (!port.policy.learning || in.l2.src.is_zero()) return;
  const FdbTable::Entry entry =
      port.bridge->fdb.load(std::memory_order_acquire)->find_entry(fdb_key(d.vlan, in.l2.src));
  FdbValue expected = fdb_value(port.no, port.path);
  if (in.outer_source != nullptr) {
    // The packet does not tell the number of its path: the entry is right when its path leads to the packet's sender.
    const TunnelPath* path = fdb_port(entry.value) == port.no ? paths_.at(fdb_path(entry.value)) : nullptr;
    expected = path != nullptr && path->remote == *in.outer_source ? entry.value : 0;
  }
  if (expected != 0 && entry.value == expected) {
    d.source_use = entry.use;
  } else {
    d.learn = true;
  }
}

// False when no port is known to have the station, or the address is a group's.
[[gnu::always_inline]] inline bool NormalPath::find_destination(const Ingress& in, Output& to) const {
  if (in.l2.dst.is_multicast()) return false;
  const BridgeShared* bridge = in.port->bridge;
  const FdbValue v = bridge->fdb.load(std::memory_order_acquire)->find(fdb_key(to.vlan, in.l2.dst));
  const PortConf* out = v == 0 ? nullptr : round_.config->port(fdb_port(v));
  if (out == nullptr || out->bridge != bridge) return false;
  to.port = out;
  to.path = fdb_path(v);
  return true;
}

// A multipoint port without split horizon is a hub: it may send to every remote but the one that the frame came from.
std::optional<Drop> NormalPath::blocked(const Ingress& in, const Output& to) const {
  const PortConf& out = *to.port;
  if (&out == in.port && !out.multipoint()) return Drop::same_port;
  if (out.tunnel() && in.port->tunnel() && out.tunnel_spec.split_horizon) return Drop::split_horizon;
  if (&out == in.port && in.outer_source != nullptr) {
    const TunnelPath* path = paths_.at(to.path);
    if (path != nullptr && path->remote == *in.outer_source) return Drop::same_port;
  }
  if (out.policy.protected_port && in.port->policy.protected_port) return Drop::protected_port;
  if (!out.derived.carried[to.vlan]) return Drop::egress_vlan;
  if (out.is_down()) return Drop::port_down;
  return std::nullopt;
}

std::span<const Output> NormalPath::flood(const Ingress& in, VlanId vlan) {
  flood_.clear();
  const BridgeRules* rules = in.port->rules.get();
  const bool spare_tunnels =
      rules != nullptr && !rules->flood_unknown && !in.l2.dst.is_multicast() && !rules->flood_vlans[vlan];
  for (const auto& member : round_.config->bridges[static_cast<std::size_t>(in.port->policy.bridge)]) {
    const PortConf& out = *member;
    if (spare_tunnels && out.tunnel()) continue;
    const std::span<const std::uint32_t> paths =
        out.multipoint() ? std::span<const std::uint32_t>(out.flood) : std::span(&out.path, 1);
    for (const std::uint32_t path : paths) {
      const Output to{&out, path, vlan};
      if (!blocked(in, to)) flood_.push_back(to);
    }
  }
  return flood_;
}

}  // namespace heddle::dp
