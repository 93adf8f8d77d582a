// SPDX-License-Identifier: Apache-2.0
#include "ofproto-lite/fdb.h"

#include <algorithm>
#include <array>

namespace heddle::ofproto {
namespace {

constexpr std::int64_t kFlapWindow = 2;  // seconds between two moves that make them one flapping
constexpr unsigned kFlapMoves = 4;       // that many in a row are worth a warning

std::string describe(const dp::FdbKey& key) { return fmt::format("{} in VLAN {}", key.mac.to_string(), key.vlan); }

}  // namespace

std::size_t Fdb::KeyHash::operator()(const dp::FdbKey& k) const noexcept {
  std::uint64_t h = k.mac.to_u64() | static_cast<std::uint64_t>(k.vlan) << 48;
  h = (h ^ static_cast<std::uint64_t>(k.bridge) * 0x9e3779b97f4a7c15ULL) * 0xff51afd7ed558ccdULL;
  return h ^ h >> 32;
}

Fdb::Fdb(dp::Stations& stations, const TimeSource& time)
    : stations_(stations), time_(time), epoch_(time.now()), wheel_(kWheel) {}

Fdb::~Fdb() = default;

std::int64_t Fdb::second() const {
  return std::chrono::duration_cast<std::chrono::seconds>(time_.now() - epoch_).count();
}

std::string Fdb::port_name(dp::PortNo port) const {
  const auto it = ports_.find(port);
  return it == ports_.end() ? "a removed port" : it->second.name;
}

Result<> Fdb::set_bridge(dp::BridgeId id, FdbConfig config) {
  config.aging =
      std::clamp(config.aging, std::chrono::seconds(limits::kAgingMin), std::chrono::seconds(limits::kAgingMax));
  config.capacity = std::clamp<std::size_t>(config.capacity, 1, limits::kFdbMax);
  const auto [it, fresh] = bridges_.try_emplace(id);
  Bridge& bridge = it->second;
  const FdbConfig old = std::exchange(bridge.config, std::move(config));
  if (fresh || old.capacity != bridge.config.capacity) {
    if (auto r = stations_.set_capacity(id, bridge.config.capacity); !r) {
      bridge.config.capacity = fresh ? limits::kFdbDefault : old.capacity;
      return r;
    }
  }
  while (bridge.stats.entries > bridge.config.capacity && evict_one(bridge)) continue;
  if (!fresh && old.aging != bridge.config.aging) {
    const auto shift = (bridge.config.aging - old.aging).count();
    for (auto [count, number] : bridge.by_count)
      for (Entry& entry : ports_.at(number).learned) schedule(entry, entry.due + shift);
  }
  return {};
}

void Fdb::remove_bridge(dp::BridgeId id) {
  const auto it = bridges_.find(id);
  if (it == bridges_.end()) return;
  while (!it->second.by_count.empty()) remove_port(it->second.by_count.begin()->second);
  bridges_.erase(it);
}

Result<> Fdb::add_port(dp::PortNo number, dp::BridgeId id, std::string name) {
  const auto bridge = bridges_.find(id);
  if (bridge == bridges_.end()) return fail(Errc::not_found, "port " + name + ": its bridge does not exist");
  const auto [it, fresh] = ports_.try_emplace(number);
  if (!fresh && it->second.bridge != id)
    return fail(Errc::exists, "port " + name + ": its number is in use in another bridge; remove it there first");
  it->second.bridge = id;
  it->second.name = std::move(name);
  if (fresh) bridge->second.by_count.emplace(0, number);
  return {};
}

void Fdb::remove_port(dp::PortNo number) {
  const auto it = ports_.find(number);
  if (it == ports_.end()) return;
  clear(it->second.learned, {});
  clear(it->second.statics, {});
  bridges_.at(it->second.bridge).by_count.erase({0, number});
  ports_.erase(it);
}

// --- learning ---

bool Fdb::acceptable(Bridge& bridge, const dp::LearnEvent& event) {
  const dp::FdbKey& key = event.key;
  if (key.mac.is_multicast() || key.mac.is_zero()) {
    ++bridge.stats.bad_source;
    return false;
  }
  if (key.mac == bridge.config.mac && event.target.port != bridge.config.local) {
    ++bridge.stats.own_mac;
    if (unsigned held = 0; own_mac_log_.allow(held))
      spdlog::warn("bridge {}: its own address {} came in on port {}: is there a loop or a copied address?",
                   bridge.config.name, key.mac.to_string(), port_name(event.target.port));
    return false;
  }
  return true;
}

void Fdb::learn(const dp::LearnEvent& event) {
  const auto port = ports_.find(event.target.port);
  if (port == ports_.end() || port->second.bridge != event.key.bridge) return;  // removed while the event waited
  Bridge& bridge = bridges_.at(event.key.bridge);
  if (!acceptable(bridge, event)) return;
  const auto it = entries_.find(event.key);
  if (it == entries_.end()) {
    if (make_room(bridge) && install(bridge, event.key, event.target)) insert(bridge, event.key, event.target);
    return;
  }
  Entry& entry = it->second;
  if (entry.target == event.target) {
    refresh(bridge, entry);
  } else if (entry.is_static) {
    ++bridge.stats.static_refused;
  } else {
    move(bridge, entry, event.target);
  }
}

Result<> Fdb::install(Bridge& bridge, const dp::FdbKey& key, const dp::FdbTarget& target) {
  auto r = stations_.put(key, target);
  // The datapath may be fuller than we know while it frees in arrears: give up one more entry and try once again.
  if (!r && r.error().code == Errc::limit && evict_one(bridge)) r = stations_.put(key, target);
  if (!r) ++bridge.stats.datapath_refused;
  return r;
}

void Fdb::insert(Bridge& bridge, const dp::FdbKey& key, const dp::FdbTarget& target) {
  Entry& entry = entries_[key];
  entry.key = key;
  entry.target = target;
  attach(bridge, entry);
  schedule(entry, second() + bridge.config.aging.count());
  ++bridge.stats.learned;
}

// A source that is reported again: an event that had waited, or the datapath lost the entry with a device.
void Fdb::refresh(Bridge& bridge, Entry& entry) {
  std::array<dp::FdbUse, 1> use{dp::FdbUse{entry.key}};
  stations_.usage(use);
  if (use[0].idle_seconds == UINT32_MAX && !install(bridge, entry.key, entry.target)) erase(entry);
}

void Fdb::move(Bridge& bridge, Entry& entry, const dp::FdbTarget& target) {
  if (!install(bridge, entry.key, target)) return erase(entry);
  note_flapping(bridge, entry, target);
  detach(bridge, entry);
  entry.target = target;
  attach(bridge, entry);
  schedule(entry, second() + bridge.config.aging.count());
  ++bridge.stats.moved;
}

void Fdb::note_flapping(const Bridge& bridge, Entry& entry, const dp::FdbTarget& target) {
  const auto now = second();
  entry.flaps = now - entry.moved <= kFlapWindow ? entry.flaps + 1 : 1;
  entry.moved = now;
  if (entry.flaps < kFlapMoves) return;
  if (unsigned held = 0; flap_log_.allow(held))
    spdlog::warn("bridge {}: {} flaps between ports {} and {}: a loop, or one address used twice ({} more not logged)",
                 bridge.config.name, describe(entry.key), port_name(entry.target.port), port_name(target.port), held);
}

// --- room ---

bool Fdb::make_room(Bridge& bridge) {
  while (bridge.stats.entries >= bridge.config.capacity) {
    if (evict_one(bridge)) continue;
    ++bridge.stats.full;
    if (unsigned held = 0; full_log_.allow(held))
      spdlog::warn("bridge {}: forwarding table is full of static entries ({}); raise other_config:mac-table-size",
                   bridge.config.name, bridge.stats.entries);
    return false;
  }
  return true;
}

// The port that holds most gives up one: of its few oldest entries the one that has been quiet longest. So a port that
// floods addresses pushes out its own.
bool Fdb::evict_one(Bridge& bridge) {
  if (bridge.by_count.empty() || bridge.by_count.rbegin()->first == 0) return false;
  Port& port = ports_.at(bridge.by_count.rbegin()->second);
  std::array<Entry*, limits::kEvictScan> candidates{};
  std::array<dp::FdbUse, limits::kEvictScan> use{};
  std::size_t n = 0;
  for (auto it = port.learned.begin(); it != port.learned.end() && n < candidates.size(); ++it, ++n) {
    candidates[n] = &*it;
    use[n].key = it->key;
  }
  stations_.usage(std::span(use).first(n));
  std::size_t oldest = 0;
  for (std::size_t i = 1; i < n; ++i)
    if (use[i].idle_seconds > use[oldest].idle_seconds) oldest = i;
  erase(*candidates[oldest]);
  ++bridge.stats.evicted;
  return true;
}

// --- static entries, removal ---

Result<> Fdb::add_static(const dp::FdbKey& key, const dp::FdbTarget& target) {
  if (key.mac.is_multicast() || key.mac.is_zero())
    return fail(Errc::invalid, key.mac.to_string() + " is not the address of one station");
  const auto port = ports_.find(target.port);
  if (port == ports_.end() || port->second.bridge != key.bridge)
    return fail(Errc::not_found, "the port is not in this bridge");
  Bridge& bridge = bridges_.at(key.bridge);
  if (const auto it = entries_.find(key); it != entries_.end()) {
    if (it->second.is_static && it->second.target == target) return {};
    if (it->second.is_static)
      return fail(Errc::exists, fmt::format("{} already has a static entry on port {}; remove it with fdb-del first",
                                            describe(key), port_name(it->second.target.port)));
    erase(it->second);
  }
  if (!make_room(bridge))
    return fail(Errc::limit, fmt::format("bridge {}: its table holds {} static entries and no more fit; raise "
                                         "other_config:mac-table-size",
                                         bridge.config.name, bridge.stats.entries));
  if (auto r = install(bridge, key, target); !r) return r;
  Entry& entry = entries_[key];
  entry.key = key;
  entry.target = target;
  entry.is_static = true;
  attach(bridge, entry);
  return {};
}

Result<> Fdb::remove(const dp::FdbKey& key) {
  const auto it = entries_.find(key);
  if (it == entries_.end()) return fail(Errc::not_found, "there is no entry for " + describe(key));
  erase(it->second);
  return {};
}

std::size_t Fdb::flush(const FdbFilter& which) {
  std::size_t removed = 0;
  const auto flush_port = [&](Port& port) {
    if (!which.bridge || which.bridge == port.bridge) removed += clear(port.learned, which);
  };
  if (!which.port) {
    for (auto& item : ports_) flush_port(item.second);
  } else if (const auto it = ports_.find(which.port.value()); it != ports_.end()) {
    flush_port(it->second);
  }
  return removed;
}

std::size_t Fdb::clear(List<&Entry::of_port>& list, const FdbFilter& which) {
  std::size_t removed = 0;
  for (auto it = list.begin(); it != list.end();) {
    Entry& entry = *it++;
    if (which.vlan && entry.key.vlan != *which.vlan) continue;
    if (which.remote && entry.target.remote != which.remote) continue;
    erase(entry);
    ++removed;
  }
  return removed;
}

void Fdb::erase(Entry& entry) {
  stations_.remove(entry.key);
  detach(bridges_.at(entry.key.bridge), entry);
  entries_.erase(entries_.find(entry.key));
}

// --- lists and counts ---

void Fdb::recount(Bridge& bridge, dp::PortNo number, Port& port, int change) {
  auto node = bridge.by_count.extract({port.learned_count, number});
  port.learned_count += static_cast<std::size_t>(change);
  node.value().first = port.learned_count;
  bridge.by_count.insert(std::move(node));
}

void Fdb::attach(Bridge& bridge, Entry& entry) {
  Port& port = ports_.at(entry.target.port);
  ++bridge.stats.entries;
  if (entry.is_static) {
    ++bridge.stats.statics;
    ++port.static_count;
    port.statics.push_back(entry);
  } else {
    port.learned.push_back(entry);
    recount(bridge, entry.target.port, port, 1);
  }
}

void Fdb::detach(Bridge& bridge, Entry& entry) {
  Port& port = ports_.at(entry.target.port);
  --bridge.stats.entries;
  entry.of_port.unlink();
  entry.of_wheel.unlink();
  if (entry.is_static) {
    --bridge.stats.statics;
    --port.static_count;
  } else {
    recount(bridge, entry.target.port, port, -1);
  }
}

// --- aging ---

void Fdb::schedule(Entry& entry, std::int64_t due) {
  if (entry.of_wheel.is_linked()) entry.of_wheel.unlink();
  entry.due = std::max(due, cursor_);
  wheel_[static_cast<std::size_t>(entry.due % kWheel)].push_back(entry);
}

void Fdb::collect_due(std::int64_t now, std::size_t budget, std::vector<Entry*>& out) {
  for (auto end = std::min(now, cursor_ + kWheel); cursor_ <= end; ++cursor_) {
    auto& bucket = wheel_[static_cast<std::size_t>(cursor_ % kWheel)];
    for (auto it = bucket.begin(); it != bucket.end();) {
      Entry& entry = *it++;
      if (entry.due > now) continue;  // a later round of the wheel
      if (out.size() == budget) return;
      entry.of_wheel.unlink();
      out.push_back(&entry);
    }
  }
  cursor_ = now + 1;
}

std::size_t Fdb::tick(std::size_t budget) {
  std::vector<Entry*> due;
  const auto now = second();
  collect_due(now, budget, due);
  std::vector<dp::FdbUse> use;
  use.reserve(due.size());
  for (const Entry* entry : due) use.push_back({entry->key});
  stations_.usage(use);
  for (std::size_t i = 0; i < due.size(); ++i) {
    Entry& entry = *due[i];
    Bridge& bridge = bridges_.at(entry.key.bridge);
    if (use[i].idle_seconds >= bridge.config.aging.count()) {
      erase(entry);
      ++bridge.stats.expired;
      continue;
    }
    schedule(entry, now + bridge.config.aging.count() - use[i].idle_seconds);
    auto& learned = ports_.at(entry.target.port).learned;
    entry.of_port.unlink();
    learned.push_back(entry);
  }
  return due.size();
}

std::optional<TimePoint> Fdb::next_due() const {
  for (std::int64_t s = cursor_; s < cursor_ + kWheel; ++s)
    if (!wheel_[static_cast<std::size_t>(s % kWheel)].empty()) return epoch_ + std::chrono::seconds(s);
  return std::nullopt;
}

// --- answers ---

std::vector<FdbRow> Fdb::rows(dp::BridgeId id) const {
  std::vector<FdbRow> out;
  std::vector<dp::FdbUse> use;
  const auto bridge = bridges_.find(id);
  if (bridge == bridges_.end()) return out;
  out.reserve(bridge->second.stats.entries);
  for (auto [count, number] : bridge->second.by_count) {
    const Port& port = ports_.at(number);
    for (const auto* list : {&port.learned, &port.statics})
      for (const Entry& entry : *list) out.push_back({entry.key, entry.target, entry.is_static, 0});
  }
  use.reserve(out.size());
  for (const FdbRow& row : out) use.push_back({row.key});
  stations_.usage(use);
  for (std::size_t i = 0; i < out.size(); ++i)
    if (!out[i].is_static && use[i].idle_seconds != UINT32_MAX) out[i].age = use[i].idle_seconds;
  return out;
}

FdbStats Fdb::stats(dp::BridgeId id) const {
  const auto it = bridges_.find(id);
  return it == bridges_.end() ? FdbStats{} : it->second.stats;
}

std::size_t Fdb::count(dp::PortNo number) const {
  const auto it = ports_.find(number);
  return it == ports_.end() ? 0 : it->second.learned_count + it->second.static_count;
}

}  // namespace heddle::ofproto
