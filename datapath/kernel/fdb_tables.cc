// SPDX-License-Identifier: Apache-2.0
#include "datapath/kernel/fdb_tables.h"

#include <cstring>
#include <ctime>

#include "base/limits.h"
#include "base/log.h"

namespace heddle::dp {
namespace {

constexpr unsigned kTimeShift = 30;

hd_station station(const FdbKey& key) {
  hd_station s{};
  std::memcpy(s.mac, key.mac.bytes.data(), sizeof s.mac);
  s.vlan = key.vlan;
  return s;
}

FdbKey fdb_key(BridgeId bridge, const hd_station& s) {
  FdbKey key{bridge, s.vlan, {}};
  std::memcpy(key.mac.bytes.data(), s.mac, sizeof s.mac);
  return key;
}

hd_target target_of(const hd_entry& e) { return number_in(e.target); }
PortNo port_of(hd_target t) { return static_cast<PortNo>(t & 0xffff); }
std::uint32_t remote_of(hd_target t) { return t >> 16; }
std::string pin_name(BridgeId bridge) { return "fdb-" + std::to_string(static_cast<int>(bridge)); }

std::size_t room(int map) {
  bpf_map_info info{};
  __u32 size = sizeof info;
  return bpf_obj_get_info_by_fd(map, &info, &size) == 0 ? info.max_entries : 0;
}

}  // namespace

__u32 station_time() {
  timespec t{};
  clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<__u32>(
      (static_cast<std::uint64_t>(t.tv_sec) * 1'000'000'000U + static_cast<std::uint64_t>(t.tv_nsec)) >> kTimeShift);
}

FdbTables::FdbTables(const Programs& programs, const Pins& pins, RemoteVteps& remotes)
    : programs_(programs), pins_(pins), remotes_(remotes) {
  if (!programs.taken_over()) return;
  for (std::size_t b = 0; b < limits::kBridges; ++b) {
    const auto bridge = static_cast<BridgeId>(b);
    Fd fd = pins.open(pin_name(bridge));
    if (!fd) continue;
    const std::size_t capacity = room(fd.get());
    Table& table = tables_[bridge];
    table = {std::move(fd), capacity};
    table.map().for_each([&](const hd_station& s, const hd_entry& e) {
      if (remote_of(target_of(e)) != 0 && !remotes_.adopt(remote_of(target_of(e)))) {
        table.map().erase(s);  // its remote is not known: it leads nowhere
        return;
      }
      ++entries_[port_of(target_of(e))];
    });
  }
}

FdbTables::Table* FdbTables::find(BridgeId bridge) {
  const auto it = tables_.find(bridge);
  return it == tables_.end() ? nullptr : &it->second;
}

const FdbTables::Table* FdbTables::find(BridgeId bridge) const {
  const auto it = tables_.find(bridge);
  return it == tables_.end() ? nullptr : &it->second;
}

// Programs see the new table from here on; its pin follows, so that a daemon killed in between finds the old one, whose
// entries are as good.
Result<> FdbTables::install(BridgeId bridge, Fd fd, std::size_t capacity) {
  const auto number = static_cast<__u32>(bridge);
  if (auto ok = programs_.fdbs.put(number, static_cast<__u32>(fd.get())); !ok) return ok;
  if (auto ok = pins_.pin(fd.get(), pin_name(bridge)); !ok) spdlog::warn("{}", ok.error().text);
  tables_[bridge] = {std::move(fd), capacity};
  return {};
}

Result<> FdbTables::add_bridge(BridgeId bridge) {
  const std::lock_guard lock(mutex_);
  if (const Table* old = find(bridge))  // it may not be where the programs look: see install()
    return programs_.fdbs.put(static_cast<__u32>(bridge), static_cast<__u32>(old->fd.get()));
  auto fd = Programs::make_fdb(limits::kFdbDefault);
  if (!fd) return std::unexpected(fd.error());
  return install(bridge, std::move(*fd), limits::kFdbDefault);
}

void FdbTables::remove_bridge(BridgeId bridge) {
  const std::lock_guard lock(mutex_);
  const Table* table = find(bridge);
  if (table == nullptr) return;
  table->map().for_each([this](const hd_station&, const hd_entry& e) { release(target_of(e)); });
  programs_.fdbs.erase(static_cast<__u32>(bridge));
  pins_.unpin(pin_name(bridge));
  tables_.erase(bridge);
}

Result<> FdbTables::set_capacity(BridgeId bridge, std::size_t entries) {
  const std::lock_guard lock(mutex_);
  const Table* table = find(bridge);
  if (table == nullptr) return fail(Errc::invalid, "no such bridge");
  if (entries < 1 || entries > limits::kFdbMax)
    return fail(Errc::limit,
                "MAC table of " + std::to_string(entries) + " entries: at most " + std::to_string(limits::kFdbMax));
  if (table->capacity == entries) return {};
  auto fd = Programs::make_fdb(entries);
  if (!fd) return std::unexpected(fd.error());
  const Map next(fd->get(), "fdb");
  table->map().for_each([&](const hd_station& s, const hd_entry& e) {
    if (!next.put(s, e)) release(target_of(e));
  });
  return install(bridge, std::move(*fd), entries);
}

void FdbTables::add_port(PortNo port, const PortInfo& info) {
  const std::lock_guard lock(mutex_);
  ports_[port] = info;
}

void FdbTables::remove_port(PortNo port) {
  const std::lock_guard lock(mutex_);
  // The handler has taken its entries out one by one; a former life's may be left.
  if (entries_[port] > 0) {
    for (const auto& [bridge, table] : tables_) {
      table.map().for_each([&, map = table.map()](const hd_station& s, const hd_entry& e) {
        if (port_of(target_of(e)) != port) return;
        release(target_of(e));
        map.erase(s);
      });
    }
  }
  entries_.erase(port);
  ports_.erase(port);
}

void FdbTables::release(hd_target target) {
  if (remote_of(target) != 0) remotes_.release(remote_of(target));
  if (const auto n = entries_.find(port_of(target)); n != entries_.end() && n->second > 0) --n->second;
}

Result<> FdbTables::put(const FdbKey& key, const FdbTarget& target) {
  const std::lock_guard lock(mutex_);
  const Table* table = find(key.bridge);
  if (table == nullptr) return fail(Errc::invalid, "no such bridge");
  const auto port = ports_.find(target.port);
  if (port == ports_.end()) return fail(Errc::not_found, "no port " + std::to_string(static_cast<int>(target.port)));
  if (port->second.multipoint != target.remote.has_value())
    return fail(Errc::invalid, "an entry needs a remote VTEP exactly when its port is a multipoint tunnel");
  std::uint32_t remote = port->second.remote;
  if (target.remote) {
    const auto acquired = remotes_.acquire({*target.remote, port->second.local});
    if (!acquired) return std::unexpected(acquired.error());
    remote = *acquired;
  } else if (remote != 0) {
    remotes_.adopt(remote);
  }
  const hd_station s = station(key);
  const hd_entry entry{sealed(s, static_cast<__u32>(target.port) | remote << 16), station_time(), {}};
  const auto before = table->map().get(s);
  if (auto ok = table->map().put(s, entry); !ok) {
    if (remote != 0) remotes_.release(remote);
    return ok;
  }
  if (before) release(target_of(*before));
  ++entries_[target.port];
  if (!unconfirmed_.empty()) unconfirmed_.erase(key);
  if (!settled_) fresh_.insert(key);
  return {};
}

void FdbTables::remove(const FdbKey& key) {
  const std::lock_guard lock(mutex_);
  const Table* table = find(key.bridge);
  if (table == nullptr) return;
  const hd_station s = station(key);
  const auto before = table->map().get(s);
  if (!before) return;
  table->map().erase(s);
  release(target_of(*before));
}

bool FdbTables::unconfirmed(const FdbKey& key) const {
  const std::lock_guard lock(mutex_);
  return unconfirmed_.contains(key);
}

void FdbTables::withdraw_unconfirmed(const FdbKey& key) {
  {
    const std::lock_guard lock(mutex_);
    if (unconfirmed_.erase(key) == 0) return;
  }
  remove(key);
}

void FdbTables::use(std::span<FdbUse> rows) const {
  const __u32 now = station_time();
  const std::lock_guard lock(mutex_);
  for (FdbUse& row : rows) {
    const Table* table = find(row.key.bridge);
    const auto entry = table == nullptr ? std::nullopt : table->map().get(station(row.key));
    if (!entry) {
      row.idle_seconds = UINT32_MAX;
      continue;
    }
    const std::uint64_t units = now > entry->used ? now - entry->used : 0;
    row.idle_seconds = static_cast<std::uint32_t>((units << kTimeShift) / 1'000'000'000U);
  }
}

std::vector<LearnEvent> FdbTables::settle() {
  const std::lock_guard lock(mutex_);
  std::vector<LearnEvent> out;
  for (const auto& [bridge, table] : tables_) {
    const Map map = table.map();
    map.for_each([&, number = bridge](const hd_station& s, const hd_entry& e) {
      const PortNo no = port_of(target_of(e));
      const auto port = ports_.find(no);
      const bool multipoint = port != ports_.end() && port->second.multipoint;
      if (port == ports_.end() || (!multipoint && remote_of(target_of(e)) != port->second.remote)) {
        release(target_of(e));
        map.erase(s);
        return;
      }
      LearnEvent event{fdb_key(number, s), {no, std::nullopt}};
      if (fresh_.contains(event.key)) return;
      if (multipoint) event.target.remote = remotes_.address(remote_of(target_of(e)));
      unconfirmed_.insert(event.key);
      out.push_back(event);
    });
  }
  settled_ = true;
  fresh_.clear();
  return out;
}

}  // namespace heddle::dp
