// SPDX-License-Identifier: Apache-2.0
// After a change is committed: waits until the switch has taken it up, and asks what became of it.
#pragma once

#include <string>
#include <vector>

#include "cli/database_run.h"

namespace heddle::cli {

// Waits until cur_cfg has reached `next_cfg`. Fails when the connection ends or the deadline passes; the change stays.
Result<> await_applied(ovsdb::Client& client, std::int64_t next_cfg, ovsdb::Deadline deadline);

// One text for every interface that this run touched, or that belongs to a touched port or bridge, and that the switch
// could not set up: what is wrong and how to take it back.
Result<std::vector<std::string>> find_faults(ovsdb::Client& client, const std::vector<Touched>& touched,
                                             ovsdb::Deadline deadline);

// One text for every record of which this run set columns that the daemon does not act on, as it says in the record's
// `status` (session.h, kNoEffect).
Result<std::vector<std::string>> find_without_effect(ovsdb::Client& client, const std::vector<Touched>& touched,
                                                     ovsdb::Deadline deadline);

}  // namespace heddle::cli
