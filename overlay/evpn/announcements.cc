// SPDX-License-Identifier: Apache-2.0
#include "overlay/evpn/announcements.h"

namespace heddle::overlay::evpn {

void Announcements::touch(const Key& key, Station& station) {
  if (station.queued || station.want == station.told) return;
  station.queued = true;
  queue_.push_back(key);
}

void Announcements::add(const Key& key, bool fixed) {
  Station& station = stations_[key];
  station.want = fixed;
  touch(key, station);
}

void Announcements::remove(const Key& key) {
  const auto it = stations_.find(key);
  if (it == stations_.end()) return;
  it->second.want.reset();
  touch(key, it->second);
  if (!it->second.queued) stations_.erase(it);
}

// Entries of its keys in the queues are passed over by next().
std::vector<Announcements::Write> Announcements::forget_network(Vni vni) {
  std::vector<Write> out;
  const auto begin = stations_.lower_bound({vni, MacAddr{}});
  const auto end = stations_.lower_bound({vni + 1, MacAddr{}});
  for (auto it = begin; it != end; ++it)
    if (it->second.told) out.push_back({it->first, false, true});
  stations_.erase(begin, end);
  return out;
}

void Announcements::taken(const Key& key) {
  const auto it = stations_.find(key);
  if (it == stations_.end()) return;
  it->second.told.reset();
  if (!it->second.want && !it->second.queued) stations_.erase(it);
}

void Announcements::restart(Vni vni) {
  const auto end = stations_.lower_bound({vni + 1, MacAddr{}});
  for (auto it = stations_.lower_bound({vni, MacAddr{}}); it != end; ++it) {
    it->second.told.reset();
    it->second.at.reset();
    touch(it->first, it->second);
  }
}

void Announcements::restart() {
  for (auto& [key, station] : stations_) {
    station.told.reset();
    station.at.reset();
    touch(key, station);
  }
  std::erase_if(stations_, [](const auto& s) { return !s.second.want && !s.second.queued; });
}

void Announcements::settle() {
  for (auto& [key, station] : stations_)
    if (!station.want) touch(key, station);
}

std::vector<Announcements::Write> Announcements::next(std::size_t most, TimePoint now) {
  std::vector<Write> out;
  const auto take = [&](const Key& key, Station& station) {
    station.queued = false;
    if (station.want != station.told) {
      out.push_back({key, station.want.value_or(false), !station.want});
      station.told = station.want;
      station.at = now;
    }
    if (!station.want) stations_.erase(key);
  };
  while (!resting_.empty() && out.size() < most) {
    const auto it = stations_.find(resting_.front());
    if (it != stations_.end() && it->second.queued) {
      if (it->second.at && now < *it->second.at + kRest) break;
      take(it->first, it->second);
    }
    resting_.pop_front();
  }
  while (!queue_.empty() && out.size() < most) {
    const Key key = queue_.front();
    queue_.pop_front();
    const auto it = stations_.find(key);
    if (it == stations_.end() || !it->second.queued) continue;
    if (it->second.want && it->second.at && now < *it->second.at + kRest)
      resting_.push_back(key);
    else
      take(key, it->second);
  }
  return out;
}

bool Announcements::is_here(const Key& key) const {
  const auto it = stations_.find(key);
  return it != stations_.end() && it->second.want.has_value();
}

}  // namespace heddle::overlay::evpn
