// SPDX-License-Identifier: Apache-2.0
#include "datapath/kernel/bridge_floods.h"

#include "base/log.h"

namespace heddle::dp {

void BridgeFloods::rebuild(BridgeId bridge) {
  deferred_.erase(bridge);
  if (bridge == BridgeId::none || former_.going_on()) return;
  std::vector<FloodSets::Member> members;
  for (const auto& [no, p] : ports_) {
    if (p.config.policy.bridge != bridge || (p.conf.flags & HD_RESERVED) != 0) continue;
    if (!p.is_tunnel() && !p.device.attached()) continue;  // until there is a device
    FloodSets::Member m{p.config.policy, {}};
    const auto number = static_cast<hd_target>(no);
    if (!p.multipoint()) m.targets.push_back(number | p.tunnel.remote << 16);
    for (const std::uint32_t remote : p.tunnel.flood) m.targets.push_back(number | remote << 16);
    members.push_back(std::move(m));
  }
  if (auto ok = sets_.update(bridge, members); !ok)
    spdlog::error("kernel datapath: flood sets of bridge number {}: {}", static_cast<int>(bridge), ok.error().text);
}

void BridgeFloods::rebuild_addition(BridgeId bridge, bool defer) {
  if (defer)
    deferred_.insert(bridge);
  else
    rebuild(bridge);
}

void BridgeFloods::rebuild_deferred() {
  while (!deferred_.empty()) rebuild(*deferred_.begin());
}

void BridgeFloods::forget(BridgeId bridge) {
  if (auto ok = sets_.update(bridge, {}); !ok) spdlog::warn("{}", ok.error().text);
}

void BridgeFloods::settle(const std::set<BridgeId>& bridges) {
  for (const BridgeId bridge : bridges) rebuild(bridge);
  sets_.drop_others(bridges);
}

}  // namespace heddle::dp
