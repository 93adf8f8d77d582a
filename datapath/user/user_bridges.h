// SPDX-License-Identifier: Apache-2.0
// Bridges of the user datapath: their numbers, and their policies in the form that the packet path reads (BridgeRules).
// The workers start with the first bridge.
//
// Owner: UserDatapath. Control thread. Errors: those of Bridges, and add() fails when the workers cannot start.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "datapath/datapath.h"
#include "datapath/user/bridge_rules.h"
#include "datapath/user/user_stations.h"
#include "datapath/user/worker_group.h"

namespace heddle::dp {

class UserBridges final : public Bridges {
 public:
  // Called when the rules of a bridge are others: the configuration of its ports is out of date.
  using RulesChanged = std::function<void(BridgeId)>;
  UserBridges(WorkerGroup& workers, UserStations& stations, RulesChanged rules_changed)
      : workers_(workers), stations_(stations), rules_changed_(std::move(rules_changed)) {}

  Result<BridgeId> add(const std::string& name) override;
  void remove(BridgeId bridge) override;
  Result<> set(BridgeId bridge, const BridgePolicy& policy) override;
  [[nodiscard]] MirrorCounters mirror_counters(BridgeId bridge, unsigned slot) const override;

  // Null: the bridge has none.
  [[nodiscard]] std::shared_ptr<const BridgeRules> rules(BridgeId bridge) const;

 private:
  WorkerGroup& workers_;
  UserStations& stations_;
  RulesChanged rules_changed_;
  std::map<std::string, BridgeId> ids_;
  std::map<BridgeId, std::shared_ptr<const BridgeRules>> rules_;  // of bridges that have any
};

}  // namespace heddle::dp
