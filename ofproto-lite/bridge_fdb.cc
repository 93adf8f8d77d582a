// SPDX-License-Identifier: Apache-2.0
#include "ofproto-lite/bridge_fdb.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <ranges>
#include <set>
#include <utility>

namespace heddle::ofproto {

BridgeFdb::BridgeFdb(Handler& handler, std::string bridge, dp::BridgeId id, const PortsByName& ports)
    : handler_(handler), bridge_(std::move(bridge)), id_(id), ports_(ports) {}

// --- for an operator ---

std::vector<FdbLine> BridgeFdb::lines() const {
  auto rows = handler_.call([&](Fdb& fdb) { return fdb.rows(id_); });
  std::ranges::sort(rows, {}, &FdbRow::key);
  std::map<dp::PortNo, const std::string*> names;
  for (const auto& [name, port] : ports_) names[port.number] = &name;
  std::vector<FdbLine> lines;
  lines.reserve(rows.size());
  for (FdbRow& row : rows) {
    const auto name = names.find(row.target.port);
    lines.push_back({name != names.end() ? *name->second : "?", row});
  }
  return lines;
}

FdbStats BridgeFdb::stats() const {
  return handler_.call([&](Fdb& fdb) { return fdb.stats(id_); });
}

std::size_t BridgeFdb::flush() {
  return handler_.call([&](Fdb& fdb) { return fdb.flush({.bridge = id_}); });
}

Result<> BridgeFdb::add(const std::string& port, dp::VlanId vlan, MacAddr mac) {
  const auto to = ports_.find(port);
  if (to == ports_.end())
    return fail(Errc::not_found, fmt::format("port {} is not in bridge {}; its ports: {}", port, bridge_,
                                             fmt::join(std::views::keys(ports_), ", ")));
  if (!to->second.config.policy.carries(vlan))
    return fail(Errc::invalid, fmt::format("port {} does not carry VLAN {}", port, vlan));
  return handler_.call([&](Fdb& fdb) { return fdb.add_static({id_, vlan, mac}, {to->second.number, std::nullopt}); });
}

Result<> BridgeFdb::remove(dp::VlanId vlan, MacAddr mac) {
  auto r = handler_.call([&](Fdb& fdb) { return fdb.remove({id_, vlan, mac}); });
  if (!r) return fail(r.error().code, "bridge " + bridge_ + ": " + r.error().text);
  return {};
}

// --- for the Bridge ---

Result<> BridgeFdb::configure(FdbConfig config) {
  config.name = bridge_;
  auto r = handler_.call([&](Fdb& fdb) { return fdb.set_bridge(id_, std::move(config)); });
  if (!r) return fail(r.error().code, "bridge " + bridge_ + ": " + r.error().text);
  return {};
}

Result<> BridgeFdb::add_port(const SwitchPort& port) {
  return handler_.call([&](Fdb& fdb) { return fdb.add_port(port.number, id_, port.config.spec.name); });
}

void BridgeFdb::remove_port(dp::PortNo port) {
  handler_.call([port](Fdb& fdb) { fdb.remove_port(port); });
}

void BridgeFdb::forget(dp::PortNo port) {
  handler_.call([port](Fdb& fdb) { return fdb.flush({.port = port}); });
}

void BridgeFdb::forget(const dp::BridgePolicy& old, const dp::BridgePolicy& now) {
  const auto outputs = [](const dp::BridgePolicy& policy) {
    std::set<dp::PortNo> out;
    for (const auto& [slot, mirror] : policy.mirrors)
      if (mirror.output != dp::PortNo::none) out.insert(mirror.output);
    return out;
  };
  const auto before = outputs(old);
  for (const dp::PortNo port : outputs(now))
    if (!before.contains(port)) forget(port);
  const dp::VlanSet fresh = now.flood_vlans & ~old.flood_vlans;
  for (std::size_t vlan = 0; vlan < fresh.size() && fresh.any(); ++vlan)
    if (fresh.test(vlan))
      handler_.call([&](Fdb& fdb) { return fdb.flush({.bridge = id_, .vlan = static_cast<dp::VlanId>(vlan)}); });
}

void BridgeFdb::close() {
  handler_.call([this](Fdb& fdb) { fdb.remove_bridge(id_); });
}

}  // namespace heddle::ofproto
