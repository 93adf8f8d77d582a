// SPDX-License-Identifier: Apache-2.0
#include "vswitchd/station_news.h"

#include <utility>

namespace heddle::vswitchd {

void StationNews::start(std::function<void()> wake) {
  const std::lock_guard lock(mutex_);
  wake_ = std::move(wake);
  waiting_ = {};
}

StationNews::Taken StationNews::take() {
  const std::lock_guard lock(mutex_);
  return std::exchange(waiting_, {});
}

void StationNews::add(const ofproto::LocalStation& station, bool here) {
  const std::lock_guard lock(mutex_);
  if (!wake_) return;
  const bool first = waiting_.items.empty() && !waiting_.all_lost;
  if (waiting_.items.size() >= kMost) waiting_ = {{}, true};
  if (!waiting_.all_lost)
    waiting_.items.push_back({station.key, station.port, here, station.origin == ofproto::Origin::configured});
  if (first) wake_();
}

}  // namespace heddle::vswitchd
