// The switch as a Model of its configuration: bridges that hold ports that hold interfaces. What the bridge commands
// and "show" share. Functions over one Session.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "cli/commands.h"

namespace heddle::cli {

// Has bridges, ports and interfaces read: their names and what holds what.
Result<> prepare_switch(Session& session, const Command& command);

// The record of table Open_vSwitch; made when the database is empty.
Result<Record*> root_record(Session& session);

std::vector<Record*> bridges(const Session& session);
// By name; Errc::not_found when there is none.
Result<Record*> find_bridge(const Session& session, std::string_view name);
// The records that `column` of `record` refers to, by name. Tables are the schema's.
std::vector<Record*> children(const Session& session, const Record& record, std::string_view column,
                              std::string_view table);
inline std::vector<Record*> ports_of(const Session& session, const Record& bridge) {
  return children(session, bridge, "ports", "Port");
}
inline std::vector<Record*> interfaces_of(const Session& session, const Record& port) {
  return children(session, port, "interfaces", "Interface");
}

// A port or interface and the bridge it is on; all null when there is none.
struct Place {
  Record* bridge = nullptr;
  Record* port = nullptr;
  Record* interface = nullptr;
  // The bridge's own port and interface bear its name.
  bool local = false;
};
Place find_port(const Session& session, std::string_view name);
Place find_interface(const Session& session, std::string_view name);

}  // namespace heddle::cli
