// SPDX-License-Identifier: Apache-2.0
#include "vswitchd/reconcile.h"

#include <algorithm>
#include <utility>

#include "base/limits.h"
#include "base/log.h"
#include "vswitchd/text.h"
#include "vswitchd/touched.h"

namespace heddle::vswitchd {
namespace {

using ofproto::Switch;
using ofproto::SwitchPort;

DatapathOffer with_types(DatapathOffer offer, const Switches& switches) {
  offer.types.clear();
  for (const auto& [type, sw] : switches) offer.types[type] = sw->datapath_ports().kinds();
  return offer;
}

SwitchViews views_of(const Switches& switches) {
  SwitchViews views;
  for (const auto& [type, sw] : switches) views[type] = view_of(*sw);
  return views;
}

}  // namespace

void insert_root(ovsdb::Database& db, ovsdb::Origin origin) {
  if (!db.rows("Open_vSwitch").empty()) return;
  const ovsdb::Json insert{{"op", "insert"}, {"table", "Open_vSwitch"}, {"row", ovsdb::Json::object()}};
  ovsdb::TransactContext context;
  context.origin = origin;
  const ovsdb::Json reply = db.try_transact(ovsdb::Json::array({insert}), context).reply;
  if (db.rows("Open_vSwitch").empty())
    spdlog::error("the database refuses its first row: {}", ovsdb::dump_brief(reply));
}

Reconciler::Reconciler(ovsdb::Database& db, const Switches& switches, DeviceSetter set_device, DatapathOffer offer)
    : db_(db),
      switches_(switches),
      views_(views_of(switches)),
      reader_(db, with_types(offer, switches), [this](const std::string& name) { return current(name); }),
      applier_(reader_.desired(), switches, std::move(set_device)),
      status_(db, reader_.desired(), applier_, switches, with_types(std::move(offer), switches)) {}

Reconciler::~Reconciler() {
  if (observer_) db_.remove_observer(*observer_);
}

void Reconciler::watch(std::function<void()> wanted) {
  reader_.forget();  // what has changed until now was not seen
  observer_ = db_.add_observer([this, wanted = std::move(wanted)](const ovsdb::Change& change) {
    if (change.origin != status_.origin() && add_touched(change, touched_)) wanted();
  });
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

const SwitchPort* Reconciler::current(const std::string& name) const {
  for (const auto& [type, sw] : switches_)
    if (const SwitchPort* port = sw->port(name)) return port;
  return nullptr;
}

// The `ofport` column is this program's own writing, so its changes make no reading stale: it is looked at when it is
// used.
std::optional<ofproto::OfPort> Reconciler::former_number(const ovsdb::Uuid& interface) const {
  const auto row = db_.find("Interface", interface);
  const auto number = row ? row->get("ofport").integer() : std::nullopt;
  if (!number || *number <= 0 || *number > limits::kOfportMax) return std::nullopt;
  return static_cast<ofproto::OfPort>(*number);
}

void Reconciler::run() {
  begin();
  while (!step([] { return false; })) continue;
}

void Reconciler::begin() {
  insert_root(db_, status_.origin());
  asked_.clear();
  for (const auto& root : db_.rows("Open_vSwitch")) asked_[root->uuid()] = root->get("next_cfg").integer_or(0);
  if (!observer_) reader_.forget();
  // What a run that was not finished was about is still to be done.
  pending_.merge(reader_.read(std::exchange(touched_, {})));
  pending_.names.merge(applier_.take_again());
  Plan plan = make_plan(
      reader_.desired(), views_, [this](const ovsdb::Uuid& row) { return former_number(row); },
      pending_.all ? nullptr : &pending_.names);
  applier_.begin(std::move(plan));
  running_ = true;
}

bool Reconciler::step(const std::function<bool()>& enough) {
  if (!running_) return true;
  const bool done = applier_.step(enough);
  if (done) finish();
  return done;
}

void Reconciler::finish() {
  running_ = false;
  for (const auto& [type, number] : std::exchange(news_, {})) {
    Switch& sw = *switches_.at(type);
    if (const std::string* name = sw.port_name(number)) {
      applier_.look_at(*name, sw);
      pending_.names.insert(*name);
    }
  }
  const auto& failed = applier_.again();
  pending_.names.insert(failed.begin(), failed.end());
  const Difference done = std::exchange(pending_, {});
  warnings_.update(reader_.desired(), done);
  status_.write_run(done, asked_);
  applied_(reader_.desired());
}

void Reconciler::set_overlay(OverlayParts parts, std::function<void(const Desired&)> applied) {
  applier_.set_overlay(std::move(parts));
  applied_ = std::move(applied);
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
      news_.emplace_back(type, number);
    else
      applier_.look_at(*name, sw);
  }
  // What somebody has set by hand is put right by the next run, with whatever else is to be done then.
  applier_.set_again(names);
  if (!running_ && !names.empty()) status_.write_news(names);
}

bool Reconciler::look_at_failed() {
  applier_.set_again(applier_.failed());
  applier_.set_again(status_.in_error());
  return !applier_.failed().empty() || !status_.in_error().empty();
}

void Reconciler::refresh_statistics() {
  if (!running_) status_.write_statistics();
}

}  // namespace heddle::vswitchd
