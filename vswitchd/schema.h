// SPDX-License-Identifier: Apache-2.0
// The database schema that is built into the program: the text of vswitchd/vswitch.schema.json.
#pragma once

#include <string_view>

namespace heddle::vswitchd {

std::string_view builtin_schema();

}  // namespace heddle::vswitchd
