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
namespace {

std::string describe(dp::VlanId vlan, MacAddr mac) { return fmt::format("{} in VLAN {}", mac.to_string(), vlan); }

// Whether an entry on the port may, and whether it must, name the VTEP behind which the station is.
Result<> check_remote(const dp::PortSpec& port, const std::optional<IpAddr>& remote) {
  const bool v6 = port.tunnel.v6;
  if (port.multipoint() && !remote)
    return fail(Errc::invalid, fmt::format("port {} is a multipoint tunnel: name the VTEP behind which the station is, "
                                           "as in fdb-add BRIDGE {} VLAN MAC {}",
                                           port.name, port.name, v6 ? "2001:db8::1" : "192.0.2.1"));
  if (!remote) return {};
  const std::string address = remote->to_string();
  if (!port.is_tunnel())
    return fail(Errc::invalid, fmt::format("port {} is no multipoint tunnel (type=vxlan, options:remote_ip=flow) and "
                                           "takes no remote VTEP; leave {} out",
                                           port.name, address));
  if (!port.multipoint())
    return fail(Errc::invalid,
                fmt::format("port {} is a tunnel to {} alone (options:remote_ip) and takes no other; leave {} out",
                            port.name, port.tunnel.remote->to_string(), address));
  if (remote->is_v6() != v6)
    return fail(Errc::invalid, fmt::format("port {} is a tunnel over IPv{}, and {} an IPv{} address; name the VTEP's "
                                           "IPv{} address",
                                           port.name, v6 ? 6 : 4, address, v6 ? 4 : 6, v6 ? 6 : 4));
  if (remote->is_any() || remote->is_multicast())
    return fail(Errc::invalid, fmt::format("port {}: {} is {} address; name the address of one VTEP", port.name,
                                           address, remote->is_any() ? "the unspecified" : "a multicast"));
  return {};
}

}  // namespace

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

Result<> BridgeFdb::add(const std::string& name, dp::VlanId vlan, MacAddr mac, const std::optional<IpAddr>& remote) {
  const auto it = ports_.find(name);
  if (it == ports_.end())
    return fail(Errc::not_found, fmt::format("port {} is not in bridge {}; its ports: {}", name, bridge_,
                                             fmt::join(std::views::keys(ports_), ", ")));
  const SwitchPort& port = it->second;
  if (!port.config.policy.carries(vlan))
    return fail(Errc::invalid, fmt::format("port {} does not carry VLAN {}", name, vlan));
  if (auto r = check_remote(port.config.spec, remote); !r) return r;
  const dp::FdbKey key{id_, vlan, mac};
  const dp::FdbTarget target{port.number, remote};
  return handler_.call([&](Fdb& fdb) -> Result<> {
    const auto now = fdb.find(key);
    if (now && now->origin == Origin::configured && now->target != target)
      return fail(Errc::exists,
                  fmt::format("bridge {}: {} already has a static entry on {}; remove it with fdb-del first", bridge_,
                              describe(vlan, mac), place_of(now->target)));
    return fdb.put(Origin::configured, key, target);
  });
}

Result<> BridgeFdb::remove(dp::VlanId vlan, MacAddr mac) {
  const dp::FdbKey key{id_, vlan, mac};
  return handler_.call([&](Fdb& fdb) -> Result<> {
    const auto now = fdb.find(key);
    if (!now)
      return fail(Errc::not_found, fmt::format("bridge {}: there is no entry for {}", bridge_, describe(vlan, mac)));
    if (now->origin != Origin::configured && now->origin != Origin::learned)
      return fail(Errc::invalid,
                  fmt::format("bridge {}: the entry for {} is of origin {}, which alone may withdraw it; "
                              "a static entry (fdb-add) would take its place",
                              bridge_, describe(vlan, mac), origin_name(now->origin)));
    return fdb.withdraw(now->origin, key);
  });
}

std::string BridgeFdb::place_of(const dp::FdbTarget& target) const {
  std::string text = "a removed port";
  for (const auto& [name, port] : ports_)
    if (port.number == target.port) text = "port " + name;
  return target.remote ? text + " behind " + target.remote->to_string() : text;
}

// --- for the Bridge ---

Result<> BridgeFdb::configure(FdbConfig config) {
  config.name = bridge_;
  auto r = handler_.call([&](Fdb& fdb) { return fdb.set_bridge(id_, std::move(config)); });
  if (!r) return fail(r.error().code, "bridge " + bridge_ + ": " + r.error().text);
  return {};
}

Result<> BridgeFdb::add_port(const SwitchPort& port) {
  return handler_.call(
      [&](Fdb& fdb) { return fdb.add_port(port.number, id_, port.config.spec.name, port.config.spec.is_tunnel()); });
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
