// SPDX-License-Identifier: Apache-2.0
#include "ofproto-lite/fdb.h"

#include <algorithm>
#include <array>
#include <utility>

namespace heddle::ofproto {
namespace {

std::string describe(const dp::FdbKey& key) { return fmt::format("{} in VLAN {}", key.mac.to_string(), key.vlan); }

}  // namespace

std::size_t Fdb::KeyHash::operator()(const dp::FdbKey& k) const noexcept {
  std::uint64_t h = k.mac.to_u64() | static_cast<std::uint64_t>(k.vlan) << 48;
  h = (h ^ static_cast<std::uint64_t>(k.bridge) * 0x9e3779b97f4a7c15ULL) * 0xff51afd7ed558ccdULL;
  return h ^ h >> 32;
}

Fdb::Fdb(dp::Stations& stations, const TimeSource& time) : stations_(stations), wheel_(time) {}

// --- bridges and ports ---

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
  while (bridge.stats.entries > bridge.config.capacity && evict_one(id)) continue;
  if (!fresh && old.aging != bridge.config.aging) {
    const auto shift = (bridge.config.aging - old.aging).count();
    for (const dp::PortNo number : ports_.of(id))
      for (FdbEntry& entry : ports_.find(number)->learned) wheel_.schedule(entry, entry.due + shift);
  }
  return {};
}

void Fdb::remove_bridge(dp::BridgeId id) {
  for (const dp::PortNo number : ports_.of(id)) remove_port(number);
  bridges_.erase(id);
}

Result<> Fdb::add_port(dp::PortNo number, dp::BridgeId id, std::string name) {
  if (!bridges_.contains(id)) return fail(Errc::not_found, "port " + name + ": its bridge does not exist");
  return ports_.add(number, id, std::move(name));
}

void Fdb::remove_port(dp::PortNo number) {
  FdbPorts::Port* port = ports_.find(number);
  if (port == nullptr) return;
  clear(port->learned, {});
  clear(port->statics, {});
  ports_.remove(number);
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
    log_.own_mac(bridge.config.name, key, ports_.name(event.target.port));
    return false;
  }
  return true;
}

void Fdb::learn(const dp::LearnEvent& event) {
  const FdbPorts::Port* port = ports_.find(event.target.port);
  if (port == nullptr || port->bridge != event.key.bridge) return;  // removed while the event waited
  Bridge& bridge = bridges_.at(event.key.bridge);
  if (!acceptable(bridge, event)) return;
  const auto it = entries_.find(event.key);
  if (it == entries_.end()) {
    if (make_room(event.key.bridge) && place(event.key, event.target, false)) ++bridge.stats.learned;
  } else if (it->second.target == event.target) {
    refresh(it->second);
  } else if (it->second.is_static) {
    ++bridge.stats.static_refused;
  } else {
    move(it->second, event.target);
  }
}

// Puts the entry into the datapath and into our lists, in place of the one that is there. A failure changes nothing.
Result<> Fdb::place(const dp::FdbKey& key, const dp::FdbTarget& target, bool is_static) {
  Bridge& bridge = bridges_.at(key.bridge);
  if (auto r = install(key, target); !r) return r;
  const auto [it, fresh] = entries_.try_emplace(key);
  FdbEntry& entry = it->second;
  if (fresh) {
    entry.key = key;
    ++bridge.stats.entries;
  } else {
    ports_.detach(entry);
    bridge.stats.statics -= entry.is_static ? 1 : 0;
  }
  entry.target = target;
  entry.is_static = is_static;
  ports_.attach(entry);
  bridge.stats.statics += is_static ? 1 : 0;
  if (is_static)
    entry.of_wheel.unlink();
  else
    wheel_.schedule(entry, wheel_.now() + bridge.config.aging.count());
  return {};
}

Result<> Fdb::install(const dp::FdbKey& key, const dp::FdbTarget& target) {
  auto r = stations_.put(key, target);
  // The datapath may be fuller than we know while it frees in arrears: give up one more entry and try once again.
  if (!r && r.error().code == Errc::limit && evict_one(key.bridge, &key)) r = stations_.put(key, target);
  if (!r) ++bridges_.at(key.bridge).stats.datapath_refused;
  return r;
}

// A source that is reported again: an event that had waited, or the datapath lost the entry with a device.
void Fdb::refresh(FdbEntry& entry) {
  std::array<dp::FdbUse, 1> use{dp::FdbUse{entry.key}};
  stations_.usage(use);
  if (use[0].idle_seconds == UINT32_MAX && !install(entry.key, entry.target)) erase(entry);
}

void Fdb::move(FdbEntry& entry, const dp::FdbTarget& target) {
  const dp::FdbTarget from = entry.target;
  if (!place(entry.key, target, false)) return erase(entry);
  Bridge& bridge = bridges_.at(entry.key.bridge);
  ++bridge.stats.moved;
  log_.moved(bridge.config.name, entry, wheel_.now(), ports_.name(from.port), ports_.name(target.port));
}

// --- room ---

