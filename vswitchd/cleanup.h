// SPDX-License-Identifier: Apache-2.0
// `vswitchd --cleanup`: removes what an ended daemon on a run directory left behind. What the kernel datapath pinned is
// taken over, found to be wanted by nobody, and removed; so is every network device with the owner's alias, such as
// the internal taps of the user-space datapath. The database is neither read nor changed.
//
// Threads: main only; no daemon may run on the run directory meanwhile (its lock is held).
#pragma once

#include <string>

#include "base/result.h"
#include "vswitchd/options.h"

namespace heddle::vswitchd {

// Returns what to print. Fails when a daemon runs there (the text says how to end it) or when something is left; a
// kernel that allows no kernel datapath is no failure, as nothing of one can be there.
Result<std::string> remove_left_overs(const Options& options);

}  // namespace heddle::vswitchd
