// SPDX-License-Identifier: Apache-2.0
#include "datapath/kernel/kernel_ports.h"

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "datapath/control/netdev.h"

namespace heddle::dp {

KernelPorts::KernelPorts(const Parts& parts)
    : parts_(parts),
      policies_(parts.programs),
      table_(parts.programs, parts.events),
      devices_(parts.own, parts.pins, parts.programs, table_, parts.former, parts.time),
      tunnels_(parts.programs, parts.own, parts.remotes, parts.fdb, table_,
               VxlanDevices(parts.own, parts.pins, parts.programs), ports_, parts.keep_socket),
      floods_(parts.programs, parts.time, ports_, parts.former),
      resting_(parts.programs.grace()) {}

const KindSet& KernelPorts::kinds() const {
  static const KindSet all{PortKind::netdev, PortKind::tap, PortKind::internal, PortKind::vxlan, PortKind::patch};
  return all;
}

// --- configuration ---

Result<PortNo> KernelPorts::apply(const PortConfig& config) {
  if (PortEntry* p = ports_.find(config.spec.name)) {
    if (!may_become(p->spec(), config.spec))
      return fail(Errc::exists, "port " + config.spec.name + " is in the switch already, as another kind of port");
    if (config.policy.bridge != BridgeId::none) {
      if (p->is_tunnel()) {
        tunnels_.try_again(*p);
      } else if (!p->device.attached()) {
        replace_device(*p);
      }
    }
    const PortConfig before = p->config;
    if (auto ok = configure(*p, config); !ok) {
      if (auto undo = configure(*p, before); !undo)
        spdlog::warn("port {}: restoring its former settings: {}", p->name(), undo.error().text);
      return std::unexpected(ok.error());
    }
    tunnels_.guard().on_port(config.spec, batching());
    return p->no;
  }
  const auto made = add(config.spec);
  if (!made) return std::unexpected(made.error());
  PortEntry& p = **made;
  // Written whatever it is: after a take-over the programs have the policy of the former life.
  auto ok = set_policy(p, config.policy);
  if (ok) ok = configure(p, config);
  if (ok) {
    tunnels_.guard().on_port(config.spec, batching());
    return p.no;
  }
  (void)remove(p.no);
  return std::unexpected(ok.error());
}

Result<PortEntry*> KernelPorts::add(const PortSpec& spec) {
  if (spec.name.size() >= HD_NAME)
    return fail(Errc::limit, "port names have at most " + std::to_string(HD_NAME - 1) + " characters");
  if (spec.traits().has_peer)
    if (auto ok = PatchPairs::check(spec); !ok) return std::unexpected(ok.error());
  TakeOver& former = parts_.former;
  const auto known = former.port(spec.name, spec.kind);
  const auto no =
      known ? Result<PortNo>(known->no) : ports_.free_number([&](PortNo number) { return former.reserves(number); });
  if (!no) return std::unexpected(no.error());
  resting_.wait_for(*no);
  PortEntry& p = ports_.add(*no, spec.name);
  p.no = *no;
  p.config.spec = spec;
  if (!known) table_.reset_slot(*no);
  table_.read(p);
  if (p.is_tunnel()) {
    if (auto ok = tunnels_.add(p); !ok) {
      former.claim_port(spec.name);
      forget(p);
      return std::unexpected(ok.error());
    }
  } else {
    parts_.fdb.add_port(*no, {});
    devices_.open(p);
    // Whoever was behind another device is not there any more.
    if (known && p.device.hook.ifindex() != known->ifindex) {
      devices_.free_left_over(known->ifindex, known->made_clsact);
      parts_.fdb.remove_port(*no);
      parts_.fdb.add_port(*no, {});
    }
  }
  if (known) former.claim_port(spec.name);
  table_.remember(p);
  return &p;
}

Result<> KernelPorts::configure(PortEntry& p, const PortConfig& config) {
  p.config.spec.mac = config.spec.mac;
  p.config.spec.mtu = config.spec.mtu;
  if (config.policy != p.config.policy)
    if (auto ok = set_policy(p, config.policy); !ok) return ok;
  if (config.flood != p.config.flood)
    if (auto ok = set_flood(p, config.flood); !ok) return ok;
  set_qos(p, config.qos);
  return {};
}

Result<> KernelPorts::set_policy(PortEntry& p, const PortPolicy& policy) {
  if (policy.bridge != BridgeId::none && static_cast<std::size_t>(policy.bridge) >= limits::kBridges)
    return fail(Errc::invalid, "bridge number out of range");
  hd_port next = p.conf;
  PortTable::write_policy(policy, next);
  write_bridge_flags(p, next);
  if (auto ok = table_.write_policer(p.no, policy.policing); !ok) return ok;
  if (auto ok = table_.write(p, next); !ok) return ok;
  const BridgeId before = std::exchange(p.config.policy, policy).bridge;
  if (before == BridgeId::none) {
    floods_.rebuild_addition(policy.bridge, batching());
    return {};
  }
  floods_.rebuild(policy.bridge);
  if (before != policy.bridge) floods_.rebuild(before);
  return {};
}

Result<> KernelPorts::set_flood(PortEntry& p, const std::vector<IpAddr>& remotes) {
  std::vector<std::uint32_t> before;
  if (auto ok = tunnels_.set_flood(p, remotes, before); !ok) return ok;
  p.config.flood = remotes;
  floods_.rebuild(p.config.policy.bridge);
  tunnels_.release(before);
  return {};
}

// A QoS that is not in force is tried again by every call: its cause may be gone.
void KernelPorts::set_qos(PortEntry& p, const std::optional<QosSpec>& qos) {
  if (p.config.qos == qos && p.shaping.in_force == qos.has_value()) return;
  p.config.qos = qos;
  devices_.apply_qos(p);
}

// After a take-over a bridge goes on as before until its policy comes: at the latest when all is configured, see
// KernelDatapath::settle().
void KernelPorts::write_bridge_flags(const PortEntry& p, hd_port& next) const {
  const bool as_before = !policies_.knows(static_cast<BridgeId>(next.bridge)) && parts_.former.going_on();
  if (as_before && p.conf.bridge == next.bridge) return;
  policies_.write_flags(p.no, next);
}

Result<> KernelPorts::on_bridge_policy(BridgeId bridge) {
  for (auto& [no, p] : ports_) {
    if (p.config.policy.bridge != bridge) continue;
    hd_port next = p.conf;
    write_bridge_flags(p, next);
    if (auto ok = table_.write(p, next); !ok) return ok;
  }
  floods_.rebuild(bridge);
  return {};
}

void KernelPorts::on_bridge_removed(BridgeId bridge) {
  floods_.forget(bridge);
  policies_.forget(bridge);
}

Result<> KernelPorts::remove(PortNo no) {
  PortEntry* p = ports_.find(no);
  if (p == nullptr) return fail(Errc::not_found, "no port " + std::to_string(static_cast<int>(no)));
  PortPolicy nowhere;
  nowhere.bridge = BridgeId::none;
  (void)set_policy(*p, nowhere);
  parts_.fdb.remove_port(no);
  if (p->is_tunnel()) {
    tunnels_.remove(*p);
  } else {
    devices_.remove(*p);
  }
  const PortSpec spec = p->spec();
  forget(*p);
  tunnels_.guard().on_port(spec, batching());
  return {};
}

void KernelPorts::forget(PortEntry& p) {
  resting_.add(p.no);
  table_.reset_slot(p.no);
  table_.forget(p.no);
  const std::string name = p.name();
  ports_.remove(p.no, name);
}

void KernelPorts::lose_device(PortEntry& p, const std::string& why) {
  devices_.close(p, why);
  table_.remember(p);
}

void KernelPorts::replace_device(PortEntry& p) {
  if (p.device.attached()) devices_.close(p, "replaced");
  if (devices_.open(p)) floods_.rebuild_addition(p.config.policy.bridge, batching());
  table_.remember(p);
}

void KernelPorts::batch_closed() {
  floods_.rebuild_deferred();
  tunnels_.guard().update();
}

// --- the end of a take-over ---

void KernelPorts::settle() {
  for (const auto& [name, former] : parts_.former.ports()) {
    spdlog::info("kernel datapath: port {} is not configured any more", name);
    table_.reset_slot(former.no);
    devices_.free_left_over(former.ifindex, former.made_clsact);
    table_.forget(former.no);
    resting_.add(former.no);
    parts_.fdb.remove_port(former.no);
  }
  while (!parts_.former.ports().empty()) {
    const std::string name = parts_.former.ports().begin()->first;
    parts_.former.claim_port(name);
  }
  std::set<int> ours;                // devices with a program
  std::set<std::string> configured;  // pairs of internal and patch ports, also of those in error
  for (const auto& [no, p] : ports_) {
    ours.insert(p.device.hook.ifindex());
    if (p.is_pair()) configured.insert({p.name(), InternalPairs::far_name(p.name())});
    if (p.is_patch())
      configured.insert({PatchPairs::end_name(p.name(), p.spec().peer), PatchPairs::end_name(p.spec().peer, p.name())});
  }
  for (const auto& link : tunnels_.devices().links()) ours.insert(link.index);
  parts_.own.remove_others(ours, configured);
  devices_.drop_left_overs(ours);
  tunnels_.drop_stale();
  tunnels_.drop_stale_routes();
  tunnels_.guard().settle();
  for (auto& [no, p] : ports_)
    if (!p.is_tunnel()) devices_.drop_left_over_queues(p);
}

// --- what is known ---

PortState KernelPorts::state(PortNo no) const {
  PortState s;
  const PortEntry* p = ports_.find(no);
  if (p == nullptr) {
    s.error = "no such port";
    return s;
  }
  if (p->is_tunnel()) {
    s = tunnels_.state(*p, parts_.own.kernel());
  } else {
    s = devices_.state(*p);
  }
  s.qos_error = p->shaping.error;
  return s;
}

PortCounters KernelPorts::counters(PortNo no) const {
  const PortEntry* p = ports_.find(no);
  if (p == nullptr) return {};
  PortCounters sum = table_.counters(no);
  sum.drops[static_cast<std::size_t>(Drop::shaped)] += devices_.shapers().drops(*p);
  add_card_errors(parts_.own.kernel(), p->device.link, sum);
  return sum;
}

std::map<std::uint32_t, QueueCounters> KernelPorts::queue_counters(PortNo no) const {
  const PortEntry* p = ports_.find(no);
  if (p == nullptr) return {};
  return devices_.shapers().counters(*p);
}

}  // namespace heddle::dp
