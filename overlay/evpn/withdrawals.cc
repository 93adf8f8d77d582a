// SPDX-License-Identifier: Apache-2.0
#include "overlay/evpn/withdrawals.h"

#include <algorithm>

namespace heddle::overlay::evpn {
namespace {

template <typename Key>
std::vector<Key> take_due(std::map<Key, TimePoint>& from, TimePoint now) {
  std::vector<Key> out;
  for (auto it = from.begin(); it != from.end();) {
    if (it->second > now) {
      ++it;
      continue;
    }
    out.push_back(it->first);
    it = from.erase(it);
  }
  return out;
}

}  // namespace

void Withdrawals::member(Vni vni, const IpAddr& vtep, TimePoint now) {
  members_.try_emplace({vni, vtep}, now + kDoubt);
  last_ = now;
}

void Withdrawals::mac(Vni vni, const MacAddr& mac, TimePoint now) {
  macs_.try_emplace({vni, mac}, now + kDoubt);
  last_ = now;
}

void Withdrawals::clear() {
  members_.clear();
  macs_.clear();
}

std::optional<TimePoint> Withdrawals::due() const {
  if (empty()) return std::nullopt;
  TimePoint first = TimePoint::max();
  for (const auto& [key, time] : members_) first = std::min(first, time);
  for (const auto& [key, time] : macs_) first = std::min(first, time);
  return first;
}

Withdrawals::Due Withdrawals::take(TimePoint now) {
  const bool many_come = macs_.size() > kMany && now < last_ + kQuiet;
  if (many_come && now < *due() + kLongest) return {};
  return {take_due(members_, now), take_due(macs_, now)};
}

}  // namespace heddle::overlay::evpn
