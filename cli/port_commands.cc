// SPDX-License-Identifier: Apache-2.0
// The commands on ports, bonds and interfaces.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "cli/commands.h"
#include "cli/port_edit.h"
#include "cli/record.h"

namespace heddle::cli {
namespace {

std::string line(std::string_view text) { return std::string(text) + "\n"; }

std::vector<std::string> interface_names(const Session& session, const Record& port) {
  std::vector<std::string> names;
  for (const auto* interface : interfaces_of(session, port)) names.push_back(session.model.name_of(*interface));
  return names;
}

Result<Outcome> list_ports(Session& session, const Command& command, std::string& out) {
  auto bridge = find_bridge(session, command.args[0]);
  if (!bridge) return std::unexpected(bridge.error());
  for (const auto* port : ports_of(session, *bridge)) out += line(session.model.name_of(*port));
  return Outcome::done;
}

Result<Outcome> list_ifaces(Session& session, const Command& command, std::string& out) {
  auto bridge = find_bridge(session, command.args[0]);
  if (!bridge) return std::unexpected(bridge.error());
  std::vector<std::string> names;
  for (const auto* port : ports_of(session, *bridge))
    std::ranges::move(interface_names(session, *port), std::back_inserter(names));
  std::ranges::sort(names);
  for (const auto& name : names) out += line(name);
  return Outcome::done;
}

// --may-exist accepts an existing port only on that bridge and with exactly these interfaces.
Result<Outcome> accept_port(const Session& session, const Place& place, const std::string& bridge,
                            const std::vector<std::string>& interfaces) {
  const auto name = session.model.name_of(*place.port);
  if (place.local || place.bridge.name != bridge) {
    return fail(Errc::exists, fmt::format("cannot add port {0} to bridge {1}: {0} is {2}", name, bridge, where(place)));
  }
  const auto present = interface_names(session, *place.port);
  if (std::ranges::is_permutation(present, interfaces)) return Outcome::done;
  return fail(Errc::exists,
              fmt::format("port {} exists already, but with interface(s) {}", name, fmt::join(present, ", ")));
}

// The command sets columns of a new record only, so no column need be read.
Result<Outcome> make_port(Session& session, const Command& command, const std::vector<std::string>& interfaces,
                          std::span<const std::string> columns) {
  const auto& name = command.args[1];
  auto bridge = find_bridge(session, command.args[0]);
  if (!bridge) return std::unexpected(bridge.error());
  if (const auto place = find_port(session, name); place.port != nullptr && command.has("--may-exist")) {
    return accept_port(session, place, bridge->name, interfaces);
  }
  if (auto ok = check_name_is_free(session, name, "port"); !ok) return std::unexpected(ok.error());
  for (const auto& interface : interfaces) {
    if (interface == name) continue;  // checked above
    if (auto ok = check_name_is_free(session, interface, "interface"); !ok) return std::unexpected(ok.error());
  }
  auto* port = insert_port(session, *bridge, name, interfaces);
  if (command.has("--fake-iface")) Model::set(*port, "bond_fake_iface", Datum::of(true));
  for (const auto& column : columns) {
    if (auto ok = set_column(session, *port, column); !ok) {
      return fail(ok.error().code, fmt::format("port {}: {}", name, ok.error().text));
    }
  }
  return Outcome::done;
}

Result<Outcome> add_port(Session& session, const Command& command, std::string&) {
  return make_port(session, command, {command.args[1]}, std::span(command.args).subspan(2));
}

// Words before the first one with a "=" are interfaces, the others set columns.
Result<Outcome> add_bond(Session& session, const Command& command, std::string&) {
  const auto words = std::span(command.args).subspan(2);
  const auto first_column = std::ranges::find_if(words, [](const auto& w) { return w.find('=') != std::string::npos; });
  std::vector<std::string> interfaces(words.begin(), first_column);
  if (interfaces.size() < 2) {
    return fail(Errc::invalid, fmt::format("add-bond {}: a bond holds two interfaces or more; {} given",
                                           command.args[1], interfaces.size()));
  }
  std::ranges::sort(interfaces);
  if (const auto twice = std::ranges::adjacent_find(interfaces); twice != interfaces.end()) {
    return fail(Errc::invalid, fmt::format("add-bond {}: interface {} is given twice", command.args[1], *twice));
  }
  return make_port(session, command, interfaces, {first_column, words.end()});
}

std::unexpected<Error> no_port(std::string_view what, std::string_view name, std::string_view hint = {}) {
  return fail(Errc::not_found, fmt::format("no {} named {}{}", what, name, hint));
}

Result<Outcome> add_bond_iface(Session& session, const Command& command, std::string&) {
  const auto bond = find_port(session, command.args[0]);
  if (bond.port == nullptr || bond.local) return no_port("port", command.args[0]);
  const auto& name = command.args[1];
  if (const auto place = find_interface(session, name); place.interface != nullptr && command.has("--may-exist")) {
    if (place.port == bond.port) return Outcome::done;
    return fail(Errc::exists, fmt::format("cannot add interface {0} to port {1}: {0} is in port {2}", name,
                                          command.args[0], session.model.name_of(*place.port)));
  }
  if (auto ok = check_name_is_free(session, name, "interface"); !ok) return std::unexpected(ok.error());
  add_reference(session, *bond.port, "interfaces", insert_interface(session, name)->uuid);
  return Outcome::done;
}

Result<Outcome> del_bond_iface(Session& session, const Command& command, std::string&) {
  const auto& name = command.args.back();
  const auto place = find_interface(session, name);
  if (place.interface == nullptr) {
    if (command.has("--if-exists")) return Outcome::done;
    return no_port("interface", name, "; --if-exists del-bond-iface accepts that");
  }
  const auto port = session.model.name_of(*place.port);
  if (command.args.size() == 2) {
    const auto bond = find_port(session, command.args[0]);
    if (bond.port == nullptr) return no_port("port", command.args[0]);
    if (bond.port != place.port) {
      return fail(Errc::not_found,
                  fmt::format("port {} does not have an interface {}; it is in port {}", command.args[0], name, port));
    }
  }
  if (interfaces_of(session, *place.port).size() < 2) {
    return fail(Errc::invalid,
                fmt::format("{0} is the last interface of port {1}; it goes with the port: del-port {1}", name, port));
  }
  drop_reference(session, *place.port, "interfaces", place.interface->uuid);
  Model::remove(*place.interface);
  return Outcome::done;
}

Result<Outcome> del_port(Session& session, const Command& command, std::string&) {
  const auto& name = command.args.back();
  const bool with_iface = command.has("--with-iface");
  auto place = find_port(session, name);
  if (place.port == nullptr && with_iface) place = find_interface(session, name);
  if (place.port == nullptr) {
    if (command.has("--if-exists")) return Outcome::done;
    return no_port(with_iface ? "port or interface" : "port", name, "; --if-exists del-port accepts that");
  }
  if (place.local) {
    return fail(Errc::invalid, fmt::format("cannot delete port {0}: it is bridge {0}'s own and goes with the bridge: "
                                           "del-br {0}",
                                           name));
  }
  if (command.args.size() == 2) {
    auto bridge = find_bridge(session, command.args[0]);
    if (!bridge) return std::unexpected(bridge.error());
    if (place.bridge.name != bridge->name) {
      return fail(Errc::not_found,
                  fmt::format("bridge {} does not have a port {}; it is {}", bridge->name, name, where(place)));
    }
  }
  remove_ports(session, *place.bridge.record, {place.port});
  return Outcome::done;
}

Result<Outcome> port_to_br(Session& session, const Command& command, std::string& out) {
  const auto place = find_port(session, command.args[0]);
  if (place.port == nullptr || place.local) return no_port("port", command.args[0]);
  out += line(place.bridge.name);
  return Outcome::done;
}

Result<Outcome> iface_to_br(Session& session, const Command& command, std::string& out) {
  const auto place = find_interface(session, command.args[0]);
  if (place.interface == nullptr || place.local) return no_port("interface", command.args[0]);
  out += line(place.bridge.name);
  return Outcome::done;
}

CommandInfo info(std::string_view name, std::size_t min, std::size_t max, std::string_view usage,
                 decltype(CommandInfo::run) run, std::string_view options = {}) {
  return database_command(name, min, max, usage, run, prepare_switch, options);
}

}  // namespace

std::span<const CommandInfo> port_commands() {
  static const std::array commands{
      info("list-ports", 1, 1, "BRIDGE", list_ports),
      info("list-ifaces", 1, 1, "BRIDGE", list_ifaces),
      info("add-port", 2, kAnyNumber, "BRIDGE PORT [COLUMN[:KEY]=VALUE]...", add_port, "--may-exist"),
      info("add-bond", 4, kAnyNumber, "BRIDGE PORT INTERFACE INTERFACE... [COLUMN[:KEY]=VALUE]...", add_bond,
           "--may-exist --fake-iface"),
      info("add-bond-iface", 2, 2, "PORT INTERFACE", add_bond_iface, "--may-exist"),
      info("del-bond-iface", 1, 2, "[PORT] INTERFACE", del_bond_iface, "--if-exists"),
      info("del-port", 1, 2, "[BRIDGE] PORT", del_port, "--if-exists --with-iface"),
      info("port-to-br", 1, 1, "PORT", port_to_br),
      info("iface-to-br", 1, 1, "INTERFACE", iface_to_br),
  };
  return commands;
}

}  // namespace heddle::cli
