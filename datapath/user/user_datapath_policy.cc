// Bridge policies and QoS.
#include "base/log.h"
#include "datapath/user/user_datapath_impl.h"

namespace heddle::dp {

Result<> UserDatapath::set_bridge(BridgeId bridge, const BridgePolicy& policy) {
  if (static_cast<std::size_t>(bridge) >= limits::kBridges) return fail(Errc::invalid, "bridge number out of range");
  for (const auto& [slot, mirror] : policy.mirrors) {
    if (slot >= limits::kMirrors)
      return fail(Errc::limit, "a bridge has at most " + std::to_string(limits::kMirrors) + " mirrors");
    const PortEntry* out = find(mirror.output);
    if (out != nullptr && out->spec.kind == PortKind::vxlan && !out->spec.vxlan.remote)
      spdlog::warn("mirror to port {}: a multipoint tunnel gets no copies; use one with a remote_ip", out->spec.name);
  }
  const auto before = rules_.find(bridge);
  auto rules = BridgeRules::make(policy, before == rules_.end() ? nullptr : before->second.get(), options_.workers);
  if (!rules && before == rules_.end()) return {};
  if (rules) {
    rules_[bridge] = std::move(rules);
  } else {
    rules_.erase(before);
  }
  for (const auto& [no, port] : ports_)
    if (port.policy.bridge == bridge) put_conf(port);
  draft_->publish();
  return {};
}

MirrorCounters UserDatapath::mirror_counters(BridgeId bridge, unsigned slot) const {
  MirrorCounters sum;
  const auto rules = rules_.find(bridge);
  const MirrorRule* mirror = rules == rules_.end() ? nullptr : rules->second->mirror(slot);
  if (mirror == nullptr) return sum;
  for (const auto& w : mirror->shared->worker) {
    sum.tx_packets += w.packets.get();
    sum.tx_bytes += w.bytes.get();
  }
  return sum;
}

Result<> UserDatapath::set_qos(PortNo /*no*/, const std::optional<QosSpec>& qos) {
  if (!qos) return {};
  return fail(Errc::unsupported, "not yet");
}
std::map<std::uint32_t, QueueCounters> UserDatapath::queue_counters(PortNo /*no*/) const { return {}; }

}  // namespace heddle::dp
