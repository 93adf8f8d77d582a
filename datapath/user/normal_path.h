// SPDX-License-Identifier: Apache-2.0
// NORMAL switching as a decision: VLAN admission, source look-up, destination look-up, then one output or the outputs
// of a flood. One walk for every port; a bridge's rules (fail_mode secure, flooded VLANs) are tests on the way that
// cost a port without rules nothing but a look at a null pointer.
//
// Owned by the worker's Forwarder and used on its thread, under the RCU guard of the round. Reads configuration, FDB,
// link states and tunnel paths, and changes none of them: the same state gives the same decision, so a trace may ask
// too. Holds no frame. Nothing fails; a frame that goes nowhere has a drop reason.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "datapath/user/decision.h"
#include "datapath/user/round.h"

namespace heddle::dp {

class NormalPath {
 public:
  NormalPath(const Round& round, const TunnelPaths& paths) : round_(round), paths_(paths) {}

  // The decision's list of outputs is valid until the next call.
  Decision decide(const Ingress& in);

 private:
  std::optional<Drop> walk(const Ingress& in, Decision& d);
  static std::optional<Drop> classify(const Ingress& in, VlanId& vlan);
  void look_up_source(const Ingress& in, Decision& d) const;
  bool find_destination(const Ingress& in, Output& to) const;
  std::optional<Drop> blocked(const Ingress& in, const Output& to) const;
  std::span<const Output> flood(const Ingress& in, VlanId vlan);

  const Round& round_;
  const TunnelPaths& paths_;
  std::vector<Output> flood_;  // outputs of the last flooded frame
};

}  // namespace heddle::dp
