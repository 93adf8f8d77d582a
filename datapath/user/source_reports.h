// SPDX-License-Identifier: Apache-2.0
// The effect of a frame's source: marks its FDB entry as used, or reports an unknown or moved source to the FDB
// authority, through the bounded queue of the port and worker. A report that finds the queue full is counted
// (learn_dropped) and the frame goes on; the source's next frame reports it again.
//
// Owned by the worker's Forwarder and used on its thread. Nothing fails.
#pragma once

#include "datapath/user/decision.h"
#include "datapath/user/round.h"
#include "datapath/user/signal.h"

namespace heddle::dp {

class SourceReports {
 public:
  // `wakeup`: of the thread that takes the reports.
  SourceReports(const Round& round, Signal& wakeup) : round_(round), wakeup_(wakeup) {}

  void note(const Ingress& in, const Decision& d) {
    if (d.source_use != nullptr) FdbTable::mark_used(*d.source_use, round_.seconds);
    if (d.learn) report(in, d.vlan);
  }
  // Wakes the FDB authority when there are reports since the last call.
  void flush();

 private:
  void report(const Ingress& in, VlanId vlan);

  const Round& round_;
  Signal& wakeup_;
  bool reported_ = false;
};

}  // namespace heddle::dp
