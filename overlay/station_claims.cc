// SPDX-License-Identifier: Apache-2.0
#include "overlay/station_claims.h"

#include <algorithm>

namespace heddle::overlay {

void StationClaims::want(const Key& key, Station& station) {
  station.state = State::wanted;
  wanted_.insert(key);
}

// --- this host ---

void StationClaims::add(const Key& key, bool fixed, TimePoint now) {
  const auto [it, fresh] = stations_.try_emplace(key);
  Station& station = it->second;
  const bool same = station.fixed == fixed && !fresh;
  station.fixed = fixed;
  stale_.erase(key);
  if (same && (station.state == State::wanted || station.state == State::claiming)) return;
  const auto row = rows_.find(key);
  if (same && station.state == State::held && row != rows_.end() && row->second) return;
  if (same && station.claimed && now - *station.claimed < kRest) return;
  station.claimed = now;
  want(key, station);
}

void StationClaims::remove(const Key& key) {
  const auto it = stations_.find(key);
  if (it == stations_.end()) return;
  const bool on_its_way = it->second.state == State::claiming;
  stations_.erase(it);
  wanted_.erase(key);
  alone_.erase(key);
  const auto row = rows_.find(key);
  if (on_its_way || (row != rows_.end() && row->second)) stale_.insert(key);
}

void StationClaims::remove_network(Vni vni) {
  std::vector<Key> gone;
  for (auto it = stations_.lower_bound({vni, MacAddr{}}); it != stations_.end() && it->first.first == vni; ++it)
    gone.push_back(it->first);
  for (const Key& key : gone) remove(key);
  for (auto it = rows_.lower_bound({vni, MacAddr{}}); it != rows_.end() && it->first.first == vni; ++it)
    if (it->second) stale_.insert(it->first);
}

// --- the reflector ---

void StationClaims::restart() {
  rows_.clear();
  stale_.clear();
  for (const auto& [key, station] : stations_) unsettled_.insert(key);
}

void StationClaims::row_is(const Key& key, bool ours) {
  rows_[key] = ours;
  unsettled_.insert(key);
}

void StationClaims::row_gone(const Key& key) {
  rows_.erase(key);
  unsettled_.insert(key);
}

void StationClaims::settle(bool orphans) {
  for (const Key& key : std::exchange(unsettled_, {})) {
    const auto row = rows_.find(key);
    const auto it = stations_.find(key);
    if (it == stations_.end()) continue;
    Station& station = it->second;
    if (station.state == State::wanted || station.state == State::claiming) continue;  // its own turn will tell
    if (row == rows_.end()) {
      want(key, station);
    } else {
      station.state = row->second ? State::held : State::lost;
    }
  }
  if (!orphans) return;
  for (const auto& [key, ours] : rows_)
    if (ours && !stations_.contains(key)) stale_.insert(key);
}

// --- transactions ---

StationClaims::Batch StationClaims::next(std::size_t most) {
  Batch batch;
  const auto take = [&](const Key& key) {
    Station& station = stations_.at(key);
    station.state = State::claiming;
    batch.claims.push_back({key, station.fixed});
    wanted_.erase(key);
  };
  if (!alone_.empty()) {
    const Key key = *alone_.begin();
    alone_.erase(alone_.begin());
    take(key);
    return batch;
  }
  while (!stale_.empty() && batch.removals.size() < most) {
    batch.removals.push_back(*stale_.begin());
    stale_.erase(stale_.begin());
  }
  while (!wanted_.empty() && batch.removals.size() + batch.claims.size() < most) take(*wanted_.begin());
  return batch;
}

void StationClaims::done(const Batch& batch, bool refused) {
  if (refused) stale_.insert(batch.removals.begin(), batch.removals.end());
  const bool single = batch.claims.size() == 1 && batch.removals.empty();
  for (const Claim& claim : batch.claims) {
    const auto it = stations_.find(claim.key);
    if (it == stations_.end() || it->second.state != State::claiming) continue;
    if (!refused) {
      it->second.state = State::held;
      unsettled_.insert(claim.key);  // another may have been faster since
    } else if (single) {
      ++refused_;
      it->second.state = State::lost;
    } else {
      want(claim.key, it->second);
      alone_.insert(claim.key);
    }
  }
}

void StationClaims::unknown(const Batch& batch) {
  stale_.insert(batch.removals.begin(), batch.removals.end());
  for (const Claim& claim : batch.claims)
    if (const auto it = stations_.find(claim.key); it != stations_.end() && it->second.state == State::claiming)
      want(claim.key, it->second);
}

}  // namespace heddle::overlay
