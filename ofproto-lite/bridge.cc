// SPDX-License-Identifier: Apache-2.0
#include "ofproto-lite/bridge.h"

#include <utility>

#include "base/log.h"

namespace heddle::ofproto {
namespace {

bool same_vlans(const dp::PortPolicy& a, const dp::PortPolicy& b) {
  return a.vlan_mode == b.vlan_mode && a.tag == b.tag && a.trunks == b.trunks;
}

}  // namespace

Bridge::Bridge(const Provider& provider, const std::string& name, dp::BridgeId id, const BridgeConfig& config)
    : provider_(provider), name_(name), id_(id), config_(config), fdb_(provider.handler, name, id, ports_) {}

Result<std::unique_ptr<Bridge>> Bridge::make(const Provider& provider, const std::string& name,
                                             const BridgeConfig& config) {
  const auto id = provider.bridges.add(name);
  if (!id) return fail(id.error().code, "bridge " + name + ": " + id.error().text);
  std::unique_ptr<Bridge> bridge(new Bridge(provider, name, *id, config));
  auto r = bridge->push_settings();
  // Written even when it is empty: a datapath that outlived its daemon has the policy of then.
  if (r) r = bridge->write_policy(bridge->resolve_policy());
  if (r) return bridge;
  bridge->close();
  return std::unexpected(r.error());
}

// The handler first: it would put further entries under a number that may be another bridge's by then.
void Bridge::close() {
  while (!ports_.empty()) drop_port(ports_.begin());
  fdb_.close();
  provider_.bridges.remove(id_);
}

// --- settings ---

bool Bridge::is_local(const PortConfig& config) const {
  return config.spec.kind == dp::PortKind::internal && config.spec.name == name_;
}

Result<> Bridge::push_settings() {
  FdbConfig config{.aging = config_.aging, .capacity = config_.fdb_capacity, .mac = mac_};
  if (const SwitchPort* local = port(name_)) config.local = local->number;
  return fdb_.configure(std::move(config));
}

dp::BridgePolicy Bridge::resolve_policy() {
  return {config_.secure, config_.flood_vlans, mirrors_.resolve(config_.mirrors, ports_), config_.flood_unknown};
}

Result<> Bridge::write_policy(dp::BridgePolicy policy) {
  if (auto r = provider_.bridges.set(id_, policy); !r)
    return fail(r.error().code, "bridge " + name_ + ": " + r.error().text);
  policy_ = std::move(policy);
  return {};
}

Result<> Bridge::push_policy() {
  dp::BridgePolicy next = resolve_policy();
  if (next == policy_) return {};
  const dp::BridgePolicy old = policy_;
  auto r = write_policy(std::move(next));
  if (r) fdb_.forget(old, policy_);
  return r;
}

Result<> Bridge::set(const BridgeConfig& config) {
  BridgeConfig old = std::exchange(config_, config);
  auto r = push_settings();
  if (r) r = push_policy();
  if (r) return r;
  config_ = std::move(old);
  if (auto undo = push_settings(); !undo) spdlog::warn("{}", undo.error().text);
  return r;
}

std::optional<dp::MirrorCounters> Bridge::mirror_counters(const std::string& mirror) const {
  const auto slot = mirrors_.slot(mirror);
  if (!slot) return std::nullopt;
  return provider_.bridges.mirror_counters(id_, *slot);
}

// --- ports ---

const SwitchPort* Bridge::port(const std::string& name) const {
  const auto it = ports_.find(name);
  return it == ports_.end() ? nullptr : &it->second;
}

Result<const SwitchPort*> Bridge::add_port(const PortConfig& config) {
  const std::string& name = config.spec.name;
  const bool local = is_local(config);
  const auto ofport = local ? limits::kOfportLocal : numbers_.take(config.ofport_request);
  if (!ofport) return fail(Errc::limit, "port " + name + ": bridge " + name_ + " has no port number left");
  PortConfig placed = config;
  placed.policy.bridge = id_;
  const auto number = provider_.ports.apply(placed);
  if (!number) {
    numbers_.give_back(*ofport);
    return std::unexpected(number.error());
  }
  const auto it = ports_.insert_or_assign(name, SwitchPort{name_, std::move(placed), *number, *ofport}).first;
  auto known = fdb_.add_port(it->second);
  if (known) known = push_policy();
  if (!known) {
    drop_port(it);
    return std::unexpected(known.error());
  }
  if (local) refresh(it->second);
  return &it->second;
}

Result<> Bridge::set_port(const PortConfig& config) {
  const auto it = ports_.find(config.spec.name);
  if (it == ports_.end()) return fail(Errc::not_found, "port " + config.spec.name + " does not exist");
  SwitchPort& port = it->second;
  if (!dp::may_become(port.config.spec, config.spec))
    return fail(Errc::invalid, "port " + config.spec.name + ": another kind of port needs remove and add");
  const PortConfig old = std::exchange(port.config, config);
  port.config.policy.bridge = id_;
  if (auto r = provider_.ports.apply(port.config); !r) {
    port.config = old;
    return std::unexpected(r.error());
  }
  // Entries learned under other VLAN rules may be in VLANs that the port no longer carries.
  if (!same_vlans(old.policy, port.config.policy)) fdb_.forget(port.number);
  renumber(port, old);
  return {};
}

void Bridge::renumber(SwitchPort& port, const PortConfig& old) {
  const auto wish = port.config.ofport_request;
  if (port.ofport == limits::kOfportLocal || !wish || *wish == port.ofport || wish == old.ofport_request) return;
  const OfPort before = port.ofport;
  port.ofport = numbers_.take(wish).value_or(before);
  if (port.ofport != before) numbers_.give_back(before);
}

// Out of the bridge first, so that no more is learned; then the entries; then the port itself. When its number is given
// out again nothing of it is left.
void Bridge::drop_port(PortsByName::iterator it) {
  const SwitchPort port = it->second;
  const std::string& name = port.config.spec.name;
  dp::PortConfig nowhere = port.config;
  nowhere.policy = {};
  if (auto r = provider_.ports.apply(nowhere); !r) spdlog::debug("port {}: {}", name, r.error().text);
  fdb_.remove_port(port.number);
  if (auto r = provider_.ports.remove(port.number); !r) spdlog::warn("removing port {}: {}", name, r.error().text);
  numbers_.give_back(port.ofport);
  ports_.erase(it);
  if (auto r = push_policy(); !r) spdlog::warn("{}", r.error().text);
}

Result<> Bridge::remove_port(const std::string& name) {
  const auto it = ports_.find(name);
  if (it == ports_.end()) return fail(Errc::not_found, "port " + name + " does not exist");
  drop_port(it);
  return {};
}

void Bridge::refresh(const SwitchPort& port) {
  const dp::PortState now = provider_.ports.state(port.number);
  // The stations behind a device that is gone are gone with it. A tunnel without a route comes back as it was.
  if (!now.present && !port.config.spec.is_tunnel()) fdb_.forget(port.number);
  if (!is_local(port.config) || !now.present || now.mac == mac_) return;
  mac_ = now.mac;
  if (auto r = push_settings(); !r) spdlog::warn("{}", r.error().text);
}

}  // namespace heddle::ofproto
