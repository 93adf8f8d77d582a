// SPDX-License-Identifier: Apache-2.0
#include "ofproto-lite/switch.h"

#include <algorithm>
#include <ranges>

#include "base/log.h"

namespace heddle::ofproto {
namespace {

bool is_local(const std::string& bridge, const PortConfig& config) {
  return config.spec.kind == dp::PortKind::internal && config.spec.name == bridge;
}

bool same_vlans(const dp::PortPolicy& a, const dp::PortPolicy& b) {
  return a.vlan_mode == b.vlan_mode && a.tag == b.tag && a.trunks == b.trunks;
}

}  // namespace

// --- bridges ---

Switch::Switch(dp::Datapath& datapath, Handler& handler)
    : ports_facet_(datapath.ports()), bridges_facet_(datapath.bridges()), handler_(handler) {}

Switch::~Switch() = default;

std::string Switch::known_bridges() const {
  if (bridges_.empty()) return "there are no bridges";
  return fmt::format("bridges: {}", fmt::join(std::views::keys(bridges_), ", "));
}

Result<const Switch::Bridge*> Switch::find(const std::string& name) const {
  const auto it = bridges_.find(name);
  if (it != bridges_.end()) return &it->second;
  return fail(Errc::not_found, "bridge " + name + " does not exist; " + known_bridges());
}

Result<Switch::Bridge*> Switch::find(const std::string& name) {
  auto found = std::as_const(*this).find(name);
  if (!found) return std::unexpected(found.error());
  return const_cast<Bridge*>(*found);
}

Result<> Switch::push_bridge(const std::string& name, const Bridge& bridge) {
  FdbConfig config{name, bridge.config.aging, bridge.config.fdb_capacity, bridge.mac, dp::PortNo::none};
  if (const SwitchPort* local = port(name)) config.local = local->number;
  const auto r = handler_.call([&](Fdb& fdb) { return fdb.set_bridge(bridge.id, std::move(config)); });
  if (!r) return fail(r.error().code, "bridge " + name + ": " + r.error().text);
  return {};
}

Result<> Switch::add_bridge(const std::string& name, const BridgeConfig& config) {
  if (bridges_.contains(name)) return fail(Errc::exists, "bridge " + name + " exists already");
  const auto id = bridges_facet_.add(name);
  if (!id) return fail(id.error().code, "bridge " + name + ": " + id.error().text);
  Bridge& bridge = bridges_[name];
  bridge.id = *id;
  bridge.config = config;
  auto r = push_bridge(name, bridge);
  // Written whatever it is: a datapath that outlived its daemon has the policy of then.
  if (r) r = bridges_facet_.set(bridge.id, bridge.policy = resolve(name, bridge));
  if (!r) forget_bridge(name);
  return r;
}

// The handler first: what it still learns for the bridge would go to a number that is no bridge's any more.
void Switch::forget_bridge(const std::string& name) {
  const dp::BridgeId id = bridges_.at(name).id;
  handler_.call([id](Fdb& fdb) { fdb.remove_bridge(id); });
  bridges_facet_.remove(id);
  bridges_.erase(name);
}

Result<> Switch::set_bridge(const std::string& name, const BridgeConfig& config) {
  auto bridge = find(name);
  if (!bridge) return std::unexpected(bridge.error());
  const BridgeConfig old = std::exchange((*bridge)->config, config);
  auto r = push_bridge(name, **bridge);
  if (r) r = push_policy(name, **bridge);
  if (r) return r;
  (*bridge)->config = old;
  if (auto undo = push_bridge(name, **bridge); !undo) spdlog::warn("{}", undo.error().text);
  return r;
}

void Switch::remove_bridge(const std::string& name) {
  if (!bridges_.contains(name)) return;
  for (const std::string& port : ports())
    if (ports_.at(port).bridge == name) drop_port(port);
  forget_bridge(name);
}

const BridgeConfig* Switch::bridge(const std::string& name) const {
  const auto it = bridges_.find(name);
  return it == bridges_.end() ? nullptr : &it->second.config;
}

std::vector<std::string> Switch::bridges() const {
  const auto names = std::views::keys(bridges_);
  return {names.begin(), names.end()};
}

// --- ports ---

const SwitchPort* Switch::port(const std::string& name) const {
  const auto it = ports_.find(name);
  return it == ports_.end() ? nullptr : &it->second;
}

const std::string* Switch::port_name(dp::PortNo number) const {
  const auto it = names_.find(number);
  return it == names_.end() ? nullptr : &it->second;
}

std::vector<std::string> Switch::ports() const {
  const auto names = std::views::keys(ports_);
  return {names.begin(), names.end()};
}

Result<> Switch::add_port(const std::string& bridge_name, const PortConfig& config) {
  auto bridge = find(bridge_name);
  if (!bridge) return std::unexpected(bridge.error());
  const std::string& name = config.spec.name;
  if (const SwitchPort* other = port(name))
    return fail(Errc::exists, "port " + name + " is already in bridge " + other->bridge + "; remove it there first");
  const bool local = is_local(bridge_name, config);
  const auto ofport = local ? limits::kOfportLocal : (*bridge)->numbers.take(config.ofport_request);
  if (!ofport) return fail(Errc::limit, "port " + name + ": bridge " + bridge_name + " has no port number left");
  PortConfig placed = config;
  placed.policy.bridge = (*bridge)->id;
  const auto number = ports_facet_.apply(placed);
  if (!number) {
    (*bridge)->numbers.give_back(*ofport);
    return std::unexpected(number.error());
  }
  SwitchPort& port = ports_[name];
  port = {bridge_name, std::move(placed), *number, *ofport};
  names_[*number] = name;
  auto known = handler_.call([&](Fdb& fdb) { return fdb.add_port(*number, (*bridge)->id, name); });
  if (known) known = push_policy(bridge_name, **bridge);
  if (!known) drop_port(name);
  if (known && local) refresh(*number);
  return known;
}

Result<> Switch::set_port(const PortConfig& config) {
  const auto it = ports_.find(config.spec.name);
  if (it == ports_.end()) return fail(Errc::not_found, "port " + config.spec.name + " does not exist");
  SwitchPort& port = it->second;
  if (!dp::may_become(port.config.spec, config.spec))
    return fail(Errc::invalid, "port " + config.spec.name + ": another kind of port needs remove and add");
  const PortConfig old = std::exchange(port.config, config);
  port.config.policy.bridge = old.policy.bridge;
  if (auto r = ports_facet_.apply(port.config); !r) {
    port.config = old;
    return std::unexpected(r.error());
  }
  // What was learned under other VLAN rules may name VLANs that the port no longer carries.
  if (!same_vlans(old.policy, port.config.policy))
    handler_.call([&](Fdb& fdb) { return fdb.flush({.port = port.number}); });
  auto& numbers = bridges_.at(port.bridge).numbers;
  const auto wish = config.ofport_request;
  if (port.ofport != limits::kOfportLocal && wish && *wish != port.ofport && wish != old.ofport_request) {
    const OfPort before = port.ofport;
    port.ofport = numbers.take(wish).value_or(before);
    if (port.ofport != before) numbers.give_back(before);
  }
  return {};
}

// Out of the bridge first, so that no more is learned; then the entries; then the port itself. When its number is given
// out again nothing of it is left.
void Switch::drop_port(const std::string& name) {
  const auto it = ports_.find(name);
  const SwitchPort port = it->second;
  dp::PortConfig nowhere = port.config;
  nowhere.policy = {};
  if (auto r = ports_facet_.apply(nowhere); !r) spdlog::debug("port {}: {}", name, r.error().text);
  handler_.call([&](Fdb& fdb) { fdb.remove_port(port.number); });
  if (auto r = ports_facet_.remove(port.number); !r) spdlog::warn("removing port {}: {}", name, r.error().text);
  Bridge& bridge = bridges_.at(port.bridge);
  bridge.numbers.give_back(port.ofport);
  names_.erase(port.number);
  ports_.erase(it);
  if (auto r = push_policy(port.bridge, bridge); !r) spdlog::warn("{}", r.error().text);
}

Result<> Switch::remove_port(const std::string& name) {
  if (!ports_.contains(name)) return fail(Errc::not_found, "port " + name + " does not exist");
  drop_port(name);
  return {};
}

void Switch::refresh(dp::PortNo number) {
  const std::string* name = port_name(number);
  if (name == nullptr) return;
  const SwitchPort& port = ports_.at(*name);
  const dp::PortState now = state(port);
  // Whoever was behind a device that is gone is not there any more. (A tunnel without a route comes back as it was.)
  if (!now.present && !port.config.spec.is_tunnel())
    handler_.call([&](Fdb& fdb) { return fdb.flush({.port = number}); });
  if (!is_local(port.bridge, port.config)) return;
  Bridge& bridge = bridges_.at(port.bridge);
  if (!now.present || now.mac == bridge.mac) return;
  bridge.mac = now.mac;
  if (auto r = push_bridge(port.bridge, bridge); !r) spdlog::warn("{}", r.error().text);
}

// --- forwarding database, by name ---

Result<std::vector<FdbLine>> Switch::fdb_lines(const std::string& name) const {
  const auto bridge = find(name);
  if (!bridge) return std::unexpected(bridge.error());
  auto rows = handler_.call([&](Fdb& fdb) { return fdb.rows((*bridge)->id); });
  std::ranges::sort(rows, {}, &FdbRow::key);
  std::vector<FdbLine> lines;
  lines.reserve(rows.size());
  for (FdbRow& row : rows) {
    const std::string* port = port_name(row.target.port);
    lines.push_back({port != nullptr ? *port : "?", row});
  }
  return lines;
}

Result<FdbStats> Switch::fdb_stats(const std::string& name) const {
  const auto bridge = find(name);
  if (!bridge) return std::unexpected(bridge.error());
  return handler_.call([&](Fdb& fdb) { return fdb.stats((*bridge)->id); });
}

Result<std::size_t> Switch::fdb_flush(const std::string& name) {
  FdbFilter which;
  if (!name.empty()) {
    const auto bridge = find(name);
    if (!bridge) return std::unexpected(bridge.error());
    which.bridge = (*bridge)->id;
  }
  return handler_.call([&](Fdb& fdb) { return fdb.flush(which); });
}

Result<> Switch::fdb_add(const std::string& name, const std::string& port_name, dp::VlanId vlan, MacAddr mac) {
  const auto bridge = find(name);
  if (!bridge) return std::unexpected(bridge.error());
  const SwitchPort* to = port(port_name);
  if (to == nullptr || to->bridge != name) {
    std::vector<std::string> known;
    for (const auto& [other, p] : ports_)
      if (p.bridge == name) known.push_back(other);
    return fail(Errc::not_found,
                fmt::format("port {} is not in bridge {}; its ports: {}", port_name, name, fmt::join(known, ", ")));
  }
  if (!to->config.policy.carries(vlan))
    return fail(Errc::invalid, fmt::format("port {} does not carry VLAN {}", port_name, vlan));
  return handler_.call([&](Fdb& fdb) {
    return fdb.add_static({(*bridge)->id, vlan, mac}, {to->number, std::nullopt});
  });
}

Result<> Switch::fdb_remove(const std::string& name, dp::VlanId vlan, MacAddr mac) {
  const auto bridge = find(name);
  if (!bridge) return std::unexpected(bridge.error());
  auto r = handler_.call([&](Fdb& fdb) { return fdb.remove({(*bridge)->id, vlan, mac}); });
  if (!r) return fail(r.error().code, "bridge " + name + ": " + r.error().text);
  return {};
}

}  // namespace heddle::ofproto
