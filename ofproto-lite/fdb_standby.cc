// SPDX-License-Identifier: Apache-2.0
#include "ofproto-lite/fdb_standby.h"

namespace heddle::ofproto {

void FdbStandby::keep(const dp::FdbKey& key, Origin origin, const dp::FdbTarget& target) {
  drop(key, origin);
  targets_.emplace(std::pair{key, origin}, target);
  by_port_.emplace(target.port, key, origin);
}

bool FdbStandby::drop(const dp::FdbKey& key, Origin origin) {
  const auto it = targets_.find({key, origin});
  if (it == targets_.end()) return false;
  erase(it);
  return true;
}

void FdbStandby::drop_port(dp::PortNo port) {
  constexpr dp::FdbKey least{dp::BridgeId{0}, 0, {}};
  for (auto it = by_port_.lower_bound({port, least, Origin{}}); it != by_port_.end() && std::get<0>(*it) == port;) {
    const auto& [number, key, origin] = *it;
    targets_.erase({key, origin});
    it = by_port_.erase(it);
  }
}

std::optional<std::pair<Origin, dp::FdbTarget>> FdbStandby::take_strongest(const dp::FdbKey& key) {
  if (targets_.empty()) return std::nullopt;
  auto it = targets_.upper_bound({key, Origin::configured});
  if (it == targets_.begin() || (--it)->first.first != key) return std::nullopt;
  const std::pair found{it->first.second, it->second};
  erase(it);
  return found;
}

void FdbStandby::erase(Targets::iterator it) {
  by_port_.erase({it->second.port, it->first.first, it->first.second});
  targets_.erase(it);
}

}  // namespace heddle::ofproto
