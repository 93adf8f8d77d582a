// SPDX-License-Identifier: Apache-2.0
#include "datapath/user/user_ports.h"

#include <utility>

#include "base/log.h"

namespace heddle::dp {

Result<PortNo> UserPorts::apply(const PortConfig& config) {
  Port* p = ports_.find(config.spec.name);
  if (p == nullptr) {
    const auto no = add(config.spec);
    if (!no) return no;
    if (auto ok = configure(*ports_.find(*no), config); !ok) {
      (void)remove(*no);
      return std::unexpected(ok.error());
    }
    return no;
  }
  if (!may_become(p->config.spec, config.spec))
    return fail(Errc::exists, "port " + config.spec.name + " is in the switch already, as another kind of port");
  if (config.policy.bridge != BridgeId::none) {
    const Batch batch(*this);  // publishes
    parts_.devices.try_again(p->no);
    if (config.spec.is_tunnel()) parts_.tunnels.try_again();
  }
  const PortConfig before = p->config;
  if (auto ok = configure(*p, config); !ok) {
    if (auto undo = configure(*p, before); !undo)
      spdlog::warn("port {}: restoring its former settings: {}", config.spec.name, undo.error().text);
    return std::unexpected(ok.error());
  }
  return p->no;
}

Result<PortNo> UserPorts::add(const PortSpec& spec) {
  if (spec.traits().has_peer)
    if (auto ok = PatchPeers::check(spec); !ok) return std::unexpected(ok.error());
  if (auto ok = parts_.workers.start(); !ok) return std::unexpected(ok.error());
  const auto no = ports_.free_number();
  if (!no) return no;
  if (spec.is_tunnel())
    if (auto ok = parts_.tunnels.add(*no, spec); !ok) return std::unexpected(ok.error());
  Port& p = ports_.add(*no, spec.name);
  p.no = *no;
  p.config.spec = spec;
  p.shared = std::make_unique<PortShared>(parts_.workers.size());
  if (spec.traits().has_device) parts_.devices.add(*no, spec, *p.shared);
  const auto* tunnel = parts_.tunnels.find(*no);
  parts_.stations.add_port(*no, *p.shared, tunnel == nullptr ? 0 : tunnel->path, spec.multipoint());
  if (spec.traits().has_peer) write_peer(parts_.peers.add(*no, spec, *p.shared));
  write(p);
  // Nothing is forwarded by a port without a bridge: the workers hear of it with its policy, which comes next.
  if (spec.traits().has_peer) parts_.workers.draft().publish_addition(batching());
  return no;
}

Result<> UserPorts::remove(PortNo no) {
  const Port* p = ports_.find(no);
  if (p == nullptr) return fail(Errc::not_found, "no port " + std::to_string(static_cast<int>(no)));
  const PortSpec spec = p->config.spec;
  ConfigDraft& draft = parts_.workers.draft();
  parts_.stations.remove_port(no);
  draft.remove_port(no);
  ports_.forget_name(spec.name);
  if (spec.traits().has_peer) write_peer(parts_.peers.remove(spec.name));
  if (spec.traits().has_device) {
    parts_.devices.remove(no);  // publishes
  } else {
    draft.publish();
  }
  parts_.tunnels.remove(no);
  ports_.remove(no, spec.name);
  return {};
}

void UserPorts::remove_all() {
  while (!ports_.empty())
    if (auto ok = remove(ports_.begin()->first); !ok) return spdlog::error("clean-up: {}", ok.error().text);
}

void UserPorts::batch_closed() {
  if (parts_.workers.running()) parts_.workers.draft().publish_deferred();
}

Result<> UserPorts::configure(Port& p, const PortConfig& config) {
  p.config.spec.mac = config.spec.mac;
  p.config.spec.mtu = config.spec.mtu;
  parts_.devices.set_spec(p.no, p.config.spec);
  if (config.policy != p.config.policy)
    if (auto ok = set_policy(p, config.policy); !ok) return ok;
  if (config.flood != p.config.flood)
    if (auto ok = set_flood(p, config.flood); !ok) return ok;
  if (config.qos != p.config.qos) set_qos(p, config.qos);
  return {};
}

Result<> UserPorts::set_policy(Port& p, const PortPolicy& policy) {
  if (policy.bridge != BridgeId::none && static_cast<std::size_t>(policy.bridge) >= limits::kBridges)
    return fail(Errc::invalid, "bridge number out of range");
  const PortPolicy before = std::exchange(p.config.policy, policy);
  write(p);
  if (before == PortPolicy{}) {
    parts_.workers.draft().publish_addition(batching());
  } else {
    parts_.workers.draft().publish();
  }
  // Not before: a worker may have been charging a frame at the old rate until now, and a slow rate charges minutes.
  if (before.policing != policy.policing) p.shared->policed.reset();
  return {};
}

Result<> UserPorts::set_flood(Port& p, const std::vector<IpAddr>& remotes) {
  const auto former = parts_.tunnels.set_flood(p.no, remotes);
  if (!former) return std::unexpected(former.error());
  p.config.flood = remotes;
  write(p);
  parts_.workers.draft().publish();
  parts_.tunnels.release(*former);
  return {};
}

void UserPorts::set_qos(Port& p, const std::optional<QosSpec>& qos) {
  p.config.qos = qos;
  const auto possible = qos ? check_qos(p.config.spec, *qos) : Result<>{};
  p.qos_error = possible ? "" : possible.error().text;
  p.qos = qos && possible ? QosConf::make(*qos, p.qos.get()) : nullptr;
  parts_.devices.set_qos(p.no, p.qos);
}

// Puts the port into the draft, as it is now.
void UserPorts::write(const Port& p) {
  const PortConfig& config = p.config;
  auto conf = std::make_shared<PortConf>();
  conf->no = p.no;
  conf->kind = config.spec.kind;
  conf->io = parts_.devices.slot(p.no);
  conf->policy = config.policy;
  conf->tunnel_spec = config.spec.tunnel;
  if (const auto* tunnel = parts_.tunnels.find(p.no); tunnel != nullptr) {
    conf->path = tunnel->path;
    conf->flood = tunnel->flood;
  }
  conf->peer = parts_.peers.peer_of(config.spec.name);
  conf->shared = p.shared.get();
  conf->bridge = parts_.stations.bridge(config.policy.bridge);
  conf->rules = parts_.bridges.rules(config.policy.bridge);
  conf->derive();
  parts_.workers.draft().set_port(std::move(conf));
}

void UserPorts::write_peer(PortNo peer) {
  if (const Port* p = ports_.find(peer); p != nullptr) write(*p);
}

void UserPorts::take_rules(BridgeId bridge) {
  if (!parts_.workers.running()) return;
  if (const auto rules = parts_.bridges.rules(bridge))
    for (const MirrorRule& mirror : rules->mirrors)
      if (const Port* out = ports_.find(mirror.spec.output); out != nullptr && out->config.spec.multipoint())
        spdlog::warn("mirror to port {}: a multipoint tunnel gets no copies; use one with a remote_ip",
                     out->config.spec.name);
  for (const auto& [no, port] : ports_)
    if (port.config.policy.bridge == bridge) write(port);
  parts_.workers.draft().publish();
}

PortState UserPorts::state(PortNo no) const {
  PortState s;
  const Port* p = ports_.find(no);
  if (p == nullptr) {
    s.error = "no such port";
    return s;
  }
  s.qos_error = p->qos_error;
  parts_.devices.add_state(no, s);
  parts_.tunnels.add_state(no, s);
  if (p->config.spec.traits().has_peer) {
    s.present = true;
    s.admin_up = true;
    s.link_up = parts_.peers.peer_of(p->config.spec.name) != PortNo::none;
    s.details = {{"peer", p->config.spec.peer}};
  }
  return s;
}

PortCounters UserPorts::counters(PortNo no) const {
  PortCounters sum;
  const Port* p = ports_.find(no);
  if (p == nullptr) return sum;
  for (const auto& w : p->shared->worker) w.counters.add_to(sum);
  parts_.devices.add_counters(no, sum);
  return sum;
}

std::map<std::uint32_t, QueueCounters> UserPorts::queue_counters(PortNo no) const {
  std::map<std::uint32_t, QueueCounters> out;
  const Port* p = ports_.find(no);
  if (p == nullptr || !p->qos) return out;
  for (const auto& [number, shared] : p->qos->queues)
    out[number] = {shared->packets.get(), shared->bytes.get(), shared->dropped.get()};
  return out;
}

}  // namespace heddle::dp
