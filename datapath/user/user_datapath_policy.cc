// SPDX-License-Identifier: Apache-2.0
// Bridge policies, patch ports and QoS.
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
  if (draft_) draft_->publish();
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

// The port that this one names and that names this one; a pair may come in any order, and either may go.
PortNo UserDatapath::peer_of(const PortEntry& p) const {
  if (p.spec.kind != PortKind::patch) return PortNo::none;
  const auto it = by_name_.find(p.spec.peer);
  const PortEntry* peer = it == by_name_.end() ? nullptr : find(it->second);
  const bool mutual = peer != nullptr && peer->spec.kind == PortKind::patch && peer->spec.peer == p.spec.name;
  return mutual && by_name_.contains(p.spec.name) ? peer->no : PortNo::none;
}

// After the port came, or when its name is gone: tells its peer. The caller publishes.
void UserDatapath::meet_peer(const PortEntry& p) {
  if (p.spec.kind != PortKind::patch) return;
  p.shared->up.store(peer_of(p) != PortNo::none, std::memory_order_relaxed);
  const auto it = by_name_.find(p.spec.peer);
  const PortEntry* peer = it == by_name_.end() ? nullptr : find(it->second);
  if (peer == nullptr || peer->spec.kind != PortKind::patch || peer->spec.peer != p.spec.name) return;
  peer->shared->up.store(peer_of(*peer) != PortNo::none, std::memory_order_relaxed);
  put_conf(*peer);
  met_.insert(peer->no);
  patched_.raise();
}

PortState UserDatapath::patch_state(const PortEntry& p) const {
  PortState s;
  s.present = true;
  s.admin_up = true;
  s.link_up = peer_of(p) != PortNo::none;
  s.details = {{"peer", p.spec.peer}};
  return s;
}

Result<> UserDatapath::set_qos(PortNo no, const std::optional<QosSpec>& qos) {
  PortEntry* p = find(no);
  if (p == nullptr) return fail(Errc::not_found, "no port " + std::to_string(static_cast<int>(no)));
  if (!qos && !p->qos) return {};
  if (!has_device(*p))
    return fail(Errc::unsupported,
                "port " + p->spec.name + " has no device of its own: QoS belongs on the port that its frames leave by");
  if (qos && qos->max_rate == 0) return fail(Errc::invalid, "QoS of port " + p->spec.name + " needs a max-rate");
  if (qos && (qos->queues.size() > limits::kQueues ||
              (!qos->queues.empty() && qos->queues.rbegin()->first > limits::kQueueMax)))
    return fail(Errc::limit, "QoS of port " + p->spec.name + ": at most " + std::to_string(limits::kQueues) +
                                 " queues, numbers up to " + std::to_string(limits::kQueueMax));
  if (qos && p->qos && p->qos->spec == *qos) return {};
  p->qos = qos ? QosConf::make(*qos, p->qos.get()) : nullptr;
  if (p->slot == kNoIo) return {};
  draft_->set_qos(p->slot, p->qos);
  draft_->publish();
  return {};
}

std::map<std::uint32_t, QueueCounters> UserDatapath::queue_counters(PortNo no) const {
  std::map<std::uint32_t, QueueCounters> out;
  const PortEntry* p = find(no);
  if (p == nullptr || !p->qos) return out;
  for (const auto& [number, shared] : p->qos->queues)
    out[number] = {shared->packets.get(), shared->bytes.get(), shared->dropped.get()};
  return out;
}

}  // namespace heddle::dp
