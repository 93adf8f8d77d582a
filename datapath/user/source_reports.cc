// SPDX-License-Identifier: Apache-2.0
#include "datapath/user/source_reports.h"

#include <utility>

namespace heddle::dp {

void SourceReports::report(const Ingress& in, VlanId vlan) {
  auto& mine = in.port->shared->worker[round_.worker];
  LearnRecord record{fdb_key(vlan, in.l2.src), in.port->policy.bridge, in.outer_source != nullptr, {}};
  if (in.outer_source != nullptr) record.remote = *in.outer_source;
  if (mine.learned.push(record)) {
    reported_ = true;
  } else {
    mine.counters.learn_dropped.add(1);
  }
}

void SourceReports::flush() {
  if (std::exchange(reported_, false)) wakeup_.raise();
}

}  // namespace heddle::dp
