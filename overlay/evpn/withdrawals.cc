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

Withdrawals::Due Withdrawals::take(TimePoint now) { return {take_due(members_, now), take_due(macs_, now)}; }

}  // namespace heddle::overlay::evpn
