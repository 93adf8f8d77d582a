// SPDX-License-Identifier: Apache-2.0
#include "ofproto-lite/fdb.h"

#include <algorithm>
#include <array>
#include <utility>

namespace heddle::ofproto {
namespace {

std::string describe(const dp::FdbKey& key) { return fmt::format("{} in VLAN {}", key.mac.to_string(), key.vlan); }

void tell(const std::vector<FdbObserver*>& observers, const std::optional<LocalStation>& before,
          const std::optional<LocalStation>& now) {
  if (before == now) return;
  for (FdbObserver* observer : observers) {
    if (!before)
      observer->appeared(*now);
    else if (!now)
      observer->gone(*before);
    else
      observer->moved(*before, *now);
  }
}

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
  const auto numbers = ports_.of(id);
  for (const dp::PortNo number : numbers) standby_.drop_port(number);
  for (const dp::PortNo number : numbers) remove_port(number);
  bridges_.erase(id);
}

Result<> Fdb::add_port(dp::PortNo number, dp::BridgeId id, std::string name, bool tunnel) {
  if (!bridges_.contains(id)) return fail(Errc::not_found, "port " + name + ": its bridge does not exist");
  return ports_.add(number, id, std::move(name), tunnel);
}

void Fdb::remove_port(dp::PortNo number) {
  FdbPorts::Port* port = ports_.find(number);
  if (port == nullptr) return;
  standby_.drop_port(number);
  while (!port->learned.empty()) erase(port->learned.front());
  while (!port->lasting.empty()) give_up(port->lasting.front());
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
    if (make_room(event.key.bridge) && place(event.key, event.target, Origin::learned)) ++bridge.stats.learned;
    return;
  }
  FdbEntry& entry = it->second;
  if (entry.target == event.target) return refresh(entry);
  if (outranks(entry.origin, Origin::learned)) {
    ++bridge.stats.refused_moves[entry.origin];
    const bool told_by_others = entry.origin == Origin::evpn || entry.origin == Origin::reflector;
    if (told_by_others && !port->tunnel)
      for (FdbObserver* observer : observers_) observer->claimed({event.key, event.target.port, Origin::learned});
    return;
  }
  const dp::PortNo from = entry.target.port;
  if (!place(event.key, event.target, Origin::learned)) return erase(entry);
  ++bridge.stats.moved;
  log_.moved(bridge.config.name, entry, wheel_.now(), ports_.name(from), ports_.name(event.target.port));
}

