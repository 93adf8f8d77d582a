// SPDX-License-Identifier: Apache-2.0
// The second half of reconcile: what the switches have, into the database.
#include <fmt/format.h>

#include <algorithm>

#include "base/log.h"
#include "vswitchd/inert.h"
#include "vswitchd/reconcile.h"
#include "vswitchd/status.h"

namespace heddle::vswitchd {
namespace {

using ofproto::SwitchPort;

// Whether the row says already what absent_interface() would make it say: true of most that have an error.
bool says_absent(const ovsdb::Row& row, const std::string& error, const ovsdb::Datum& status) {
  if (row.get("error") != (error.empty() ? ovsdb::Datum{} : ovsdb::Datum::of(error))) return false;
  if (row.get("ofport").integer() != -1 || row.get("status") != status) return false;
  return std::ranges::all_of(std::initializer_list<const char*>{"mac_in_use", "mtu", "ifindex", "admin_state",
                                                                "link_state", "link_speed", "duplex", "statistics"},
                             [&](const char* column) { return row.get(column).empty(); });
}

}  // namespace

void Reconciler::write(const Updates& updates) {
  writing_ = true;
  const auto r = db_.update(updates);
  writing_ = false;
  if (!r) spdlog::error("writing status to the database: {}", r.error().text);
}

// Adds to a row's status what of the row has no effect.
ovsdb::Datum Reconciler::with_idle(const ovsdb::Uuid& row, const ovsdb::Datum& status) const {
  const auto it = want_.idle.find(row);
  if (it == want_.idle.end()) return status;
  auto map = status.string_map();
  map[std::string(kNoEffect)] = it->second.columns;
  return ovsdb::Datum::map(map);
}

void Reconciler::report_mirrors(const DesiredBridge& bridge, const std::string& name, Updates& updates) const {
  const auto row = db_.find("Bridge", bridge.row);
  if (!row) return;
  for (const ovsdb::Uuid& mirror : row->get("mirrors").uuids())
    updates.push_back(mirror_status(mirror, switches_.at(bridge.datapath)->mirror_counters(name, mirror.to_string())));
}

// Ports have no other status than this; rows that had it and lost it are told as well.
void Reconciler::report_idle_ports(Updates& updates) {
  std::set<ovsdb::Uuid> now;
  for (const auto& [row, idle] : want_.idle)
    if (idle.table == "Port") now.insert(row);
  std::set<ovsdb::Uuid> rows = now;
  rows.merge(idle_ports_);
  for (const ovsdb::Uuid& row : rows) updates.push_back({"Port", row, {{"status", with_idle(row, {})}}});
  idle_ports_ = std::move(now);
}

std::string Reconciler::error_of(const ovsdb::Uuid& row) const {
  const auto it = errors_.find(row);
  return it == errors_.end() ? std::string{} : it->second;
}

// An interface that may be in a switch.
void Reconciler::report_interface(const ovsdb::Uuid& row, const std::string& name, const std::string& bridge,
                                  Scope scope, Updates& updates) {
  const auto now = db_.find("Interface", row);
  const bool counted = now && !now->get("statistics").empty();
  for (const auto& [type, sw] : switches_) {
    const SwitchPort* port = sw->port(name);
    if (port == nullptr || port->bridge != bridge) continue;
    const dp::PortState state = sw->state(*port);
    if (!state.present && port->config.spec.traits().has_device && counted)
      live_.erase(row);
    else
      live_.insert_or_assign(row, Live{name, bridge});
    updates.push_back(interface_status(row, *port, state, error_of(row)));
    auto& status = updates.back().columns["status"];
    status = with_idle(row, status);
    if (scope.statistics || !counted) updates.back().columns["statistics"] = interface_statistics(sw->counters(*port));
    return;
  }
  live_.erase(row);
  if (!scope.done) return;  // nothing of it has changed since run()
  if (now && says_absent(*now, error_of(row), with_idle(row, {}))) return;
  updates.push_back(absent_interface(row, error_of(row)));
  updates.back().columns["status"] = with_idle(row, {});
}

void Reconciler::report_broken(const ovsdb::Uuid& row, const BrokenPort& broken, Scope scope, Updates& updates) {
  if (!want_.ports.contains(broken.name)) return report_interface(row, broken.name, broken.bridge, scope, updates);
  updates.push_back(absent_interface(row, error_of(row)));
}

void Reconciler::report_bridge(const std::string& name, const DesiredBridge& bridge, Updates& updates) const {
  std::string id = bridge.datapath_id;
  const ofproto::Switch& sw = *switches_.at(bridge.datapath);
  const SwitchPort* local = sw.port(name);
  if (id.empty() && local != nullptr) id = fmt::format("{:016x}", sw.state(*local).mac.to_u64());
  updates.push_back({"Bridge",
                     bridge.row,
                     {{"datapath_id", id.empty() ? ovsdb::Datum{} : ovsdb::Datum::of(id)},
                      {"datapath_version", ovsdb::Datum::of(HEDDLE_VERSION)},
                      {"status", with_idle(bridge.row, {})}}});
}

void Reconciler::report_applied(Updates& updates) const {
  for (const auto& [row, number] : asked_)
    updates.push_back({"Open_vSwitch", row, {{"cur_cfg", ovsdb::Datum::of(number)}}});
}

void Reconciler::report_root(Updates& updates) const {
  for (const auto& root : db_.rows("Open_vSwitch")) {
    updates.push_back(program_status(*root, db_.schema().version(), offer_));
    updates.back().columns["statistics"] = with_idle(root->uuid(), {});
  }
}

// After a run over everything.
void Reconciler::write_all() {
  constexpr Scope scope{.statistics = false, .done = true};
  Updates updates;
  live_.clear();
  for (const auto& [name, port] : want_.ports) report_interface(port.row, name, port.bridge, scope, updates);
  for (const auto& [row, broken] : want_.broken) report_broken(row, broken, scope, updates);
  for (const auto& [name, bridge] : want_.bridges) report_bridge(name, bridge, updates);
  report_idle_ports(updates);
  report_root(updates);
  report_applied(updates);
  write(updates);
}

// What counts, and what else became different without news of it.
void Reconciler::write_statistics() {
  Updates updates;
  const std::vector<std::pair<ovsdb::Uuid, Live>> live(live_.begin(), live_.end());
  for (const auto& [row, port] : live)
    report_interface(row, port.name, port.bridge, {.statistics = true, .done = false}, updates);
  for (const auto& [name, bridge] : want_.bridges) {
    report_mirrors(bridge, name, updates);
    report_bridge(name, bridge, updates);
  }
  report_root(updates);
  write(updates);
}

// Of interfaces by these names, and of others in these rows.
void Reconciler::write_some(const std::set<std::string>& names, const std::set<ovsdb::Uuid>& rows, Scope scope) {
  Updates updates;
  for (const ovsdb::Uuid& row : rows) live_.erase(row);
  for (const std::string& name : names) {
    if (const auto port = want_.ports.find(name); port != want_.ports.end())
      report_interface(port->second.row, name, port->second.bridge, scope, updates);
    if (const auto bridge = want_.bridges.find(name); bridge != want_.bridges.end())
      report_bridge(name, bridge->second, updates);
    // A port that works with former settings, beside a row that is wrong.
    const auto row = want_.interface_of.find(name);
    const auto broken = row == want_.interface_of.end() ? want_.broken.end() : want_.broken.find(row->second);
    if (broken != want_.broken.end() && !rows.contains(broken->first))
      report_broken(broken->first, broken->second, scope, updates);
  }
  for (const ovsdb::Uuid& row : rows)
    if (const auto broken = want_.broken.find(row); broken != want_.broken.end())
      report_broken(row, broken->second, scope, updates);
  if (scope.done) {
    if (part_ && !part_->ports.empty()) report_idle_ports(updates);
    report_applied(updates);
  }
  write(updates);
}

}  // namespace heddle::vswitchd
