// SPDX-License-Identifier: Apache-2.0
#include "vswitchd/reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "vswitchd/without_effect.h"

namespace heddle::vswitchd {

using ovsdb::RowRef;
using ovsdb::Uuid;
using Kind = ReadingId::Kind;

Reader::Reader(const ovsdb::Database& db, DatapathOffer offer, CurrentPort current)
    : db_(db), offer_(std::move(offer)), claims_(desired_, std::move(current)) {}

void Reader::start_anew() {
  desired_ = {};
  claims_.clear();
  dependencies_.clear();
  bridges_of_roots_.clear();
  roots_.clear();
  bridges_.clear();
  ports_.clear();
  warnings_.clear();
  difference_ = {.all = true, .names = {}, .ports = {}, .bridges = {}, .root = true, .warnings = {}};
  stale_ = {{.kind = Kind::sample_sets, .bridge = {}, .port = {}}, {.kind = Kind::root, .bridge = {}, .port = {}}};
}

Difference Reader::read(const Facts& changed) {
  if (std::exchange(forgotten_, false)) start_anew();
  for (const Fact& fact : changed) touch(fact);
  // A reading makes none stale that comes before it.
  while (!stale_.empty()) read_one(stale_.extract(stale_.begin()).value());
  difference_.names.merge(claims_.decide());
  return std::exchange(difference_, {});
}

void Reader::read_one(const ReadingId& id) {
  switch (id.kind) {
    case Kind::sample_sets:
      return read_sample_sets(id);
    case Kind::root:
      return read_root(id);
    case Kind::bridge:
      return read_bridge_row(id);
    case Kind::port:
      return read_port_row(id);
  }
}

// Sampling sets name their bridge, not the other way round.
void Reader::read_sample_sets(const ReadingId& id) {
  Lookup lookup(db_);
  std::set<std::string> warnings;
  for (const RowRef& set : lookup.rows("Flow_Sample_Collector_Set"))
    warnings.insert(fmt::format("Flow_Sample_Collector_Set {} has no effect", set->get("id").integer_or(0)));
  dependencies_.set(id, lookup.facts());
  change_warnings(warnings_[id.kind], warnings);
  warnings_[id.kind] = std::move(warnings);
}

void Reader::read_root(const ReadingId& id) {
  Lookup lookup(db_);
  std::set<std::string> warnings;
  std::set<Uuid> roots;
  std::set<Uuid> bridges;
  for (const Uuid& root : roots_) desired_.without_effect.erase(root);
  for (const RowRef& root : lookup.rows("Open_vSwitch")) {
    roots.insert(root->uuid());
    note(desired_.without_effect, root->uuid(),
         list_without_effect("Open_vSwitch", columns_without_effect(*root), warnings));
    for (const Uuid& bridge : root->get("bridges").uuids()) bridges.insert(bridge);
  }
  dependencies_.set(id, lookup.facts());
  change_warnings(warnings_[id.kind], warnings);
  warnings_[id.kind] = std::move(warnings);
  difference_.root = true;
  roots_ = std::move(roots);
  const std::set<Uuid> before = std::exchange(bridges_of_roots_, std::move(bridges));
  for (const Uuid& bridge : before)
    if (!bridges_of_roots_.contains(bridge)) forget_bridge(bridge);
  for (const Uuid& bridge : bridges_of_roots_)
    if (!before.contains(bridge)) stale_.insert({.kind = Kind::bridge, .bridge = bridge, .port = {}});
}

void Reader::read_bridge_row(const ReadingId& id) {
  Lookup lookup(db_);
  const RowRef row = bridges_of_roots_.contains(id.bridge) ? lookup.find("Bridge", id.bridge) : nullptr;
  if (!row) return forget_bridge(id.bridge);
  ++readings_;
  BridgeReading next = read_bridge(lookup, row, offer_);
  dependencies_.set(id, lookup.facts());
  adopt_bridge(id, std::move(next));
}

void Reader::adopt_bridge(const ReadingId& id, BridgeReading&& next) {
  const BridgeReading before = std::exchange(bridges_[id.bridge], std::move(next));
  const BridgeReading& now = bridges_[id.bridge];
  const std::string& name = now.place.name;
  change_warnings(before.warnings, now.warnings);
  note(desired_.without_effect, id.bridge, now.without_effect);
  note(desired_.row_warnings, id.bridge, now.row_warning);
  difference_.bridges.insert(name);
  if (now.desired) {
    desired_.bridges[name] = *now.desired;
    desired_.broken_bridges.erase(name);
  } else {
    desired_.bridges.erase(name);
    desired_.broken_bridges.insert(name);
  }
  if (before.row && (before.place.datapath != now.place.datapath || before.place.error != now.place.error))
    touch({id.bridge, kPlaceAspect});
  if (before.row && before.place.address != now.place.address) touch({id.bridge, kAddressAspect});
  change_members(id.bridge, before.row ? before.row->get("ports") : ovsdb::Datum{}, now.row->get("ports"));
}

void Reader::change_members(const Uuid& bridge, const ovsdb::Datum& before, const ovsdb::Datum& after) {
  ovsdb::for_each_difference(before, after, [&](const ovsdb::Atom& atom, int sign) {
    const ReadingId port{.kind = Kind::port, .bridge = bridge, .port = std::get<Uuid>(atom)};
    if (sign < 0)
      forget_port(port);
    else
      stale_.insert(port);
  });
}

void Reader::forget_bridge(const Uuid& bridge) {
  const auto known = bridges_.find(bridge);
  if (known == bridges_.end()) return;
  const std::string& name = known->second.place.name;
  change_members(bridge, known->second.row->get("ports"), {});
  change_warnings(known->second.warnings, {});
  desired_.without_effect.erase(bridge);
  desired_.row_warnings.erase(bridge);
  desired_.bridges.erase(name);
  desired_.broken_bridges.erase(name);
  difference_.bridges.insert(name);
  const ReadingId id{.kind = Kind::bridge, .bridge = bridge, .port = {}};
  dependencies_.remove(id);
  stale_.erase(id);
  bridges_.erase(known);
}

void Reader::read_port_row(const ReadingId& id) {
  forget_port(id);
  Lookup lookup(db_);
  const RowRef row = lookup.find("Port", id.port);
  if (!row) return;
  ++readings_;
  lookup.note({id.bridge, kPlaceAspect});
  PortReading reading = read_port(lookup, bridges_.at(id.bridge).place, *row);
  dependencies_.set(id, lookup.facts());
  change_warnings({}, reading.warnings);
  note(desired_.without_effect, id.port, reading.without_effect);
  note(desired_.row_warnings, id.port, reading.row_warning);
  difference_.ports.insert(id.port);
  PortKept& kept = ports_[id];
  for (const Claim& claim : reading.claims) kept.interfaces.push_back(claim.name);
  kept.warnings = std::move(reading.warnings);
  claims_.add(id, std::move(reading));
}

void Reader::forget_port(const ReadingId& id) {
  stale_.erase(id);
  const auto kept = ports_.find(id);
  if (kept == ports_.end()) return;
  dependencies_.remove(id);
  for (const std::string& name : kept->second.interfaces) claims_.withdraw(id, name);
  change_warnings(kept->second.warnings, {});
  ports_.erase(kept);
  difference_.ports.insert(id.port);
  // Another bridge may have the port as well, and its reading says the same of the row.
  std::set<ReadingId> others;
  dependencies_.add_readers(row_fact(id.port), others);
  if (std::ranges::none_of(others, [&](const ReadingId& other) { return other.port == id.port; })) {
    desired_.without_effect.erase(id.port);
    desired_.row_warnings.erase(id.port);
  }
}

void Reader::change_warnings(const std::set<std::string>& before, const std::set<std::string>& after) {
  for (const std::string& text : before) {
    const auto known = desired_.warnings.find(text);
    if (--known->second == 0) desired_.warnings.erase(known);
  }
  for (const std::string& text : after) ++desired_.warnings[text];
  difference_.warnings.insert(before.begin(), before.end());
  difference_.warnings.insert(after.begin(), after.end());
}

void Reader::note(std::unordered_map<Uuid, std::string>& texts, const Uuid& row, const std::string& text) {
  if (text.empty())
    texts.erase(row);
  else
    texts[row] = text;
}

}  // namespace heddle::vswitchd
