// SPDX-License-Identifier: Apache-2.0
// The control socket's commands about the log, in the words of ovs-appctl(8). This program has one log and one level:
// what is asked of one destination is asked of the log, and a level of one module is refused.
//
// Threads: any.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace heddle::vswitchd {

// vlog/set: each argument is made of words with colons, commas or blanks between them, in any order: a level (dbg when
// there is none), a destination (console, file, syslog, any), a module (ANY).
Result<std::string> set_log_level(const std::vector<std::string>& args);
// vlog/list
std::string list_log_levels();
// vlog/reopen
Result<std::string> reopen_log();

}  // namespace heddle::vswitchd
