// SPDX-License-Identifier: Apache-2.0
// The database schema that is built into the program: the text of vswitchd/vswitch.schema.json.
// Its "cksum" is that of the schema of Open vSwitch 3.1, to which it is equal: ovsdb-client(1) compares it before it
// restores a backup.
#pragma once

#include <string_view>

namespace heddle::vswitchd {

std::string_view builtin_schema();

}  // namespace heddle::vswitchd
