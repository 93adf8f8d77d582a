// SPDX-License-Identifier: Apache-2.0
#include "datapath/user/user_stations.h"

#include <algorithm>
#include <chrono>
#include <vector>

#include "base/rcu.h"

namespace heddle::dp {

UserStations::UserStations(PathResolver& paths, TimePoint epoch) : paths_(paths), epoch_(epoch) {
  for (auto& b : bridges_) b.fdb.store(new FdbTable(0), std::memory_order_relaxed);
}

UserStations::~UserStations() {
  for (auto& b : bridges_) delete b.fdb.load(std::memory_order_relaxed);
}

BridgeShared* UserStations::bridge(BridgeId bridge) {
  const auto i = static_cast<std::size_t>(bridge);
  return i < bridges_.size() ? &bridges_[i] : nullptr;
}

FdbTable* UserStations::table(BridgeId bridge) const {
  const auto i = static_cast<std::size_t>(bridge);
  return i < bridges_.size() ? bridges_[i].fdb.load(std::memory_order_relaxed) : nullptr;
}

void UserStations::replace(BridgeId bridge, std::unique_ptr<FdbTable> next) {
  const std::unique_ptr<FdbTable> old(
      bridges_[static_cast<std::size_t>(bridge)].fdb.exchange(next.release(), std::memory_order_acq_rel));
  rcu_synchronize();
}

std::uint32_t UserStations::now() const {
  return static_cast<std::uint32_t>(std::chrono::duration_cast<std::chrono::seconds>(Clock::now() - epoch_).count());
}

// Only a multipoint port's entries hold a reference to their path.
void UserStations::release_path(FdbValue value) {
  const auto port = ports_.find(fdb_port(value));
  if (port != ports_.end() && port->second.multipoint) paths_.release(fdb_path(value));
}

void UserStations::add_port(PortNo no, PortShared& shared, std::uint32_t path, bool multipoint) {
  const std::lock_guard lock(mutex_);
  ports_[no] = {&shared, path, multipoint};
}

// The handler may be putting an entry for this port at the same time: it comes before, and goes here, or after, and
// finds no port.
void UserStations::remove_port(PortNo no) {
  const std::lock_guard lock(mutex_);
  ports_.erase(no);
  for (auto& b : bridges_) b.fdb.load(std::memory_order_relaxed)->remove_port(no);
}

void UserStations::remove_bridge(BridgeId bridge) {
  const std::lock_guard lock(mutex_);
  table(bridge)->for_each([this](std::uint64_t /*key*/, FdbValue value) { release_path(value); });
  replace(bridge, std::make_unique<FdbTable>(0));
}

Result<> UserStations::set_capacity(BridgeId bridge, std::size_t entries) {
  const std::lock_guard lock(mutex_);
  const FdbTable* fdb = table(bridge);
  if (fdb == nullptr) return fail(Errc::invalid, "bridge number out of range");
  if (entries > limits::kFdbMax)
    return fail(Errc::limit,
                "MAC table of " + std::to_string(entries) + " entries: at most " + std::to_string(limits::kFdbMax));
  if (fdb->capacity() != entries) replace(bridge, fdb->rebuilt(entries));
  return {};
}

Result<> UserStations::put(const FdbKey& key, const FdbTarget& target) {
  const std::lock_guard lock(mutex_);
  FdbTable* fdb = table(key.bridge);
  if (fdb == nullptr) return fail(Errc::invalid, "bridge number out of range");
  const auto port = ports_.find(target.port);
  if (port == ports_.end()) return fail(Errc::not_found, "no port " + std::to_string(static_cast<int>(target.port)));
  if (fdb->capacity() == 0) {  // a bridge's first entry
    replace(key.bridge, fdb->rebuilt(limits::kFdbDefault));
    fdb = table(key.bridge);
  }
  std::uint32_t path = port->second.path;
  if (port->second.multipoint != target.remote.has_value())
    return fail(Errc::invalid, "an entry needs a remote VTEP exactly when its port is a multipoint tunnel");
  if (target.remote) {
    const auto acquired = paths_.acquire(target.port, *target.remote);
    if (!acquired) return std::unexpected(acquired.error());
    path = *acquired;
  }
  const auto before = fdb->put(fdb_key(key.vlan, key.mac), fdb_value(target.port, path), now());
  if (!before) {
    if (target.remote) paths_.release(path);
    return std::unexpected(before.error());
  }
  release_path(*before);
  if (fdb->worn()) replace(key.bridge, fdb->rebuilt(fdb->capacity()));
  return {};
}

void UserStations::remove(const FdbKey& key) {
  const std::lock_guard lock(mutex_);
  if (FdbTable* fdb = table(key.bridge)) release_path(fdb->remove(fdb_key(key.vlan, key.mac)));
}

void UserStations::usage(std::span<FdbUse> rows) const {
  const std::uint32_t seconds = now();
  const std::lock_guard lock(mutex_);  // control may be removing a bridge with its table
  for (FdbUse& row : rows) {
    std::uint32_t when = 0;
    const FdbTable* fdb = table(row.key.bridge);
    const bool there = fdb != nullptr && fdb->used_at(fdb_key(row.key.vlan, row.key.mac), when);
    row.idle_seconds = there ? seconds - std::min(when, seconds) : UINT32_MAX;
  }
}

std::size_t UserStations::poll(std::span<LearnEvent> events) {
  constexpr std::size_t kTurn = 16;  // events one port may bring before the next has its turn
  // The handler also polls after each of its commands, one of which comes with every port: not through all ports then.
  if (!learned_.clear()) return 0;
  const std::lock_guard lock(mutex_);
  std::vector<std::pair<PortNo, PortShared*>> ports;
  ports.reserve(ports_.size());
  for (const auto& [no, port] : ports_) ports.emplace_back(no, port.shared);
  std::size_t n = 0;
  bool more = !ports.empty();
  while (more && n < events.size()) {
    more = false;
    for (std::size_t i = 0; i < ports.size() && n < events.size(); ++i) {
      const auto& [no, shared] = ports[turn_++ % ports.size()];
      for (auto& worker : shared->worker) {
        LearnRecord r;
        std::size_t taken = 0;
        for (; taken < kTurn && n < events.size() && worker.learned.pop(r); ++taken) {
          LearnEvent& e = events[n++];
          e.key = {r.bridge, static_cast<VlanId>(r.key >> 48 & 0xfff), MacAddr::from_u64(r.key & 0xffffffffffffULL)};
          e.target = {no, r.tunnelled ? std::optional(r.remote) : std::nullopt};
        }
        more = more || taken == kTurn;
      }
    }
  }
  if (n == events.size() && n > 0) learned_.raise();  // there may be more
  return n;
}

}  // namespace heddle::dp
