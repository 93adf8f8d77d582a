// SPDX-License-Identifier: Apache-2.0
// vswitchd's control socket, <rundir>/vswitchd.<pid>.ctl: one JSON-RPC 1.0 request a command, method = command, params
// = list of strings; the result is a text to print, the error a text that says why not. Blocking, one thread.
#pragma once

#include <span>
#include <string>

#include "base/result.h"
#include "cli/commands.h"

namespace heddle::cli {

// The running daemon's socket: by the process id in <rundir>/vswitchd.pid, else the only one that answers.
Result<ovsdb::Client> connect_daemon(const std::string& rundir, ovsdb::Deadline deadline);

Result<std::string> call_daemon(ovsdb::Client& client, const Command& command, ovsdb::Deadline deadline);

// What can be said of the arguments without asking the daemon: VLAN and MAC are checked.
Result<> check_daemon_command(const Command& command);

}  // namespace heddle::cli
