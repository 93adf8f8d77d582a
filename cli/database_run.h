// SPDX-License-Identifier: Apache-2.0
// Runs the database commands of one command line: all commands on one snapshot, all changes in one transaction. When
// another client changed a value on which the commands rely, the transaction fails as a whole, and all commands run
// again on a new snapshot.
//
// Uses a connected client on one thread; every call waits until the deadline at most. Errors are messages for the user.
#pragma once

#include <cstdint>
#include <optional>
#include <ostream>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "cli/commands.h"
#include "ovsdb/client.h"

namespace heddle::cli {

inline constexpr const char* kDatabase = "Open_vSwitch";

// A record that this run created or changed.
struct ChangedRecord {
  std::string table;
  Uuid uuid;
  bool only_members = false;           // of a bridge only `ports` changed
  std::set<std::string> columns = {};  // set by this run
};

struct DatabaseOutcome {
  bool absent = false;               // Outcome::absent: br-exists found no bridge
  std::vector<std::string> outputs;  // one for each command
  std::vector<std::string> warnings;
  std::optional<std::int64_t> next_cfg;  // the new configuration's number; none: nothing to wait for
  std::vector<ChangedRecord> changed;
};

Result<Catalog> fetch_catalog(ovsdb::Client& client, ovsdb::Deadline deadline);

// With options.verbose, `trace` gets the operations that are sent. `sent`: set when it fails and the change may have
// been made all the same.
Result<DatabaseOutcome> run_database(ovsdb::Client& client, const Catalog& catalog, const Options& options,
                                     std::span<const Command> commands, ovsdb::Deadline deadline, std::ostream& trace,
                                     bool& sent);

// Sends operations as one transaction and returns the array of their results. Fails for an error of an operation or of
// the commit.
Result<Json> transact(ovsdb::Client& client, Json operations, ovsdb::Deadline deadline);

bool has_passed(ovsdb::Deadline deadline);

}  // namespace heddle::cli
