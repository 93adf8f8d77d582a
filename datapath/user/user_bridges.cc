// SPDX-License-Identifier: Apache-2.0
#include "datapath/user/user_bridges.h"

#include <set>

namespace heddle::dp {

Result<BridgeId> UserBridges::add(const std::string& name) {
  if (ids_.contains(name)) return fail(Errc::exists, "bridge " + name + " exists already");
  if (auto ok = workers_.start(); !ok) return std::unexpected(ok.error());
  std::set<BridgeId> used;
  for (const auto& [other, id] : ids_) used.insert(id);
  for (std::uint16_t n = 0; n < limits::kBridges; ++n) {
    const auto id = static_cast<BridgeId>(n);
    if (used.contains(id)) continue;
    ids_[name] = id;
    return id;
  }
  return fail(Errc::limit, "a switch has at most " + std::to_string(limits::kBridges) + " bridges");
}

void UserBridges::remove(BridgeId bridge) {
  if (std::erase_if(ids_, [&](const auto& item) { return item.second == bridge; }) == 0) return;
  (void)set(bridge, {});
  stations_.remove_bridge(bridge);
}

Result<> UserBridges::set(BridgeId bridge, const BridgePolicy& policy) {
  if (static_cast<std::size_t>(bridge) >= limits::kBridges) return fail(Errc::invalid, "bridge number out of range");
  if (!policy.mirrors.empty() && policy.mirrors.rbegin()->first >= limits::kMirrors)
    return fail(Errc::limit, "a bridge has at most " + std::to_string(limits::kMirrors) + " mirrors");
  const auto before = rules(bridge);
  auto next = BridgeRules::make(policy, before.get(), workers_.size());
  if (!next && !before) return {};
  if (next) {
    rules_[bridge] = std::move(next);
  } else {
    rules_.erase(bridge);
  }
  rules_changed_(bridge);
  return {};
}

std::shared_ptr<const BridgeRules> UserBridges::rules(BridgeId bridge) const {
  const auto it = rules_.find(bridge);
  return it == rules_.end() ? nullptr : it->second;
}

MirrorCounters UserBridges::mirror_counters(BridgeId bridge, unsigned slot) const {
  MirrorCounters sum;
  const auto it = rules_.find(bridge);
  const MirrorRule* mirror = it == rules_.end() ? nullptr : it->second->mirror(slot);
  if (mirror == nullptr) return sum;
  for (const auto& w : mirror->shared->worker) {
    sum.tx_packets += w.packets.get();
    sum.tx_bytes += w.bytes.get();
  }
  return sum;
}

}  // namespace heddle::dp
