// SPDX-License-Identifier: Apache-2.0
// Bridge policies, patch ports and QoS.
#include "base/log.h"
#include "datapath/user/user_datapath_impl.h"

namespace heddle::dp {

Result<> UserDatapath::set(BridgeId bridge, const BridgePolicy& policy) {
  if (static_cast<std::size_t>(bridge) >= limits::kBridges) return fail(Errc::invalid, "bridge number out of range");
  for (const auto& [slot, mirror] : policy.mirrors) {
    if (slot >= limits::kMirrors)
      return fail(Errc::limit, "a bridge has at most " + std::to_string(limits::kMirrors) + " mirrors");
    const PortEntry* out = find(mirror.output);
    if (out != nullptr && out->spec.multipoint())
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
  if (!p.spec.traits().has_peer) return PortNo::none;
  const auto it = by_name_.find(p.spec.peer);
  const PortEntry* peer = it == by_name_.end() ? nullptr : find(it->second);
  const bool mutual = peer != nullptr && peer->spec.traits().has_peer && peer->spec.peer == p.spec.name;
  return mutual && by_name_.contains(p.spec.name) ? peer->no : PortNo::none;
}

// After the port came, or when its name is gone: tells its peer. The caller publishes.
void UserDatapath::meet_peer(const PortEntry& p) {
  if (!p.spec.traits().has_peer) return;
  p.shared->up.store(peer_of(p) != PortNo::none, std::memory_order_relaxed);
  const auto it = by_name_.find(p.spec.peer);
  const PortEntry* peer = it == by_name_.end() ? nullptr : find(it->second);
  if (peer == nullptr || !peer->spec.traits().has_peer || peer->spec.peer != p.spec.name) return;
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

void UserDatapath::set_qos(PortEntry& p, const std::optional<QosSpec>& qos) {
  if (p.qos_asked == qos) return;
  p.qos_asked = qos;
  const auto possible = qos ? check_qos(p.spec, *qos) : Result<>{};
  p.qos_error = possible ? "" : possible.error().text;
  const bool before = p.qos != nullptr;
  p.qos = qos && possible ? QosConf::make(*qos, p.qos.get()) : nullptr;
  if (p.slot == kNoIo || (!before && !p.qos)) return;
  draft_->set_qos(p.slot, p.qos);
  draft_->publish();
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
