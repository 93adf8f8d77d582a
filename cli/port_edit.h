// SPDX-License-Identifier: Apache-2.0
// Adding and removing ports, shared by the commands on bridges and ports. Functions on one Session.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "cli/switch_model.h"

namespace heddle::cli {

// Fails with Errc::exists when a bridge, port or interface has the name. `what`: the kind of the new object, for the
// text.
Result<> check_name_is_free(const Session& session, const std::string& name, std::string_view what);

// Adds a Port with Interfaces of these names to the bridge; on a fake bridge, in its VLAN.
Record* insert_port(Session& session, const BridgeView& bridge, const std::string& name,
                    const std::vector<std::string>& interfaces);
Record* insert_interface(Session& session, const std::string& name);

// Removes the ports from the Bridge record and deletes those that no other bridge has, with the interfaces that no
// other port has.
void remove_ports(Session& session, Record& bridge, const std::vector<Record*>& ports);

// "the local port of bridge br0", "a port of bridge br0"
std::string where(const Place& place);

}  // namespace heddle::cli
