// SPDX-License-Identifier: Apache-2.0
// What can be done with the log while the program runs; base/log.h sets it up. Any thread.
#pragma once

#include <string>

#include "base/result.h"

namespace heddle {

// Opens the log's file again by its name: somebody has renamed it, to rotate the log. Nothing to do for stderr. When
// that fails, the log goes on into the file that was open.
Result<> log_reopen();
// `level`: trace, debug, info, warn, error or off; also dbg, err and emer, in any case.
Result<> log_set_level(const std::string& level);
// Whether log_set_level() takes it.
bool is_log_level(const std::string& level);
// One of the six.
std::string log_level();
// Empty: stderr.
const std::string& log_file();

}  // namespace heddle
