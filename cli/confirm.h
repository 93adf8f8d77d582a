// SPDX-License-Identifier: Apache-2.0
// After a commit: waits until the switch has applied the change, and reads the resulting errors and warnings.
//
// Uses a connected client on one thread; every call waits until the deadline at most.
#pragma once

#include <string>
#include <vector>

#include "cli/database_run.h"

namespace heddle::cli {

// Waits until cur_cfg has reached `next_cfg`. Fails when the connection ends or the deadline passes; the change remains
// committed.
Result<> await_applied(ovsdb::Client& client, std::int64_t next_cfg, ovsdb::Deadline deadline);

// A message for each interface that the switch could not set up, with the error and a command that removes the
// interface. Checks the changed interfaces and those of changed ports and bridges.
Result<std::vector<std::string>> find_faults(ovsdb::Client& client, const std::vector<ChangedRecord>& changed,
                                             ovsdb::Deadline deadline);

// A message for each record in which this run set columns that the daemon stores but does not act on, or that the
// daemon warns of, by the record's `status` (session.h, kNoEffect and kWarning).
Result<std::vector<std::string>> find_warnings(ovsdb::Client& client, const std::vector<ChangedRecord>& changed,
                                               ovsdb::Deadline deadline);

}  // namespace heddle::cli
