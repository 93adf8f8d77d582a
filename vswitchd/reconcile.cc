// SPDX-License-Identifier: Apache-2.0
#include "vswitchd/reconcile.h"

#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <utility>

#include "base/log.h"
#include "vswitchd/qos_config.h"
#include "vswitchd/text.h"

namespace heddle::vswitchd {

using ofproto::Switch;
using ofproto::SwitchPort;

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
  for (const auto& [type, sw] : switches_) offer_.types[type] = sw->datapath_ports().kinds();
}

Reconciler::~Reconciler() {
  if (watching_) db_.remove_observer(observer_);
}

void Reconciler::watch(std::function<void()> wanted) {
  observer_ = db_.add_observer([this, wanted = std::move(wanted)](const ovsdb::Change& change) {
    const auto port_of = [this](const ovsdb::Uuid& interface) -> std::optional<ovsdb::Uuid> {
      const auto it = want_.port_of.find(interface);
      return it == want_.port_of.end() ? std::nullopt : std::optional(it->second);
    };
    if (std::exchange(writing_, false)) return;  // what comes after it, even before update() returns, is others'
    if (add_commit(change, port_of, touched_)) wanted();
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
  const Touched touched = std::exchange(touched_, {.all = !watching_, .ports = {}});
  const ReadContext context{offer_, [this](const std::string& name) { return current(name); }};
  const bool unfinished = std::exchange(running_, true);
  part_ = touched.all || unfinished || !bridge_errors_.empty() ? std::nullopt
                                                               : reread_ports(db_, context, touched.ports, want_);
  stale_.clear();
  todo_.clear();
  removed_ = applied_ = 0;
  if (part_) return plan(*part_);
  want_ = read_desired(db_, context);
  plan_all();
}

std::string Reconciler::broken_text(const BrokenPort& broken) const {
  return keeps_working(want_, broken) ? broken.error + "; the port keeps its former settings" : broken.error;
}

void Reconciler::plan_all() {
  errors_ = want_.remarks;
  settled_.clear();
  unsettled_.clear();
  for (const auto& [row, broken] : want_.broken) errors_[row] = broken_text(broken);
  std::set<std::string> names;  // one may be in two switches, when it moves
  for (const auto& [type, sw] : switches_)
    for (std::string& name : sw->ports()) names.insert(std::move(name));
  for (const std::string& name : names) find_stale(name);
  todo_.reserve(want_.ports.size());
  for (const auto& [name, port] : want_.ports) todo_.push_back(&port);
  sort_todo();
  bridges_done_ = false;
}

void Reconciler::plan(const Reread& reread) {
  std::set<std::string> names = std::exchange(unsettled_, {});
  names.insert(reread.names.begin(), reread.names.end());
  for (const ovsdb::Uuid& row : reread.rows) {
    errors_.erase(row);
    if (const auto it = want_.broken.find(row); it != want_.broken.end()) errors_[row] = broken_text(it->second);
  }
  for (const std::string& name : names) {
    settled_.erase(name);
    find_stale(name);
    const auto port = want_.ports.find(name);
    if (port == want_.ports.end()) continue;
    errors_.erase(port->second.row);
    todo_.push_back(&port->second);
  }
  sort_todo();
  part_->names = std::move(names);
  bridges_done_ = true;
}

// Ports that ask for a number come first, then those that had one, so that no other takes it.
void Reconciler::sort_todo() {
  std::ranges::stable_sort(todo_, {}, [](const DesiredPort* p) {
    return p->config.ofport_request ? 0 : p->former_ofport ? 1 : 2;
  });
}

bool Reconciler::step(const std::function<bool()>& enough) {
  if (!running_) return true;
  std::deque<dp::Ports::Batch> batches;
  for (const auto& [type, sw] : switches_) batches.emplace_back(sw->datapath_ports());
  const bool done = change_ports(enough);
  batches.clear();
  if (done) finish();
  return done;
}

// All of the old goes before any of the new comes: a device or tunnel may move from one switch to another.
bool Reconciler::change_ports(const std::function<bool()>& enough) {
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
  return true;
}

void Reconciler::change_bridges() {
  for (const auto& [type, sw] : switches_) remove_bridges(want_, type, *sw);
  bridge_errors_.clear();
  for (const auto& [type, sw] : switches_) apply_bridges(want_, type, *sw);
}

void Reconciler::finish() {
  running_ = false;
  std::set<std::string> seen_to;
  for (const auto& [type, number] : std::exchange(changed_, {})) {
    Switch& sw = *switches_.at(type);
    settle_again(number, sw);
    if (const std::string* name = sw.port_name(number)) seen_to.insert(*name);
  }
  if (!part_) {
    log_warnings();
    return write_all();
  }
  log_warnings(*part_);
  part_->names.merge(seen_to);
  write_some(part_->names, part_->rows, {.statistics = false, .done = true});
  part_.reset();
}

bool Reconciler::bridge_may_stay(const Desired& want, const std::string& type, const std::string& name) const {
  const auto it = want.bridges.find(name);
  return it == want.bridges.end() ? want.broken_bridges.contains(name) : it->second.datapath == type;
}

bool Reconciler::may_stay(const Desired& want, const std::string& type, const SwitchPort& port) const {
  const std::string& name = port.config.spec.name;
  if (const auto it = want.ports.find(name); it != want.ports.end())
    return it->second.datapath == type && it->second.bridge == port.bridge &&
           dp::may_become(port.config.spec, it->second.config.spec);
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

void Reconciler::find_stale(const std::string& name) {
  for (const auto& [type, sw] : switches_)
    if (const SwitchPort* port = sw->port(name); port != nullptr && !may_stay(want_, type, *port))
      stale_.push_back({sw, name});
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
    const dp::PortState state = sw.state(*now);
    config.qos = effective_qos(want, state);
    // A QoS that is not in force is asked for again: its cause may be gone.
    if (config != now->config || !state.qos_error.empty()) r = sw.set_port(config);
  } else {
    ofproto::PortConfig config = want.config;
    if (!config.ofport_request) config.ofport_request = want.former_ofport;
    r = sw.add_port(want.bridge, config);
    if (r) spdlog::info("bridge {}: added port {}", want.bridge, name);
    if (r && want.qos) {  // its rate may be the device's, which is known now
      config = sw.port(name)->config;
      config.qos = effective_qos(want, sw.state(*sw.port(name)));
      r = sw.set_port(config);
    }
  }
  const auto note = [&](const Result<>& done) {
    if (done) return;
    unsettled_.insert(name);
    auto& error = errors_[want.row];
    if (!error.empty()) error += "; ";
    error += done.error().text;
  };
  note(r);
  if (!r) return;
  note(settle_device(*sw.port(name), sw));
  if (const std::string error = sw.state(*sw.port(name)).qos_error; !error.empty()) note(fail(Errc::system, error));
}

// A rate of 0 stands for the device's speed.
std::optional<dp::QosSpec> Reconciler::effective_qos(const DesiredPort& want, const dp::PortState& state) {
  std::optional<dp::QosSpec> qos = want.qos;
  if (qos && qos->max_rate == 0) qos->max_rate = default_rate(state);
  return qos;
}

// A device of ours may have outlived the daemon or been changed by hand: what counts is what it has, not what we asked
// for last.
Result<> Reconciler::settle_device(const SwitchPort& port, Switch& sw) {
  const dp::PortSpec& spec = port.config.spec;
  const dp::PortState state = sw.state(port);
  settled_[spec.name] = state.ifindex;
  if (!set_device_ || !spec.traits().has_device) return {};
  const auto mac = spec.mac && *spec.mac != state.mac ? spec.mac : std::nullopt;
  const auto mtu = spec.mtu && *spec.mtu != state.mtu ? spec.mtu : std::nullopt;
  if (!state.present || state.ifindex == 0 || (!mac && !mtu)) return {};
  return set_device_(state.ifindex, mac, mtu);
}

void Reconciler::log_warnings() {
  std::set<std::string> now = want_.warnings;
  for (const auto& [port, origin] : want_.origins) now.insert(origin.warnings.begin(), origin.warnings.end());
  for (const std::string& text : now)
    if (!warned_.contains(text)) spdlog::warn("{}", text);
  warned_ = std::move(now);
}

void Reconciler::log_warnings(const Reread& reread) {
  for (const std::string& text : reread.past_warnings)
    if (!reread.warnings.contains(text)) warned_.erase(text);
  for (const std::string& text : reread.warnings)
    if (warned_.insert(text).second) spdlog::warn("{}", text);
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
  std::set<std::string> names;
  for (const dp::PortNo number : ports) {
    const std::string* name = sw.port_name(number);
    if (name == nullptr) continue;
    names.insert(*name);
    if (running_)
      changed_.emplace_back(type, number);
    else
      settle_again(number, sw);
  }
  // What somebody has set by hand is put right by the next run, with whatever else is to be done then.
  unsettled_.insert(names.begin(), names.end());
  if (!running_ && !names.empty()) write_some(names, {}, {.statistics = false, .done = false});
}

void Reconciler::refresh_statistics() {
  if (!running_) write_statistics();
}

}  // namespace heddle::vswitchd
