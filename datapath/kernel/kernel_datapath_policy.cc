// SPDX-License-Identifier: Apache-2.0
// What holds for bridges as a whole: fail mode, flooded VLANs, mirrors.
#include <algorithm>
#include <cstring>

#include "base/log.h"
#include "datapath/kernel/kernel_datapath_impl.h"

namespace heddle::dp {
namespace {

constexpr __u32 kBridgeFlags = HD_SECURE | HD_FLOOD_VLANS | HD_RESERVED;

void copy_vlans(__u64 (&to)[64], const VlanSet& from) {
  std::fill_n(to, 64, __u64{0});
  for (std::size_t vlan = 0; vlan < from.size(); ++vlan)
    if (from.test(vlan)) to[vlan / 64] |= __u64{1} << vlan % 64;
}

hd_mirror_key mirror_key(BridgeId bridge, unsigned slot) {
  return {static_cast<__u16>(bridge), static_cast<__u16>(slot)};
}

bool same_copies(const hd_mirror& a, const hd_mirror& b) {
  return a.output == b.output && a.output_vlan == b.output_vlan && std::memcmp(a.vlans, b.vlans, sizeof a.vlans) == 0;
}

}  // namespace

// The bridge's part of `next`, whose bridge is set. After a take-over a bridge goes on as before until it is told
// otherwise: at the latest when all is configured, see settle().
void KernelDatapath::apply_bridge(const PortEntry& p, hd_port& next) const {
  const auto id = static_cast<BridgeId>(next.bridge);
  const auto it = policies_.find(id);
  if (it == policies_.end() && !settled_ && programs_->taken_over() && p.conf.bridge == next.bridge) return;
  next.flags &= ~kBridgeFlags;
  next.mirrors_in = next.mirrors_out = 0;
  if (it == policies_.end()) return;
  const BridgePolicy& policy = it->second;
  if (policy.secure) next.flags |= HD_SECURE;
  if (policy.flood_vlans.any()) next.flags |= HD_FLOOD_VLANS;
  const auto has = [&](const std::vector<PortNo>& ports) { return std::ranges::find(ports, p.no) != ports.end(); };
  for (const auto& [slot, mirror] : policy.mirrors) {
    if (mirror.all || has(mirror.from)) next.mirrors_in |= 1U << slot;
    if (has(mirror.to)) next.mirrors_out |= 1U << slot;
    if (!mirror.output_vlan && mirror.output == p.no) next.flags |= HD_RESERVED;
  }
}

Result<> KernelDatapath::rewrite_ports(BridgeId bridge) {
  for (auto& [no, p] : ports_) {
    if (p.policy.bridge != bridge) continue;
    hd_port next = p.conf;
    apply_bridge(p, next);
    if (auto ok = write_conf(p, next); !ok) return ok;
  }
  return {};
}

void KernelDatapath::forget_policy(BridgeId bridge) {
  policies_.erase(bridge);
  (void)programs_->bridges.put(static_cast<__u32>(bridge), {});
  for (unsigned slot = 0; slot < limits::kMirrors; ++slot) programs_->mirrors.erase(mirror_key(bridge, slot));
}

// A mirror that is asked for as it was goes on, with its counters: also a former life's, as far as can be seen.
Result<> KernelDatapath::put_mirrors(BridgeId bridge, const BridgePolicy& policy) {
  const auto before = policies_.find(bridge);
  for (unsigned slot = 0; slot < limits::kMirrors; ++slot) {
    const hd_mirror_key key = mirror_key(bridge, slot);
    const auto it = policy.mirrors.find(slot);
    if (it == policy.mirrors.end() || (!it->second.output_vlan && it->second.output == PortNo::none)) {
      programs_->mirrors.erase(key);
      continue;
    }
    const MirrorSpec& spec = it->second;
    hd_mirror next{};
    if (!spec.output_vlan) next.output = static_cast<__u32>(spec.output);
    next.output_vlan = spec.output_vlan.value_or(0);
    copy_vlans(next.vlans, spec.vlans.none() ? ~spec.vlans : spec.vlans);
    bool same = true;
    if (before != policies_.end()) {
      const auto old = before->second.mirrors.find(slot);
      same = old != before->second.mirrors.end() && old->second == spec;
    }
    const auto now = programs_->mirrors.get(key);
    if (same && now && same_copies(*now, next)) continue;
    if (auto ok = programs_->mirrors.put(key, next); !ok) return ok;
  }
  return {};
}

Result<> KernelDatapath::set(BridgeId bridge, const BridgePolicy& policy) {
  const auto has = [&](const auto& b) { return b.second == bridge; };
  if (!std::ranges::any_of(bridges_, has))
    return fail(Errc::not_found, "no bridge number " + std::to_string(static_cast<int>(bridge)));
  for (const auto& [slot, mirror] : policy.mirrors) {
    if (slot >= limits::kMirrors)
      return fail(Errc::limit, fmt::format("a bridge has at most {} mirrors", limits::kMirrors));
    const PortEntry* out = mirror.output_vlan ? nullptr : find(mirror.output);
    if (out != nullptr && out->multipoint())
      spdlog::warn("mirror to port {}: a multipoint tunnel gets no copies; use one with a remote_ip", out->spec.name);
  }
  hd_bridge conf{};
  copy_vlans(conf.flood_vlans, policy.flood_vlans);
  if (auto ok = programs_->bridges.put(static_cast<__u32>(bridge), conf); !ok) return ok;
  if (auto ok = put_mirrors(bridge, policy); !ok) return ok;
  policies_[bridge] = policy;
  if (auto ok = rewrite_ports(bridge); !ok) return ok;
  flood(bridge);
  return {};
}

MirrorCounters KernelDatapath::mirror_counters(BridgeId bridge, unsigned slot) const {
  const auto m = programs_->mirrors.get(mirror_key(bridge, slot));
  return m ? MirrorCounters{m->packets, m->bytes} : MirrorCounters{};
}

}  // namespace heddle::dp
