// The commands that speak of bridges and ports rather than of records.
#include <fmt/format.h>

#include <array>

#include "cli/commands.h"
#include "cli/record.h"
#include "cli/show.h"
#include "cli/switch_model.h"

namespace heddle::cli {
namespace {

std::string line(std::string_view text) { return std::string(text) + "\n"; }

void add_reference(Session& session, Record& record, std::string_view column, const Uuid& uuid) {
  Model::rely_on(record, column);
  Model::set(record, column, with(session.model.get(record, column), uuid));
}

void drop_reference(Session& session, Record& record, std::string_view column, const Uuid& uuid) {
  const auto value = session.model.get(record, column);
  const auto at = value.find(Atom(uuid));
  if (!at) return;
  Model::rely_on(record, column);
  Model::set(record, column, without(value, *at));
}

// A Port with one Interface of the same name.
Record* insert_port(Session& session, Record& bridge, const std::string& name) {
  const auto& schema = session.catalog.schema();
  auto* interface = session.model.insert(*schema.find("Interface"));
  Model::set(*interface, "name", Datum::of(name));
  auto* port = session.model.insert(*schema.find("Port"));
  Model::set(*port, "name", Datum::of(name));
  Model::set(*port, "interfaces", Datum::of(interface->uuid));
  add_reference(session, bridge, "ports", port->uuid);
  return port;
}

void remove_port(Session& session, Record& bridge, Record& port) {
  drop_reference(session, bridge, "ports", port.uuid);
  for (auto* interface : interfaces_of(session, port)) Model::remove(*interface);
  Model::remove(port);
}

std::string where(const Session& session, const Place& place) {
  return place.local ? "the local port of bridge " + session.model.name_of(*place.bridge)
                     : "a port of bridge " + session.model.name_of(*place.bridge);
}

Result<Outcome> init(Session& session, const Command&, std::string&) {
  if (auto root = root_record(session); !root) return std::unexpected(root.error());
  return Outcome::done;
}

Result<Outcome> add_br(Session& session, const Command& command, std::string&) {
  const auto& name = command.args[0];
  if (command.args.size() > 1) {
    return fail(
        Errc::unsupported,
        fmt::format("add-br {}: a bridge for one VLAN of a parent bridge is not supported yet; give ports of {} "
                    "tag=VLAN instead",
                    name, command.args[1]));
  }
  if (find_bridge(session, name)) {
    if (command.has("--may-exist")) return Outcome::done;
    return fail(Errc::exists, fmt::format("bridge {} exists already; --may-exist add-br accepts that", name));
  }
  if (const auto place = find_port(session, name); place.port != nullptr) {
    return fail(Errc::exists,
                fmt::format("bridge {0} needs a port of its name, but {0} is {1}", name, where(session, place)));
  }
  auto root = root_record(session);
  if (!root) return std::unexpected(root.error());
  auto* bridge = session.model.insert(*session.catalog.schema().find("Bridge"));
  Model::set(*bridge, "name", Datum::of(name));
  const auto* port = insert_port(session, *bridge, name);
  Model::set(*interfaces_of(session, *port).front(), "type", Datum::of("internal"));
  add_reference(session, **root, "bridges", bridge->uuid);
  return Outcome::done;
}

Result<Outcome> del_br(Session& session, const Command& command, std::string&) {
  auto bridge = find_bridge(session, command.args[0]);
  if (!bridge) {
    if (command.has("--if-exists")) return Outcome::done;
    return std::unexpected(bridge.error());
  }
  auto root = root_record(session);
  if (!root) return std::unexpected(root.error());
  for (auto* port : ports_of(session, **bridge)) remove_port(session, **bridge, *port);
  drop_reference(session, **root, "bridges", (*bridge)->uuid);
  Model::remove(**bridge);
  return Outcome::done;
}

Result<Outcome> list_br(Session& session, const Command&, std::string& out) {
  for (const auto* bridge : bridges(session)) out += line(session.model.name_of(*bridge));
  return Outcome::done;
}

Result<Outcome> br_exists(Session& session, const Command& command, std::string&) {
  return find_bridge(session, command.args[0]) ? Outcome::done : Outcome::absent;
}

Result<Outcome> br_to_vlan(Session& session, const Command& command, std::string& out) {
  if (auto bridge = find_bridge(session, command.args[0]); !bridge) return std::unexpected(bridge.error());
  out += "0\n";  // only bridges for one VLAN of another have one
  return Outcome::done;
}

Result<Outcome> br_to_parent(Session& session, const Command& command, std::string& out) {
  if (auto bridge = find_bridge(session, command.args[0]); !bridge) return std::unexpected(bridge.error());
  out += line(command.args[0]);
  return Outcome::done;
}

Result<> prepare_external_ids(Session& session, const Command& command) {
  if (auto ok = prepare_switch(session, command); !ok) return ok;
  session.interest["Bridge"].insert("external_ids");
  return {};
}

Result<Outcome> br_set_external_id(Session& session, const Command& command, std::string&) {
  auto bridge = find_bridge(session, command.args[0]);
  if (!bridge) return std::unexpected(bridge.error());
  const auto ids = session.model.get(**bridge, "external_ids");
  const Atom key(command.args[1]);
  const auto at = ids.find(key);
  if (command.args.size() == 3) {
    Model::rely_on(**bridge, "external_ids");
    Model::set(**bridge, "external_ids", with(ids, key, Atom(command.args[2])));
  } else if (at) {
    Model::rely_on(**bridge, "external_ids");
    Model::set(**bridge, "external_ids", without(ids, *at));
  }
  return Outcome::done;
}

Result<Outcome> br_get_external_id(Session& session, const Command& command, std::string& out) {
  auto bridge = find_bridge(session, command.args[0]);
  if (!bridge) return std::unexpected(bridge.error());
  const auto ids = session.model.get(**bridge, "external_ids").string_map();
  if (command.args.size() == 1) {
    for (const auto& [key, value] : ids) out.append(key).append("=").append(line(value));
  } else if (const auto it = ids.find(command.args[1]); it != ids.end()) {
    out += line(it->second);
  }
  return Outcome::done;
}

Result<Outcome> list_ports(Session& session, const Command& command, std::string& out) {
  auto bridge = find_bridge(session, command.args[0]);
  if (!bridge) return std::unexpected(bridge.error());
  for (const auto* port : ports_of(session, **bridge)) {
    if (const auto name = session.model.name_of(*port); name != command.args[0]) out += line(name);
  }
  return Outcome::done;
}

Result<Outcome> list_ifaces(Session& session, const Command& command, std::string& out) {
  auto bridge = find_bridge(session, command.args[0]);
  if (!bridge) return std::unexpected(bridge.error());
  for (const auto* port : ports_of(session, **bridge)) {
    for (const auto* interface : interfaces_of(session, *port)) {
      if (const auto name = session.model.name_of(*interface); name != command.args[0]) out += line(name);
    }
  }
  return Outcome::done;
}

// The columns that add-port sets are the new record's: nothing of them need be read.
Result<Outcome> add_port(Session& session, const Command& command, std::string&) {
  const auto& name = command.args[1];
  auto bridge = find_bridge(session, command.args[0]);
  if (!bridge) return std::unexpected(bridge.error());
  if (const auto place = find_port(session, name); place.port != nullptr) {
    if (command.has("--may-exist") && place.bridge == *bridge && !place.local) return Outcome::done;
    const char* hint = place.bridge == *bridge && !place.local ? "; --may-exist add-port accepts that" : "";
    return fail(Errc::exists, fmt::format("cannot add port {0}: {0} is {1}{2}", name, where(session, place), hint));
  }
  auto* port = insert_port(session, **bridge, name);
  for (std::size_t i = 2; i < command.args.size(); ++i) {
    if (auto ok = set_column(session, *port, command.args[i]); !ok) {
      return fail(ok.error().code, fmt::format("port {}: {}", name, ok.error().text));
    }
  }
  return Outcome::done;
}

Result<Outcome> del_port(Session& session, const Command& command, std::string&) {
  const auto& name = command.args.back();
  const auto place = find_port(session, name);
  if (command.args.size() == 2) {
    auto bridge = find_bridge(session, command.args[0]);
    if (!bridge && !(place.port == nullptr && command.has("--if-exists"))) return std::unexpected(bridge.error());
    if (place.port != nullptr && place.bridge != *bridge) {
      return fail(Errc::not_found,
                  fmt::format("bridge {} has no port {}; it is {}", command.args[0], name, where(session, place)));
    }
  }
  if (place.port == nullptr) {
    if (command.has("--if-exists")) return Outcome::done;
    return fail(Errc::not_found, fmt::format("there is no port {}; --if-exists del-port accepts that", name));
  }
  if (place.local) {
    return fail(Errc::invalid, fmt::format("port {0} is bridge {0}'s own; it goes with the bridge: del-br {0}", name));
  }
  remove_port(session, *place.bridge, *place.port);
  return Outcome::done;
}

Result<Outcome> port_to_br(Session& session, const Command& command, std::string& out) {
  const auto place = find_port(session, command.args[0]);
  if (place.port == nullptr || place.local) {
    return fail(Errc::not_found, fmt::format("there is no port {}", command.args[0]));
  }
  out += line(session.model.name_of(*place.bridge));
  return Outcome::done;
}

Result<Outcome> iface_to_br(Session& session, const Command& command, std::string& out) {
  const auto place = find_interface(session, command.args[0]);
  if (place.interface == nullptr || place.local) {
    return fail(Errc::not_found, fmt::format("there is no interface {}", command.args[0]));
  }
  out += line(session.model.name_of(*place.bridge));
  return Outcome::done;
}

CommandInfo info(std::string_view name, std::size_t min, std::size_t max, std::string_view usage,
                 decltype(CommandInfo::run) run, std::string_view options = {},
                 decltype(CommandInfo::prepare) prepare = prepare_switch) {
  return {.name = name,
          .min_args = min,
          .max_args = max,
          .usage = usage,
          .options = options,
          .prepare = prepare,
          .run = run};
}

}  // namespace

std::span<const CommandInfo> bridge_commands() {
  static const std::array commands{
      info("init", 0, 0, "", init),
      info("show", 0, 0, "", show, "", prepare_show),
      info("add-br", 1, 3, "BRIDGE", add_br, "--may-exist"),
      info("del-br", 1, 1, "BRIDGE", del_br, "--if-exists"),
      info("list-br", 0, 0, "", list_br),
      info("br-exists", 1, 1, "BRIDGE", br_exists),
      info("br-to-vlan", 1, 1, "BRIDGE", br_to_vlan),
      info("br-to-parent", 1, 1, "BRIDGE", br_to_parent),
      info("br-set-external-id", 2, 3, "BRIDGE KEY [VALUE]", br_set_external_id, "", prepare_external_ids),
      info("br-get-external-id", 1, 2, "BRIDGE [KEY]", br_get_external_id, "", prepare_external_ids),
      info("list-ports", 1, 1, "BRIDGE", list_ports),
      info("list-ifaces", 1, 1, "BRIDGE", list_ifaces),
      info("add-port", 2, kAnyNumber, "BRIDGE PORT [COLUMN[:KEY]=VALUE]...", add_port, "--may-exist"),
      info("del-port", 1, 2, "[BRIDGE] PORT", del_port, "--if-exists"),
      info("port-to-br", 1, 1, "PORT", port_to_br),
      info("iface-to-br", 1, 1, "INTERFACE", iface_to_br),
  };
  return commands;
}

}  // namespace heddle::cli
