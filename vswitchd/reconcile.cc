#include "vswitchd/reconcile.h"

#include <fmt/format.h>

#include <algorithm>
#include <ranges>

#include "base/log.h"
#include "vswitchd/inert.h"
#include "vswitchd/qos_config.h"
#include "vswitchd/status.h"
#include "vswitchd/text.h"

namespace heddle::vswitchd {
namespace {

using ofproto::Switch;
using ofproto::SwitchPort;

// Whether anything differs that the switches may depend on: external_ids are other programs' notes.
bool concerns_switches(const ovsdb::Change& change) {
  return std::ranges::any_of(change.rows, [](const ovsdb::RowChange& row) {
    if (!row.before || !row.after) return true;
    return std::ranges::any_of(row.table->columns, [&](const ovsdb::ColumnSchema& column) {
      return !column.ephemeral && column.name != "external_ids" &&
             row.before->at(column.index) != row.after->at(column.index);
    });
  });
}

// Whether the row says already what absent_interface() would make it say: true of most that have an error.
bool says_absent(const ovsdb::Row& row, const std::string& error, const ovsdb::Datum& status) {
  if (row.get("error") != (error.empty() ? ovsdb::Datum{} : ovsdb::Datum::of(error))) return false;
  if (row.get("ofport").integer() != -1 || row.get("status") != status) return false;
  return std::ranges::all_of(std::initializer_list<const char*>{"mac_in_use", "mtu", "ifindex", "admin_state",
                                                                "link_state", "link_speed", "duplex", "statistics"},
                             [&](const char* column) { return row.get(column).empty(); });
}

}  // namespace

void insert_root(ovsdb::Database& db) {
  if (!db.rows("Open_vSwitch").empty()) return;
  const ovsdb::Json insert{{"op", "insert"}, {"table", "Open_vSwitch"}, {"row", ovsdb::Json::object()}};
  const ovsdb::Json reply = db.transact(ovsdb::Json::array({insert}));
  if (db.rows("Open_vSwitch").empty())
    spdlog::error("the database refuses its first row: {}", ovsdb::dump_brief(reply));
}

Reconciler::Reconciler(ovsdb::Database& db, std::map<std::string, Switch*> switches, DeviceSetter set_device,
                       DatapathOffer offer)
    : db_(db), switches_(std::move(switches)), set_device_(std::move(set_device)), offer_(std::move(offer)) {
  offer_.types.clear();
  for (const auto& [type, sw] : switches_) offer_.types.insert(type);
}

Reconciler::~Reconciler() {
  if (watching_) db_.remove_observer(observer_);
}

void Reconciler::watch(std::function<void()> wanted) {
  observer_ = db_.add_observer([this, wanted = std::move(wanted)](const ovsdb::Change& change) {
    if (!writing_ && concerns_switches(change)) wanted();
  });
  watching_ = true;
}

bool Reconciler::awaited() const {
  return std::ranges::any_of(db_.rows("Open_vSwitch"),
                             [](const auto& root) { return root->get("next_cfg") != root->get("cur_cfg"); });
}

std::chrono::milliseconds Reconciler::statistics_interval() const {
  constexpr std::uint64_t least = 5000;
  constexpr std::uint64_t most = 3'600'000;
  for (const auto& root : db_.rows("Open_vSwitch"))
    if (const auto text = root->get("other_config").at("stats-update-interval"))
      return std::chrono::milliseconds(std::clamp(parse_number(*text).value_or(least), least, most));
  return std::chrono::milliseconds(least);
}

// --- database to switches ---

const SwitchPort* Reconciler::current(const std::string& name) const {
  for (const auto& [type, sw] : switches_)
    if (const SwitchPort* port = sw->port(name)) return port;
  return nullptr;
}

void Reconciler::run() {
  begin();
  while (!step([] { return false; })) continue;
}

void Reconciler::begin() {
  writing_ = true;
  insert_root(db_);
  writing_ = false;
  asked_.clear();
  for (const auto& root : db_.rows("Open_vSwitch")) asked_[root->uuid()] = root->get("next_cfg").integer_or(0);
  want_ = read_desired(db_, {offer_, [this](const std::string& name) { return current(name); }});
  errors_ = want_.remarks;
  settled_.clear();
  for (const auto& [row, broken] : want_.broken)
    errors_[row] = keeps_working(want_, broken) ? broken.error + "; the port keeps its former settings" : broken.error;
  stale_.clear();
  for (const auto& [type, sw] : switches_) find_stale(type, *sw);
  // Ports that ask for a number come first, then those that had one, so that no other takes it.
  todo_.clear();
  todo_.reserve(want_.ports.size());
  for (const auto& [name, port] : want_.ports) todo_.push_back(&port);
  std::ranges::stable_sort(todo_, {}, [](const DesiredPort* p) {
    return p->config.ofport_request ? 0 : p->former_ofport ? 1 : 2;
  });
  removed_ = applied_ = 0;
  bridges_done_ = false;
  running_ = true;
}

// All of the old goes before any of the new comes: a device or tunnel may move from one switch to another.
bool Reconciler::step(const std::function<bool()>& enough) {
  if (!running_) return true;
  while (removed_ < stale_.size()) {
    remove_port(stale_[removed_++]);
    if (enough()) return false;
  }
  if (!std::exchange(bridges_done_, true)) change_bridges();
  while (applied_ < todo_.size()) {
    const DesiredPort& port = *todo_[applied_++];
    apply_port(port, *switches_.at(port.datapath));
    if (enough()) return false;
  }
  finish();
  return true;
}

void Reconciler::change_bridges() {
  for (const auto& [type, sw] : switches_) remove_bridges(want_, type, *sw);
  bridge_errors_.clear();
  for (const auto& [type, sw] : switches_) apply_bridges(want_, type, *sw);
}

void Reconciler::finish() {
  running_ = false;
  for (const auto& [type, number] : std::exchange(changed_, {})) settle_again(number, *switches_.at(type));
  log_warnings(want_.warnings);
  write_status(false, true);
}

bool Reconciler::bridge_may_stay(const Desired& want, const std::string& type, const std::string& name) const {
  const auto it = want.bridges.find(name);
  return it == want.bridges.end() ? want.broken_bridges.contains(name) : it->second.datapath == type;
}

bool Reconciler::may_stay(const Desired& want, const std::string& type, const SwitchPort& port) const {
  const std::string& name = port.config.spec.name;
  if (const auto it = want.ports.find(name); it != want.ports.end())
    return it->second.datapath == type && it->second.bridge == port.bridge &&
           ofproto::same_port(it->second.config.spec, port.config.spec);
  return bridge_may_stay(want, type, port.bridge) && std::ranges::any_of(want.broken, [&](const auto& item) {
           return item.second.name == name && item.second.bridge == port.bridge;
         });
}

bool Reconciler::keeps_working(const Desired& want, const BrokenPort& broken) const {
  if (want.ports.contains(broken.name)) return false;
  return std::ranges::any_of(switches_, [&](const auto& item) {
    const SwitchPort* now = item.second->port(broken.name);
    return now != nullptr && now->bridge == broken.bridge && may_stay(want, item.first, *now);
  });
}

void Reconciler::find_stale(const std::string& type, Switch& sw) {
  for (const std::string& name : sw.ports())
    if (!may_stay(want_, type, *sw.port(name))) stale_.push_back({&sw, name});
}

void Reconciler::remove_port(const Stale& port) {
  const std::string bridge = port.sw->port(port.name)->bridge;
  if (auto r = port.sw->remove_port(port.name); !r)
    spdlog::error("bridge {}: removing port {}: {}", bridge, port.name, r.error().text);
  else
    spdlog::info("bridge {}: removed port {}", bridge, port.name);
}

void Reconciler::remove_bridges(const Desired& want, const std::string& type, Switch& sw) {
  for (const std::string& name : sw.bridges()) {
    if (bridge_may_stay(want, type, name)) continue;
    sw.remove_bridge(name);
    if (const auto it = want.bridges.find(name); it != want.bridges.end())
      spdlog::warn(
          "bridge {}: moves from datapath {} to {}; its internal devices are made anew, IP addresses on them are lost "
          "and must be set again",
          name, type, it->second.datapath);
    else
      spdlog::info("removed bridge {}", name);
  }
}

void Reconciler::apply_bridges(const Desired& want, const std::string& type, Switch& sw) {
  for (const auto& [name, bridge] : want.bridges) {
    if (bridge.datapath != type) continue;
    const ofproto::BridgeConfig* now = sw.bridge(name);
    if (now != nullptr && *now == bridge.config) continue;
    const auto r = now == nullptr ? sw.add_bridge(name, bridge.config) : sw.set_bridge(name, bridge.config);
    if (!r)
      bridge_errors_[name] = r.error().text;  // its ports say so in their rows
    else if (now == nullptr)
      spdlog::info("added bridge {}", name);
  }
}

void Reconciler::apply_port(const DesiredPort& want, Switch& sw) {
  const std::string& name = want.config.spec.name;
  Result<> r;
  if (const auto failed = bridge_errors_.find(want.bridge); failed != bridge_errors_.end()) {
    r = fail(Errc::invalid, failed->second);
  } else if (const SwitchPort* now = sw.port(name)) {
    ofproto::PortConfig config = want.config;
    config.policy.bridge = now->config.policy.bridge;
    if (config != now->config) r = sw.set_port(config);
  } else {
    ofproto::PortConfig config = want.config;
    if (!config.ofport_request) config.ofport_request = want.former_ofport;
    r = sw.add_port(want.bridge, config);
    if (r) spdlog::info("bridge {}: added port {}", want.bridge, name);
  }
  const auto note = [&](const Result<>& done) {
    if (done) return;
    auto& error = errors_[want.row];
    if (!error.empty()) error += "; ";
    error += done.error().text;
  };
  note(r);
  if (!r) return;
  note(settle_device(*sw.port(name), sw));
  note(settle_qos(want, sw));
}

Result<> Reconciler::settle_qos(const DesiredPort& want, Switch& sw) {
  const SwitchPort& port = *sw.port(want.config.spec.name);
  if (!ofproto::has_device(port.config.spec.kind))
    return want.qos
               ? fail(Errc::unsupported, "qos has no effect on tunnels and patch ports: set it on the ports behind")
               : Result<>{};
  std::optional<dp::QosSpec> qos = want.qos;
  if (qos && qos->max_rate == 0) qos->max_rate = default_rate(sw.state(port));
  return sw.set_qos(want.config.spec.name, qos);
}

// A device of ours may have outlived the daemon or been changed by hand: what counts is what it has, not what we asked
// for last.
Result<> Reconciler::settle_device(const SwitchPort& port, Switch& sw) {
  const dp::PortSpec& spec = port.config.spec;
  const dp::PortState state = sw.state(port);
  settled_[spec.name] = state.ifindex;
  if (!set_device_ || !ofproto::has_device(spec.kind)) return {};
  const auto mac = spec.mac && *spec.mac != state.mac ? spec.mac : std::nullopt;
  const auto mtu = spec.mtu && *spec.mtu != state.mtu ? spec.mtu : std::nullopt;
  if (!state.present || state.ifindex == 0 || (!mac && !mtu)) return {};
  return set_device_(state.ifindex, mac, mtu);
}

void Reconciler::log_warnings(std::set<std::string> warnings) {
  for (const std::string& text : warnings)
    if (!warned_.contains(text)) spdlog::warn("{}", text);
  warned_ = std::move(warnings);
}

// --- switches to database ---

void Reconciler::write(const std::vector<ovsdb::RowUpdate>& updates) {
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

void Reconciler::report_mirrors(const DesiredBridge& bridge, const std::string& name,
                                std::vector<ovsdb::RowUpdate>& updates) const {
  const auto row = db_.find("Bridge", bridge.row);
  if (!row) return;
  for (const ovsdb::Uuid& mirror : row->get("mirrors").uuids())
    updates.push_back(mirror_status(mirror, switches_.at(bridge.datapath)->mirror_counters(name, mirror.to_string())));
}

// Ports have no other status than this; rows that had it and lost it are told as well.
void Reconciler::report_idle_ports(std::vector<ovsdb::RowUpdate>& updates) {
  std::set<ovsdb::Uuid> now;
  for (const auto& [row, idle] : want_.idle)
    if (idle.table == "Port") now.insert(row);
  std::set<ovsdb::Uuid> rows = now;
  rows.merge(idle_ports_);
  for (const ovsdb::Uuid& row : rows) updates.push_back({"Port", row, {{"status", with_idle(row, {})}}});
  idle_ports_ = std::move(now);
}

void Reconciler::write_status(bool statistics, bool done) {
  std::vector<ovsdb::RowUpdate> updates;
  const auto error_of = [this](const ovsdb::Uuid& row) {
    const auto it = errors_.find(row);
    return it == errors_.end() ? std::string{} : it->second;
  };
  const auto counted = [this](const ovsdb::Uuid& uuid) {
    const auto row = db_.find("Interface", uuid);
    return row && !row->get("statistics").empty();
  };
  if (done) still_.clear();
  const auto report = [&](const ovsdb::Uuid& row, const std::string& name, const std::string& bridge) {
    if (statistics && !done && still_.contains(row)) return;
    for (const auto& [type, sw] : switches_) {
      const SwitchPort* port = sw->port(name);
      if (port == nullptr || port->bridge != bridge) continue;
      const dp::PortState state = sw->state(*port);
      if (!state.present && ofproto::has_device(port->config.spec.kind) && counted(row))
        still_.insert(row);
      else
        still_.erase(row);
      updates.push_back(interface_status(row, *port, state, error_of(row)));
      auto& status = updates.back().columns["status"];
      status = with_idle(row, status);
      if (statistics || !counted(row)) updates.back().columns["statistics"] = interface_statistics(sw->counters(*port));
      return;
    }
    still_.insert(row);
    if (!done) return;  // nothing of it has changed since run()
    const auto now = db_.find("Interface", row);
    if (now && says_absent(*now, error_of(row), with_idle(row, {}))) return;
    updates.push_back(absent_interface(row, error_of(row)));
    updates.back().columns["status"] = with_idle(row, {});
  };
  for (const auto& [name, port] : want_.ports) report(port.row, name, port.bridge);
  for (const auto& [row, broken] : want_.broken) {
    if (!want_.ports.contains(broken.name))
      report(row, broken.name, broken.bridge);
    else
      updates.push_back(absent_interface(row, error_of(row)));
  }
  for (const auto& [name, bridge] : want_.bridges) {
    if (statistics) report_mirrors(bridge, name, updates);
    std::string id = bridge.datapath_id;
    const SwitchPort* local = switches_.at(bridge.datapath)->port(name);
    if (id.empty() && local != nullptr)
      id = fmt::format("{:016x}", switches_.at(bridge.datapath)->state(*local).mac.to_u64());
    updates.push_back({"Bridge",
                       bridge.row,
                       {{"datapath_id", id.empty() ? ovsdb::Datum{} : ovsdb::Datum::of(id)},
                        {"datapath_version", ovsdb::Datum::of(HEDDLE_VERSION)},
                        {"status", with_idle(bridge.row, {})}}});
  }
  report_idle_ports(updates);
  for (const auto& root : db_.rows("Open_vSwitch")) {
    updates.push_back(program_status(*root, db_.schema().version(), offered_words(offer_)));
    updates.back().columns["statistics"] = with_idle(root->uuid(), {});
    const auto asked = asked_.find(root->uuid());
    if (done && asked != asked_.end()) updates.back().columns["cur_cfg"] = ovsdb::Datum::of(asked->second);
  }
  write(updates);
}

// A device that has come in the place of another wants the same MTU; its driver may refuse what the other took.
void Reconciler::settle_again(dp::PortNo number, Switch& sw) {
  const std::string* const name = sw.port_name(number);
  const auto want = name != nullptr ? want_.ports.find(*name) : want_.ports.end();
  if (want == want_.ports.end() || settled_[*name] == sw.state(*sw.port(*name)).ifindex) return;
  if (const auto remark = want_.remarks.find(want->second.row); remark != want_.remarks.end())
    errors_[want->second.row] = remark->second;
  else
    errors_.erase(want->second.row);
  apply_port(want->second, sw);
}

void Reconciler::run_control(const std::string& type, dp::Datapath& datapath) {
  Switch& sw = *switches_.at(type);
  std::vector<dp::PortNo> ports;
  datapath.run_control([&](dp::PortNo number) {
    sw.refresh(number);
    ports.push_back(number);
  });
  if (running_) {
    for (const dp::PortNo number : ports) changed_.emplace_back(type, number);
    return;
  }
  for (const dp::PortNo number : ports) settle_again(number, sw);
  if (!ports.empty()) write_status(false, false);
}

void Reconciler::refresh_statistics() {
  if (!running_) write_status(true, false);
}

}  // namespace heddle::vswitchd