// Puts the entry into the datapath and into our lists, in place of the one that is there. A failure changes nothing.
Result<> Fdb::place(const dp::FdbKey& key, const dp::FdbTarget& target, Origin origin) {
  if (auto r = install(key, target); !r) return r;
  Bridge& bridge = bridges_.at(key.bridge);
  const auto [it, fresh] = entries_.try_emplace(key);
  FdbEntry& entry = it->second;
  std::optional<LocalStation> before;
  if (fresh) {
    entry.key = key;
    ++bridge.stats.entries;
  } else {
    before = local(entry);
    ports_.detach(entry);
    --bridge.stats.of_origin[entry.origin];
  }
  entry.target = target;
  entry.origin = origin;
  ports_.attach(entry);
  ++bridge.stats.of_origin[origin];
  if (origin == Origin::learned)
    wheel_.schedule(entry, wheel_.now() + bridge.config.aging.count());
  else
    entry.of_wheel.unlink();
  tell(observers_, before, local(entry));
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
  if (use[0].idle_seconds == UINT32_MAX && !install(entry.key, entry.target)) give_up(entry);
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

// --- other origins ---

Result<> Fdb::put(Origin origin, const dp::FdbKey& key, const dp::FdbTarget& target) {
  if (origin == Origin::learned) return fail(Errc::invalid, "entries are learned from frames alone");
  if (key.mac.is_multicast() || key.mac.is_zero())
    return fail(Errc::invalid, key.mac.to_string() + " is not the address of one station");
  const FdbPorts::Port* port = ports_.find(target.port);
  if (port == nullptr || port->bridge != key.bridge) return fail(Errc::not_found, "the port is not in this bridge");
  Bridge& bridge = bridges_.at(key.bridge);
  const auto it = entries_.find(key);
  if (it == entries_.end()) {
    if (make_room(key.bridge)) return place(key, target, origin);
    return fail(Errc::limit,
                fmt::format("bridge {}: its table holds {} entries that do not age, and no more fit; raise "
                            "other_config:mac-table-size",
                            bridge.config.name, bridge.stats.entries));
  }
  const FdbEntry& entry = it->second;
  if (outranks(entry.origin, origin)) {
    if (entry.target != target) ++bridge.stats.refused_moves[entry.origin];
    standby_.keep(key, origin, target);
    return {};
  }
  const std::pair before{entry.origin, entry.target};
  if (before == std::pair{origin, target}) return {};
  if (auto r = place(key, target, origin); !r) return r;
  if (before.first != origin && before.first != Origin::learned) standby_.keep(key, before.first, before.second);
  return {};
}

Result<> Fdb::withdraw(Origin origin, const dp::FdbKey& key) {
  const auto it = entries_.find(key);
  if (it != entries_.end() && it->second.origin == origin) {
    give_up(it->second);
    return {};
  }
  if (standby_.drop(key, origin)) return {};
  return fail(Errc::not_found, fmt::format("there is no {} entry for {}", origin_name(origin), describe(key)));
}

// The entry's origin has withdrawn it: the strongest origin that is left has its own target installed.
void Fdb::give_up(FdbEntry& entry) {
  while (const auto next = standby_.take_strongest(entry.key))
    if (place(entry.key, next->second, next->first)) return;
  erase(entry);
}

// --- removal ---

std::size_t Fdb::flush(const FdbFilter& which) {
  std::size_t removed = 0;
  for (const dp::PortNo number : which.port ? std::vector{*which.port} : ports_.all()) {
    FdbPorts::Port* port = ports_.find(number);
    if (port == nullptr || (which.bridge && which.bridge != port->bridge)) continue;
    for (auto it = port->learned.begin(); it != port->learned.end();) {
      FdbEntry& entry = *it++;
      if (which.vlan && entry.key.vlan != *which.vlan) continue;
      if (which.remote && entry.target.remote != which.remote) continue;
      erase(entry);
      ++removed;
    }
  }
  return removed;
}

void Fdb::erase(FdbEntry& entry) {
  FdbStats& stats = bridges_.at(entry.key.bridge).stats;
  --stats.entries;
  --stats.of_origin[entry.origin];
  const auto before = local(entry);
  stations_.remove(entry.key);
  ports_.detach(entry);
  entries_.erase(entries_.find(entry.key));
  tell(observers_, before, std::nullopt);
}

// Nothing when nobody asks, or the station is behind a tunnel.
std::optional<LocalStation> Fdb::local(const FdbEntry& entry) const {
  if (observers_.empty()) return std::nullopt;
  const FdbPorts::Port* port = ports_.find(entry.target.port);
  if (port == nullptr || port->tunnel) return std::nullopt;
  return LocalStation{entry.key, entry.target.port, entry.origin};
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

std::optional<FdbRow> Fdb::find(const dp::FdbKey& key) const {
  const auto it = entries_.find(key);
  if (it == entries_.end()) return std::nullopt;
  return FdbRow{key, it->second.target, it->second.origin, 0};
}

std::vector<FdbRow> Fdb::rows(dp::BridgeId id) const {
  std::vector<FdbRow> out;
  std::vector<dp::FdbUse> use;
  for (const dp::PortNo number : ports_.of(id)) {
    const FdbPorts::Port& port = *ports_.find(number);
    for (const auto* list : {&port.learned, &port.lasting})
      for (const FdbEntry& entry : *list) out.push_back({entry.key, entry.target, entry.origin, 0});
  }
  use.reserve(out.size());
  for (const FdbRow& row : out) use.push_back({row.key});
  stations_.usage(use);
  for (std::size_t i = 0; i < out.size(); ++i)
    if (out[i].origin == Origin::learned && use[i].idle_seconds != UINT32_MAX) out[i].age = use[i].idle_seconds;
  return out;
}

FdbStats Fdb::stats(dp::BridgeId id) const {
  const auto it = bridges_.find(id);
  return it == bridges_.end() ? FdbStats{} : it->second.stats;
}

}  // namespace heddle::ofproto
