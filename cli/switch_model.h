// SPDX-License-Identifier: Apache-2.0
// Bridges, their ports and their interfaces in a Model, for the bridge commands and "show". Functions on one Session;
// errors are messages for the user.
//
// A bridge is real (a record of table Bridge) or fake (ovs-vsctl(8)): a port of a real bridge, the parent, that has
// `fake_bridge` set and represents one VLAN. The parent's ports with that tag belong to the fake bridge, not to the
// parent.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "cli/commands.h"

namespace heddle::cli {

// Adds the names and references of bridges, ports and interfaces to session.interest.
Result<> prepare_switch(Session& session, const Command& command);

// The record of table Open_vSwitch; inserted when the database is empty.
Result<Record*> root_record(Session& session);

struct BridgeView {
  std::string name;
  Record* record = nullptr;     // the Bridge; of a fake bridge: its parent's
  Record* fake_port = nullptr;  // the Port of a fake bridge; null: a real bridge
  std::int64_t vlan = 0;        // of a fake bridge
  [[nodiscard]] bool is_fake() const { return fake_port != nullptr; }
};

enum class Kind { all, real, fake };
// Bridges of the kind, in order of their names.
std::vector<BridgeView> bridges(const Session& session, Kind kind = Kind::all);
// By name; Errc::not_found when none has it.
Result<BridgeView> find_bridge(const Session& session, std::string_view name);
// The same, but Errc::invalid for a fake bridge.
Result<Record*> find_real_bridge(const Session& session, std::string_view name);

// The records of `table` to which `column` of `record` refers, in order of their names.
std::vector<Record*> children(const Session& session, const Record& record, std::string_view column,
                              std::string_view table);
// The bridge's ports by name, without its local port; of a real bridge also without fake bridges and their ports.
std::vector<Record*> ports_of(const Session& session, const BridgeView& bridge);
inline std::vector<Record*> interfaces_of(const Session& session, const Record& port) {
  return children(session, port, "interfaces", "Interface");
}

// A port or interface and its bridge; port and interface are null when not found.
struct Place {
  BridgeView bridge;
  Record* port = nullptr;
  Record* interface = nullptr;
  bool local = false;  // the bridge's own port or interface, which has its name
};
Place find_port(const Session& session, std::string_view name);
Place find_interface(const Session& session, std::string_view name);

// Add a reference to a column, or remove it.
void add_reference(Session& session, Record& record, std::string_view column, const Uuid& uuid);
void drop_reference(Session& session, Record& record, std::string_view column, const Uuid& uuid);

// Sets a column to its default, unless it has that value.
void reset_column(Session& session, Record& record, std::string_view column);

}  // namespace heddle::cli
