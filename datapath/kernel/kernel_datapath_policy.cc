// What holds for bridges as a whole: fail mode, flooded VLANs.
#include <algorithm>

#include "datapath/kernel/kernel_datapath_impl.h"

namespace heddle::dp {
namespace {

constexpr __u32 kBridgeFlags = HD_SECURE | HD_FLOOD_VLANS;

void copy_vlans(__u64 (&to)[64], const VlanSet& from) {
  std::fill_n(to, 64, __u64{0});
  for (std::size_t vlan = 0; vlan < from.size(); ++vlan)
    if (from.test(vlan)) to[vlan / 64] |= __u64{1} << vlan % 64;
}

}  // namespace

// The bridge's part of `next`, whose bridge is set. After a take-over a bridge goes on as before until it is told
// otherwise, or nobody has said anything when all is configured.
void KernelDatapath::apply_bridge(const PortEntry& p, hd_port& next) const {
  const auto id = static_cast<BridgeId>(next.bridge);
  const auto it = policies_.find(id);
  if (it == policies_.end() && !settled_ && programs_->taken_over() && p.conf.bridge == next.bridge) return;
  next.flags &= ~kBridgeFlags;
  if (it == policies_.end()) return;
  const BridgePolicy& policy = it->second;
  if (policy.secure) next.flags |= HD_SECURE;
  if (policy.flood_vlans.any()) next.flags |= HD_FLOOD_VLANS;
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
}

Result<> KernelDatapath::set_bridge(BridgeId bridge, const BridgePolicy& policy) {
  const auto has = [&](const auto& b) { return b.second == bridge; };
  if (!std::ranges::any_of(bridges_, has))
    return fail(Errc::not_found, "no bridge number " + std::to_string(static_cast<int>(bridge)));
  if (!policy.mirrors.empty()) return fail(Errc::unsupported, "not yet");
  hd_bridge conf{};
  copy_vlans(conf.flood_vlans, policy.flood_vlans);
  if (auto ok = programs_->bridges.put(static_cast<__u32>(bridge), conf); !ok) return ok;
  policies_[bridge] = policy;
  return rewrite_ports(bridge);
}

MirrorCounters KernelDatapath::mirror_counters(BridgeId /*bridge*/, unsigned /*slot*/) const { return {}; }

}  // namespace heddle::dp
