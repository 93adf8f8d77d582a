// SPDX-License-Identifier: Apache-2.0
// Which copies of a frame the mirrors of its bridge want: a part of the decision, for every producer of decisions. A
// mirror selects a frame by the port it came by, once it is admitted, or by one of its outputs; each mirror gets one
// copy, or with an output VLAN one for each port of that VLAN.
//
// Owned by the worker's Forwarder and used on its thread, under the RCU guard of the round. Reads configuration and
// link states, changes neither, holds no frame. Nothing fails; a mirror's copies that cannot leave have a drop reason.
#pragma once

#include <vector>

#include "datapath/user/decision.h"
#include "datapath/user/round.h"

namespace heddle::dp {

class Mirrors {
 public:
  explicit Mirrors(const Round& round) : round_(round) {}

  // Adds the copies to a decision that is complete otherwise, about a frame of a port whose bridge has rules. The list
  // is valid until the next call.
  void add_copies(const Ingress& in, Decision& d);

 private:
  void to_port(const Ingress& in, const MirrorRule& mirror, VlanId vlan);
  void to_vlan(const Ingress& in, const MirrorRule& mirror);

  const Round& round_;
  std::vector<MirrorCopy> copies_;  // of the last frame
};

}  // namespace heddle::dp
