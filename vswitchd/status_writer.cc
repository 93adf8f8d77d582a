// SPDX-License-Identifier: Apache-2.0
#include "vswitchd/status_writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <initializer_list>
#include <utility>

#include "base/log.h"
#include "vswitchd/status.h"
#include "vswitchd/without_effect.h"

namespace heddle::vswitchd {
namespace {

using ofproto::SwitchPort;
using ovsdb::Datum;
using ovsdb::Uuid;

// Whether the row says already what absent_interface() would make it say: true of most that have an error.
bool says_absent(const ovsdb::Row& row, const std::string& error, const Datum& status) {
  if (row.get("error") != (error.empty() ? Datum{} : Datum::of(error))) return false;
  if (row.get("ofport").integer() != -1 || row.get("status") != status) return false;
  return std::ranges::all_of(std::initializer_list<const char*>{"mac_in_use", "mtu", "ifindex", "admin_state",
                                                                "link_state", "link_speed", "duplex", "statistics"},
                             [&](const char* column) { return row.get(column).empty(); });
}

}  // namespace

StatusWriter::StatusWriter(ovsdb::Database& db, const Desired& want, const Applier& applied, Switches switches,
                           DatapathOffer offer)
    : db_(db), want_(want), applied_(applied), switches_(std::move(switches)), offer_(std::move(offer)) {}

void StatusWriter::write(const Updates& updates) {
  if (const auto r = db_.update(updates, origin()); !r)
    spdlog::error("writing status to the database: {}", r.error().text);
}

void StatusWriter::write_run(const Difference& changed, const std::map<Uuid, std::int64_t>& asked) {
  Updates updates;
  if (changed.all) {
    live_.clear();
    in_error_.clear();
  }
  for (const std::string& name : changed.names) report_name(name, updates);
  for (const Uuid& row : changed.ports) report_port_row(row, updates);
  for (const std::string& name : changed.bridges) report_bridge(name, updates);
  // A bridge's identity may be its own port's address.
  for (const auto& [name, bridge] : want_.bridges)
    if (changed.names.contains(name) && !changed.bridges.contains(name)) report_bridge(name, updates);
  if (changed.root) report_root(updates);
  for (const auto& [row, number] : asked) updates.push_back({"Open_vSwitch", row, {{"cur_cfg", Datum::of(number)}}});
  write(updates);
}

void StatusWriter::write_news(const std::set<std::string>& names) {
  Updates updates;
  for (const std::string& name : names) {
    if (const auto port = want_.ports.find(name); port != want_.ports.end())
      report_present(port->second->row, name, port->second->bridge, Counters::first, updates);
    if (const auto broken = want_.broken.find(name); broken != want_.broken.end())
      report_present(broken->second.row, name, broken->second.bridge, Counters::first, updates);
    report_bridge(name, updates);
  }
  write(updates);
}

void StatusWriter::write_statistics() {
  Updates updates;
  const std::vector<std::pair<std::string, Live>> live(live_.begin(), live_.end());
  for (const auto& [name, port] : live) report_present(port.row, name, port.bridge, Counters::all, updates);
  for (const auto& [name, bridge] : want_.bridges) {
    report_mirrors(name, updates);
    report_bridge(name, updates);
  }
  report_root(updates);
  write(updates);
}

// --- interfaces ---

void StatusWriter::report_name(const std::string& name, Updates& updates) {
  live_.erase(name);
  in_error_.erase(name);
  const auto report = [&](const Uuid& row, const std::string& bridge) {
    if (!report_present(row, name, bridge, Counters::first, updates)) report_absent(row, name, updates);
  };
  if (const auto port = want_.ports.find(name); port != want_.ports.end())
    report(port->second->row, port->second->bridge);
  else if (const auto broken = want_.broken.find(name); broken != want_.broken.end())
    report(broken->second.row, broken->second.bridge);
}

// Whether the interface is in a switch; a broken one may be, with former settings.
bool StatusWriter::report_present(const Uuid& row, const std::string& name, const std::string& bridge,
                                  Counters counters, Updates& updates) {
  const auto now = db_.find("Interface", row);
  const bool counted = now && !now->get("statistics").empty();
  for (const auto& [type, sw] : switches_) {
    const SwitchPort* port = sw->port(name);
    if (port == nullptr || port->bridge != bridge) continue;
    const dp::PortState state = sw->state(*port);
    if (state.error.empty())
      in_error_.erase(name);
    else
      in_error_.insert(name);
    if (!state.present && port->config.spec.traits().has_device)
      live_.erase(name);
    else
      live_.insert_or_assign(name, Live{row, bridge});
    updates.push_back(interface_status(row, *port, state, applied_.error_of(name)));
    auto& columns = updates.back().columns;
    columns["status"] = with_notes(row, columns["status"]);
    if (counters == Counters::all || !counted) columns["statistics"] = interface_statistics(sw->counters(*port));
    return true;
  }
  live_.erase(name);
  return false;
}

void StatusWriter::report_absent(const Uuid& row, const std::string& name, Updates& updates) {
  const std::string error = applied_.error_of(name);
  const Datum status = with_notes(row, {});
  const auto now = db_.find("Interface", row);
  if (now && says_absent(*now, error, status)) return;
  updates.push_back(absent_interface(row, error));
  updates.back().columns["status"] = status;
}

// --- other rows ---

// Adds to a row's status what of the row has no effect, and what is wrong with it.
Datum StatusWriter::with_notes(const Uuid& row, const Datum& status) const {
  const auto none = want_.without_effect.find(row);
  const auto warning = want_.row_warnings.find(row);
  if (none == want_.without_effect.end() && warning == want_.row_warnings.end()) return status;
  auto map = status.string_map();
  if (none != want_.without_effect.end()) map[std::string(kWithoutEffectKey)] = none->second;
  if (warning != want_.row_warnings.end()) map[std::string(kWarningKey)] = warning->second;
  return Datum::map(map);
}

// Ports have no other status than this.
void StatusWriter::report_port_row(const Uuid& row, Updates& updates) const {
  const auto now = db_.find("Port", row);
  if (!now) return;
  Datum status = with_notes(row, {});
  if (now->get("status") != status) updates.push_back({"Port", row, {{"status", std::move(status)}}});
}

void StatusWriter::report_bridge(const std::string& name, Updates& updates) const {
  const auto bridge = want_.bridges.find(name);
  if (bridge == want_.bridges.end()) return;
  std::string id = bridge->second.datapath_id;
  const ofproto::Switch& sw = *switches_.at(bridge->second.datapath);
  const SwitchPort* local = sw.port(name);
  if (id.empty() && local != nullptr) id = fmt::format("{:016x}", sw.state(*local).mac.to_u64());
  updates.push_back({"Bridge",
                     bridge->second.row,
                     {{"datapath_id", id.empty() ? Datum{} : Datum::of(id)},
                      {"datapath_version", Datum::of(HEDDLE_VERSION)},
                      {"status", with_notes(bridge->second.row, {})}}});
}

void StatusWriter::report_mirrors(const std::string& name, Updates& updates) const {
  const DesiredBridge& bridge = want_.bridges.at(name);
  const auto row = db_.find("Bridge", bridge.row);
  if (!row) return;
  for (const Uuid& mirror : row->get("mirrors").uuids())
    updates.push_back(mirror_status(mirror, switches_.at(bridge.datapath)->mirror_counters(name, mirror.to_string())));
}

void StatusWriter::report_root(Updates& updates) const {
  for (const auto& root : db_.rows("Open_vSwitch")) {
    updates.push_back(program_status(*root, db_.schema().version(), offer_));
    updates.back().columns["statistics"] = with_notes(root->uuid(), {});
  }
}

}  // namespace heddle::vswitchd
