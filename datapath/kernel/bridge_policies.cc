// SPDX-License-Identifier: Apache-2.0
#include "datapath/kernel/bridge_policies.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <utility>

namespace heddle::dp {
namespace {

constexpr __u32 kBridgeFlags = HD_SECURE | HD_FLOOD_VLANS | HD_RESERVED | HD_ALL_KNOWN;

void copy_vlans(__u64 (&to)[64], const VlanSet& from) {
  std::fill_n(to, 64, __u64{0});
  for (std::size_t vlan = 0; vlan < from.size(); ++vlan)
    if (from.test(vlan)) to[vlan / 64] |= __u64{1} << vlan % 64;
}

hd_mirror_key mirror_key(BridgeId bridge, unsigned slot) {
  return {static_cast<__u16>(bridge), static_cast<__u16>(slot)};
}

bool same_copies(const hd_mirror& a, const hd_mirror& b) {
  return a.output == b.output && a.output_vlan == b.output_vlan && is_unused(a.reserved) && is_unused(b.reserved) &&
         std::memcmp(a.vlans, b.vlans, sizeof a.vlans) == 0;
}

hd_mirror element_of(const MirrorSpec& spec) {
  hd_mirror element{};
  if (!spec.output_vlan) element.output = static_cast<__u32>(spec.output);
  element.output_vlan = spec.output_vlan.value_or(0);
  copy_vlans(element.vlans, spec.vlans.none() ? ~spec.vlans : spec.vlans);
  return element;
}

}  // namespace

// The map gives the next mirror an element that was freed: not before programs that may read it for its former mirror
// have ended, or they would send copies to another's output.
Result<> BridgePolicies::put_mirror(const hd_mirror_key& key, const hd_mirror& mirror) {
  if (std::exchange(freed_, false)) programs_.grace().wait();
  const bool replaces = programs_.mirrors.get(key).has_value();
  if (auto ok = programs_.mirrors.put(key, mirror); !ok) return ok;
  freed_ = replaces;
  return {};
}

void BridgePolicies::erase_mirror(const hd_mirror_key& key) {
  if (programs_.mirrors.erase(key)) freed_ = true;
}

// A mirror that is asked for as it was goes on, with its counters: also a former life's, as far as can be seen.
Result<> BridgePolicies::put_mirrors(BridgeId bridge, const BridgePolicy& policy) {
  const auto before = policies_.find(bridge);
  for (unsigned slot = 0; slot < limits::kMirrors; ++slot) {
    const hd_mirror_key key = mirror_key(bridge, slot);
    const auto it = policy.mirrors.find(slot);
    if (it == policy.mirrors.end() || (!it->second.output_vlan && it->second.output == PortNo::none)) {
      erase_mirror(key);
      continue;
    }
    bool same = true;
    if (before != policies_.end()) {
      const auto old = before->second.mirrors.find(slot);
      same = old != before->second.mirrors.end() && old->second == it->second;
    }
    const hd_mirror next = element_of(it->second);
    const auto now = programs_.mirrors.get(key);
    if (same && now && same_copies(*now, next)) continue;
    if (auto ok = put_mirror(key, next); !ok) return ok;
  }
  return {};
}

Result<> BridgePolicies::put(BridgeId bridge, const BridgePolicy& policy) {
  if (!policy.mirrors.empty() && policy.mirrors.rbegin()->first >= limits::kMirrors)
    return fail(Errc::limit, fmt::format("a bridge has at most {} mirrors", limits::kMirrors));
  hd_bridge element{};
  copy_vlans(element.flood_vlans, policy.flood_vlans);
  if (auto ok = programs_.bridges.put(static_cast<__u32>(bridge), element); !ok) return ok;
  if (auto ok = put_mirrors(bridge, policy); !ok) return ok;
  policies_[bridge] = policy;
  return {};
}

void BridgePolicies::forget(BridgeId bridge) {
  policies_.erase(bridge);
  (void)programs_.bridges.put(static_cast<__u32>(bridge), {});
  for (unsigned slot = 0; slot < limits::kMirrors; ++slot) erase_mirror(mirror_key(bridge, slot));
}

void BridgePolicies::write_flags(PortNo port, hd_port& next) const {
  next.flags &= ~kBridgeFlags;
  next.mirrors_in = next.mirrors_out = 0;
  const auto it = policies_.find(static_cast<BridgeId>(next.bridge));
  if (it == policies_.end()) return;
  const BridgePolicy& policy = it->second;
  if (policy.secure) next.flags |= HD_SECURE;
  if (policy.flood_vlans.any()) next.flags |= HD_FLOOD_VLANS;
  if (!policy.flood_unknown) next.flags |= HD_ALL_KNOWN;
  const auto has = [&](const std::vector<PortNo>& ports) { return std::ranges::find(ports, port) != ports.end(); };
  for (const auto& [slot, mirror] : policy.mirrors) {
    if (mirror.all || has(mirror.from)) next.mirrors_in |= 1U << slot;
    if (has(mirror.to)) next.mirrors_out |= 1U << slot;
    if (!mirror.output_vlan && mirror.output == port) next.flags |= HD_RESERVED;
  }
}

MirrorCounters BridgePolicies::mirror_counters(BridgeId bridge, unsigned slot) const {
  const auto m = programs_.mirrors.get(mirror_key(bridge, slot));
  return m ? MirrorCounters{m->packets, m->bytes} : MirrorCounters{};
}

}  // namespace heddle::dp
