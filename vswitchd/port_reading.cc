// SPDX-License-Identifier: Apache-2.0
#include "vswitchd/port_reading.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/limits.h"
#include "vswitchd/inert.h"
#include "vswitchd/port_config.h"
#include "vswitchd/qos_config.h"

namespace heddle::vswitchd {
namespace {

using ovsdb::Row;
using ovsdb::RowRef;

std::string_view name_of(const Row& row) {
  const ovsdb::Datum& name = row.get("name");
  const auto* text = name.empty() ? nullptr : std::get_if<std::string>(&name.keys().front());
  return text == nullptr ? std::string_view{} : std::string_view(*text);
}

Candidate candidate(const BridgeOfPort& bridge, const Row& iface, ofproto::PortConfig config,
                    const std::optional<dp::QosSpec>& qos, const CurrentPort& current) {
  const ofproto::SwitchPort* now = current ? current(config.spec.name) : nullptr;
  const bool established = now != nullptr && now->bridge == bridge.name && now->config.spec == config.spec;
  std::optional<ofproto::OfPort> former;
  if (const auto n = iface.get("ofport").integer(); n && *n > 0 && *n <= limits::kOfportMax)
    former = static_cast<ofproto::OfPort>(*n);
  std::string name = config.spec.name;
  return {std::move(name), {bridge.name, bridge.datapath, std::move(config), iface.uuid(), qos, former}, established};
}

}  // namespace

std::vector<RowRef> by_name(const ovsdb::Database& db, std::string_view table, const std::vector<ovsdb::Uuid>& uuids) {
  std::vector<std::pair<std::string_view, RowRef>> named;  // thousands: each name is looked up once
  named.reserve(uuids.size());
  for (const ovsdb::Uuid& uuid : uuids)
    if (auto row = db.find(table, uuid)) named.emplace_back(name_of(*row), std::move(row));
  std::ranges::stable_sort(named, {}, [](const auto& entry) { return entry.first; });
  std::vector<RowRef> rows;
  rows.reserve(named.size());
  for (auto& [name, row] : named) rows.push_back(std::move(row));
  return rows;
}

void note_idle(const Row& row, const std::string& what, const std::vector<std::string>& columns,
               std::map<ovsdb::Uuid, Idle>& idle, std::set<std::string>& warnings) {
  if (columns.empty()) return;
  const std::string list = fmt::format("{}", fmt::join(columns, " "));
  warnings.insert(fmt::format("{}: these columns are set and have no effect: {}", what, list));
  idle[row.uuid()] = {row.table().name, list};
}

PortReading read_port(const ovsdb::Database& db, const BridgeOfPort& bridge, const Row& port,
                      const CurrentPort& current) {
  PortReading out;
  const auto interfaces = by_name(db, "Interface", port.get("interfaces").uuids());
  const std::string port_name = port.get("name").string_or("");
  const DesiredQos qos = read_qos(db, port, out.warnings);
  auto idle = columns_without_effect(port);
  if (!qos.acted_on) idle.emplace_back("qos");
  note_idle(port, "port " + port_name, idle, out.idle, out.warnings);
  if (interfaces.empty())
    out.warnings.insert(fmt::format("bridge {}: port {} has no interface", bridge.name, port_name));
  for (const RowRef& iface : interfaces) {
    const std::string name(name_of(*iface));
    out.interfaces.emplace_back(iface->uuid(), name);
    const std::string type = iface->get("type").string_or("");
    const auto kind = dp::kind_of_type(type);
    const bool own_device = (kind && dp::traits(*kind).made_by_us) || (type.empty() && name == bridge.name);
    note_idle(*iface, "interface " + name, interface_without_effect(*iface, own_device), out.idle, out.warnings);
    const auto broken = [&](std::string error) {
      out.broken.try_emplace(iface->uuid(), BrokenPort{bridge.name, name, std::move(error)});
    };
    if (!bridge.error.empty()) {
      broken(bridge.error);
      continue;
    }
    if (interfaces.size() > 1) {
      broken(fmt::format("bonds are not supported: port {} has {} interfaces; keep one of them", port_name,
                         interfaces.size()));
      continue;
    }
    auto config = read_port_config(bridge.row, port, *iface, bridge.kinds, out.warnings);
    if (!config)
      broken(config.error().text);
    else
      out.candidates.push_back(candidate(bridge, *iface, std::move(*config), qos.spec, current));
  }
  return out;
}

}  // namespace heddle::vswitchd
