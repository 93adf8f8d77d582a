// SPDX-License-Identifier: Apache-2.0
// The client side of vswitchd's control socket, <rundir>/vswitchd.<pid>.ctl: one JSON-RPC 1.0 request per command, with
// the command as the method and a list of strings as params; result and error are texts to print. Blocking, one thread;
// every call waits until the deadline at most.
#pragma once

#include <span>
#include <string>

#include "base/result.h"
#include "cli/commands.h"

namespace heddle::cli {

// Connects to the daemon whose process id is in <rundir>/vswitchd.pid, else to the only daemon that listens in rundir.
// Errc::not_found: none; Errc::invalid: several.
Result<ovsdb::Client> connect_daemon(const std::string& rundir, ovsdb::Deadline deadline);

Result<std::string> call_daemon(ovsdb::Client& client, const Command& command, ovsdb::Deadline deadline);

// Checks VLAN and MAC arguments before the daemon is asked.
Result<> check_daemon_command(const Command& command);

}  // namespace heddle::cli
