// SPDX-License-Identifier: Apache-2.0
// Which ports are in a bridge's flood sets, and when the sets are built anew.
//
// Owner: KernelPorts. Control thread.
#pragma once

#include <set>

#include "datapath/control/port_registry.h"
#include "datapath/kernel/flood_sets.h"
#include "datapath/kernel/port_entry.h"
#include "datapath/kernel/take_over.h"

namespace heddle::dp {

class BridgeFloods {
 public:
  BridgeFloods(const Programs& programs, const TimeSource& time, const PortRegistry<PortEntry>& ports,
               const TakeOver& former)
      : ports_(ports), former_(former), sets_(programs, time) {}

  // The bridge's members, or something about them, are others. During a take-over nothing happens: the sets stay as
  // they were until all ports are there again.
  void rebuild(BridgeId bridge);
  // The same for a change that only adds to the sets. With `defer` the next rebuild() of the bridge or
  // rebuild_deferred() does it.
  void rebuild_addition(BridgeId bridge, bool defer);
  void rebuild_deferred();
  // The bridge has no sets any more.
  void forget(BridgeId bridge);
  // Ends a take-over: sets of these bridges alone.
  void settle(const std::set<BridgeId>& bridges);
  // Removes sets that no VLAN has used for a while. To be called now and then.
  void sweep() { sets_.sweep(); }

 private:
  const PortRegistry<PortEntry>& ports_;
  const TakeOver& former_;
  FloodSets sets_;
  std::set<BridgeId> deferred_;
};

}  // namespace heddle::dp
