// SPDX-License-Identifier: Apache-2.0
// The database's part of one command line: every command on one snapshot, all changes in one transaction. When somebody
// else changed what the commands relied on, the transaction fails whole and everything runs again on a new snapshot.
//
// Works on a connected client, one thread. Every wait ends at the deadline.
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

// A record that this run made or changed.
struct Touched {
  std::string table;
  Uuid uuid;
  bool only_members = false;           // nothing of a bridge was changed but which ports it has
  std::set<std::string> columns = {};  // that were set
};

struct DatabaseOutcome {
  bool absent = false;                   // Outcome::absent: br-exists and no bridge
  std::vector<std::string> outputs;      // one for each command
  std::vector<std::string> warnings;     //
  std::optional<std::int64_t> next_cfg;  // the configuration's number, when it was changed and is to be waited for
  std::vector<Touched> touched;          //
};

Result<Catalog> fetch_catalog(ovsdb::Client& client, ovsdb::Deadline deadline);

// `trace` gets what is sent, when options.verbose is set.
Result<DatabaseOutcome> run_database(ovsdb::Client& client, const Catalog& catalog, const Options& options,
                                     std::span<const Command> commands, ovsdb::Deadline deadline, std::ostream& trace);

// Sends operations as one transaction; the array of their results. An operation's error, or one at commit, is an Error.
Result<Json> transact(ovsdb::Client& client, Json operations, ovsdb::Deadline deadline);

bool has_passed(ovsdb::Deadline deadline);

}  // namespace heddle::cli
