// SPDX-License-Identifier: Apache-2.0
#include "cli/switch_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "base/limits.h"

namespace heddle::cli {
namespace {

std::optional<std::int64_t> vlan_of(const Session& session, const Record& port) {
  const auto tag = session.model.get(port, "tag").integer();
  return tag && *tag >= 0 && *tag <= limits::kVlanMax ? tag : std::nullopt;
}

bool is_fake_bridge(const Session& session, const Record& port) {
  return session.model.get(port, "fake_bridge").boolean_or(false) && vlan_of(session, port).has_value();
}

std::vector<Record*> real_bridges(const Session& session) {
  const auto* table = session.catalog.schema().find("Bridge");
  return table == nullptr ? std::vector<Record*>{} : session.model.records(*table);
}

BridgeView real_view(const Session& session, Record* bridge) {
  return {.name = session.model.name_of(*bridge), .record = bridge};
}

BridgeView fake_view(const Session& session, Record* bridge, Record* port) {
  return {.name = session.model.name_of(*port),
          .record = bridge,
          .fake_port = port,
          .vlan = vlan_of(session, *port).value_or(0)};
}

std::vector<BridgeView> fake_bridges(const Session& session, Record* bridge) {
  std::vector<BridgeView> out;
  for (auto* port : children(session, *bridge, "ports", "Port")) {
    if (is_fake_bridge(session, *port)) out.push_back(fake_view(session, bridge, port));
  }
  return out;
}

// The bridge, real or fake, to which a real bridge's port belongs.
BridgeView owner_of(const Session& session, Record* bridge, Record* port) {
  if (is_fake_bridge(session, *port)) return fake_view(session, bridge, port);
  if (const auto vlan = vlan_of(session, *port)) {
    for (auto& fake : fake_bridges(session, bridge)) {
      if (fake.vlan == *vlan) return fake;
    }
  }
  return real_view(session, bridge);
}

Record* bridge_holding(const Session& session, const Record& port) {
  for (auto* bridge : real_bridges(session)) {
    if (session.model.get(*bridge, "ports").find(Atom(port.uuid))) return bridge;
  }
  return nullptr;
}

}  // namespace

Result<> prepare_switch(Session& session, const Command& /*command*/) {
  for (const char* table : {"Open_vSwitch", "Bridge", "Port", "Interface"}) {
    if (auto ok = session.catalog.need(table); !ok) return std::unexpected(ok.error());
  }
  session.interest["Open_vSwitch"].insert("bridges");
  session.interest["Bridge"].insert({"name", "ports"});
  session.interest["Port"].insert({"name", "interfaces"});
  for (const char* column : {"fake_bridge", "tag"}) {
    if (session.catalog.schema().find("Port")->find(column) != nullptr) session.interest["Port"].insert(column);
  }
  session.interest["Interface"].insert("name");
  return {};
}

Result<Record*> root_record(Session& session) {
  const auto table = session.catalog.need("Open_vSwitch");
  if (!table) return std::unexpected(table.error());
  const auto records = session.model.records(**table);
  return records.empty() ? session.model.insert(**table) : records.front();
}

std::vector<BridgeView> bridges(const Session& session, Kind kind) {
  std::vector<BridgeView> out;
  for (auto* bridge : real_bridges(session)) {
    if (kind != Kind::fake) out.push_back(real_view(session, bridge));
    if (kind == Kind::real) continue;
    for (auto& fake : fake_bridges(session, bridge)) out.push_back(std::move(fake));
  }
  std::ranges::sort(out, {}, &BridgeView::name);
  return out;
}

Result<BridgeView> find_bridge(const Session& session, std::string_view name) {
  if (auto* bridge = session.model.find_by_name(*session.catalog.schema().find("Bridge"), name)) {
    return real_view(session, bridge);
  }
  auto* port = session.model.find_by_name(*session.catalog.schema().find("Port"), name);
  if (port != nullptr && is_fake_bridge(session, *port)) {
    if (auto* bridge = bridge_holding(session, *port)) return fake_view(session, bridge, port);
  }
  return fail(Errc::not_found, fmt::format("no bridge named {}; \"vsctl list-br\" names those there are", name));
}

Result<Record*> find_real_bridge(const Session& session, std::string_view name) {
  auto bridge = find_bridge(session, name);
  if (!bridge) return std::unexpected(bridge.error());
  if (!bridge->is_fake()) return bridge->record;
  return fail(Errc::invalid,
              fmt::format("{0} is a fake bridge, VLAN {1} of bridge {2}; this is a matter of the whole bridge: use {2}",
                          name, bridge->vlan, session.model.name_of(*bridge->record)));
}

std::vector<Record*> children(const Session& session, const Record& record, std::string_view column,
                              std::string_view table) {
  std::vector<Record*> out;
  const auto* schema = session.catalog.schema().find(table);
  if (schema == nullptr) return out;
  for (const auto& uuid : session.model.get(record, column).uuids()) {
    if (auto* child = session.model.find(*schema, uuid)) out.push_back(child);
  }
  std::sort(out.begin(), out.end(),
            [&](const Record* a, const Record* b) { return session.model.name_of(*a) < session.model.name_of(*b); });
  return out;
}

std::vector<Record*> ports_of(const Session& session, const BridgeView& bridge) {
  std::set<std::int64_t> fake_vlans;
  for (const auto& fake : fake_bridges(session, bridge.record)) fake_vlans.insert(fake.vlan);
  auto ports = children(session, *bridge.record, "ports", "Port");
  const std::string real_name = session.model.name_of(*bridge.record);
  std::erase_if(ports, [&](const Record* port) {
    if (is_fake_bridge(session, *port) || session.model.name_of(*port) == real_name) return true;
    const auto vlan = vlan_of(session, *port);
    if (bridge.is_fake()) return vlan != bridge.vlan;
    return vlan && fake_vlans.contains(*vlan);
  });
  return ports;
}

Place find_port(const Session& session, std::string_view name) {
  auto* port = session.model.find_by_name(*session.catalog.schema().find("Port"), name);
  auto* bridge = port == nullptr ? nullptr : bridge_holding(session, *port);
  if (bridge == nullptr) return {};
  auto owner = owner_of(session, bridge, port);
  const bool local = owner.name == name;
  return {.bridge = std::move(owner), .port = port, .local = local};
}

Place find_interface(const Session& session, std::string_view name) {
  auto* interface = session.model.find_by_name(*session.catalog.schema().find("Interface"), name);
  if (interface == nullptr) return {};
  for (auto* bridge : real_bridges(session)) {
    for (auto* port : children(session, *bridge, "ports", "Port")) {
      if (!session.model.get(*port, "interfaces").find(Atom(interface->uuid))) continue;
      auto owner = owner_of(session, bridge, port);
      const bool local = owner.name == name;
      return {.bridge = std::move(owner), .port = port, .interface = interface, .local = local};
    }
  }
  return {};
}

void add_reference(Session& session, Record& record, std::string_view column, const Uuid& uuid) {
  Model::rely_on(record, column);
  Model::set(record, column, with(session.model.get(record, column), uuid));
}

void drop_reference(Session& session, Record& record, std::string_view column, const Uuid& uuid) {
  const auto value = session.model.get(record, column);
  const auto at = value.find(Atom(uuid));
  if (!at) return;
  Model::rely_on(record, column);
  Model::set(record, column, without(value, *at));
}

void reset_column(Session& session, Record& record, std::string_view column) {
  const auto* schema = record.table->find(column);
  if (schema == nullptr) return;
  const auto value = default_datum(schema->type);
  if (session.model.get(record, *schema) != value) Model::set(record, *schema, value);
}

}  // namespace heddle::cli
