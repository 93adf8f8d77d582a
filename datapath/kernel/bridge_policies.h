// SPDX-License-Identifier: Apache-2.0
// Bridge-wide policies as the programs have them: fail mode, flooded VLANs, mirrors.
//
// Owner: KernelPorts, with which KernelBridges shares it. Control thread.
#pragma once

#include <map>

#include "base/result.h"
#include "datapath/bridge.h"
#include "datapath/kernel/programs.h"

namespace heddle::dp {

class BridgePolicies {
 public:
  explicit BridgePolicies(const Programs& programs) : programs_(programs) {}

  // Whether put() was called for the bridge. After a take-over a bridge goes on as before until then.
  [[nodiscard]] bool knows(BridgeId bridge) const { return policies_.contains(bridge); }
  // Writes the bridge's part; write_flags() gives each of its ports the rest. Errc::limit.
  Result<> put(BridgeId bridge, const BridgePolicy& policy);
  void forget(BridgeId bridge);
  // The bridge's flags and mirror bits of a port's element, whose bridge is set.
  void write_flags(PortNo port, hd_port& next) const;
  [[nodiscard]] MirrorCounters mirror_counters(BridgeId bridge, unsigned slot) const;

 private:
  Result<> put_mirrors(BridgeId bridge, const BridgePolicy& policy);
  Result<> put_mirror(const hd_mirror_key& key, const hd_mirror& mirror);
  void erase_mirror(const hd_mirror_key& key);

  const Programs& programs_;
  std::map<BridgeId, BridgePolicy> policies_;
  bool freed_ = false;  // an element of the mirrors' map, since the last grace period
};

}  // namespace heddle::dp
