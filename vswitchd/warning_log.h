// SPDX-License-Identifier: Apache-2.0
// Says each warning about the configuration once in the log, as long as it stands.
// Owner: the Reconciler. Threads: control. As large as the number of warnings that stand.
#pragma once

#include <set>
#include <string>

#include "vswitchd/desired.h"

namespace heddle::vswitchd {

class WarningLog {
 public:
  // Logs what is new among the warnings that may be different.
  void update(const Desired& want, const Difference& changed);

 private:
  std::set<std::string> said_;
};

}  // namespace heddle::vswitchd
