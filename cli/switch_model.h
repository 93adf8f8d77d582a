// SPDX-License-Identifier: Apache-2.0
// The switch as a Model of its configuration: bridges that hold ports that hold interfaces. What the bridge commands
// and "show" share. Functions over one Session.
//
// A bridge in the commands' sense is real (a record of table Bridge) or fake (ovs-vsctl(8)): a port of a real bridge,
// the parent, that is marked `fake_bridge` and stands for one VLAN. The parent's ports with that tag count as the fake
// bridge's, not as the parent's.
#pragma once

#include <cstdint>
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

struct BridgeView {
  std::string name;
  Record* record = nullptr;     // the Bridge; of a fake bridge: its parent's
  Record* fake_port = nullptr;  // the Port that makes it; null: it is a real bridge
  std::int64_t vlan = 0;        // of a fake bridge
  [[nodiscard]] bool is_fake() const { return fake_port != nullptr; }
};

// Real bridges by name, and fake ones by name; together when both are asked for.
enum class Kind { all, real, fake };
std::vector<BridgeView> bridges(const Session& session, Kind kind = Kind::all);
// By name; Errc::not_found when there is none.
Result<BridgeView> find_bridge(const Session& session, std::string_view name);
// A real one.
Result<Record*> find_real_bridge(const Session& session, std::string_view name);

// The records that `column` of `record` refers to, by name. Tables are the schema's.
std::vector<Record*> children(const Session& session, const Record& record, std::string_view column,
                              std::string_view table);
// The bridge's ports by name, without its own; of a real bridge also without fake bridges and their ports.
std::vector<Record*> ports_of(const Session& session, const BridgeView& bridge);
inline std::vector<Record*> interfaces_of(const Session& session, const Record& port) {
  return children(session, port, "interfaces", "Interface");
}

// A port or interface and the bridge it is on; port and interface are null when there is none.
struct Place {
  BridgeView bridge;
  Record* port = nullptr;
  Record* interface = nullptr;
  // The bridge's own port and interface bear its name.
  bool local = false;
};
Place find_port(const Session& session, std::string_view name);
Place find_interface(const Session& session, std::string_view name);

// How commands put one more reference into a column, or take one out.
void add_reference(Session& session, Record& record, std::string_view column, const Uuid& uuid);
void drop_reference(Session& session, Record& record, std::string_view column, const Uuid& uuid);

// Sets a column back to its default, if it is not that already.
void reset_column(Session& session, Record& record, std::string_view column);

}  // namespace heddle::cli
