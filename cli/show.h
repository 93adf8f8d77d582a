// SPDX-License-Identifier: Apache-2.0
// The command "show": the configuration as a tree, with the errors of each record.
#pragma once

#include <string>

#include "cli/commands.h"

namespace heddle::cli {

Result<> prepare_show(Session& session, const Command& command);
Result<Outcome> show(Session& session, const Command& command, std::string& out);

}  // namespace heddle::cli