bool Fdb::make_room(dp::BridgeId id) {
  Bridge& bridge = bridges_.at(id);
  while (bridge.stats.entries >= bridge.config.capacity) {
    if (evict_one(id)) continue;
    ++bridge.stats.full;
    log_.full(bridge.config.name, bridge.stats.entries);
    return false;
  }
  return true;
}

// The port that holds most gives up one: of its few oldest entries the one that has been quiet longest, but not
// `spared`. So a port that floods addresses pushes out its own.
bool Fdb::evict_one(dp::BridgeId id, const dp::FdbKey* spared) {
  FdbPorts::Port* port = ports_.fullest(id);
  if (port == nullptr) return false;
  std::array<FdbEntry*, limits::kEvictScan> candidates{};
  std::array<dp::FdbUse, limits::kEvictScan> use{};
  std::size_t n = 0;
  for (auto it = port->learned.begin(); it != port->learned.end() && n < candidates.size(); ++it) {
    if (spared != nullptr && it->key == *spared) continue;
    candidates[n] = &*it;
    use[n++].key = it->key;
  }
  if (n == 0) return false;
  stations_.usage(std::span(use).first(n));
  std::size_t oldest = 0;
  for (std::size_t i = 1; i < n; ++i)
    if (use[i].idle_seconds > use[oldest].idle_seconds) oldest = i;
  erase(*candidates[oldest]);
  ++bridges_.at(id).stats.evicted;
  return true;
}

// --- static entries, removal ---

Result<> Fdb::add_static(const dp::FdbKey& key, const dp::FdbTarget& target) {
  if (key.mac.is_multicast() || key.mac.is_zero())
    return fail(Errc::invalid, key.mac.to_string() + " is not the address of one station");
  const FdbPorts::Port* port = ports_.find(target.port);
  if (port == nullptr || port->bridge != key.bridge) return fail(Errc::not_found, "the port is not in this bridge");
  const Bridge& bridge = bridges_.at(key.bridge);
  if (const auto it = entries_.find(key); it == entries_.end()) {
    if (!make_room(key.bridge))
      return fail(Errc::limit, fmt::format("bridge {}: its table holds {} static entries and no more fit; raise "
                                           "other_config:mac-table-size",
                                           bridge.config.name, bridge.stats.entries));
  } else if (it->second.is_static) {
    if (it->second.target == target) return {};
    return fail(Errc::exists, fmt::format("{} already has a static entry on port {}; remove it with fdb-del first",
                                          describe(key), ports_.name(it->second.target.port)));
  }
  return place(key, target, true);
}

Result<> Fdb::remove(const dp::FdbKey& key) {
  const auto it = entries_.find(key);
  if (it == entries_.end()) return fail(Errc::not_found, "there is no entry for " + describe(key));
  erase(it->second);
  return {};
}

std::size_t Fdb::flush(const FdbFilter& which) {
  std::size_t removed = 0;
  for (const dp::PortNo number : which.port ? std::vector{*which.port} : ports_.all())
    if (FdbPorts::Port* port = ports_.find(number); port != nullptr && (!which.bridge || which.bridge == port->bridge))
      removed += clear(port->learned, which);
  return removed;
}

std::size_t Fdb::clear(FdbPorts::List& list, const FdbFilter& which) {
  std::size_t removed = 0;
  for (auto it = list.begin(); it != list.end();) {
    FdbEntry& entry = *it++;
    if (which.vlan && entry.key.vlan != *which.vlan) continue;
    if (which.remote && entry.target.remote != which.remote) continue;
    erase(entry);
    ++removed;
  }
  return removed;
}

void Fdb::erase(FdbEntry& entry) {
  FdbStats& stats = bridges_.at(entry.key.bridge).stats;
  --stats.entries;
  stats.statics -= entry.is_static ? 1 : 0;
  stations_.remove(entry.key);
  ports_.detach(entry);
  entries_.erase(entries_.find(entry.key));
}

// --- aging ---

std::size_t Fdb::tick(std::size_t budget) {
  const std::vector<FdbEntry*> due = wheel_.take_due(budget);
  std::vector<dp::FdbUse> use;
  use.reserve(due.size());
  for (const FdbEntry* entry : due) use.push_back({entry->key});
  stations_.usage(use);
  for (std::size_t i = 0; i < due.size(); ++i) {
    FdbEntry& entry = *due[i];
    Bridge& bridge = bridges_.at(entry.key.bridge);
    if (use[i].idle_seconds >= bridge.config.aging.count()) {
      erase(entry);
      ++bridge.stats.expired;
      continue;
    }
    wheel_.schedule(entry, wheel_.now() + bridge.config.aging.count() - use[i].idle_seconds);
    ports_.make_youngest(entry);
  }
  return due.size();
}

// --- answers ---

std::vector<FdbRow> Fdb::rows(dp::BridgeId id) const {
  std::vector<FdbRow> out;
  std::vector<dp::FdbUse> use;
  for (const dp::PortNo number : ports_.of(id)) {
    const FdbPorts::Port& port = *ports_.find(number);
    for (const auto* list : {&port.learned, &port.statics})
      for (const FdbEntry& entry : *list) out.push_back({entry.key, entry.target, entry.is_static, 0});
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

}  // namespace heddle::ofproto
