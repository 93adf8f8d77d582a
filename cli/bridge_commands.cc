// SPDX-License-Identifier: Apache-2.0
// The commands on the switch and its bridges, real and fake.
#include <fmt/format.h>

#include <array>
#include <charconv>

#include "base/limits.h"
#include "cli/commands.h"
#include "cli/port_edit.h"
#include "cli/show.h"
#include "cli/switch_model.h"

namespace heddle::cli {
namespace {

std::string line(std::string_view text) { return std::string(text) + "\n"; }

Result<Outcome> init(Session& session, const Command&, std::string&) {
  if (auto root = root_record(session); !root) return std::unexpected(root.error());
  return Outcome::done;
}

Result<std::int64_t> parse_vlan(const std::string& text) {
  std::int64_t vlan = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), vlan);
  if (error == std::errc{} && end == text.data() + text.size() && vlan >= 0 && vlan <= limits::kVlanMax) return vlan;
  return fail(Errc::invalid, fmt::format("\"{}\" is no VLAN; it must be between 0 and {}", text, limits::kVlanMax));
}

// A fake bridge is a port of its parent with an internal interface, by which the host takes part in that VLAN.
Result<Outcome> add_fake_bridge(Session& session, const std::string& name, const std::string& parent_name,
                                std::int64_t vlan) {
  auto parent = find_bridge(session, parent_name);
  if (!parent) {
    return fail(Errc::not_found, fmt::format("parent bridge {} does not exist; no bridge named so", parent_name));
  }
  if (parent->is_fake()) {
    return fail(Errc::invalid,
                fmt::format("cannot create bridge {}: its parent {} is itself a fake bridge", name, parent_name));
  }
  for (const auto& other : bridges(session, Kind::fake)) {
    if (other.record == parent->record && other.vlan == vlan) {
      return fail(Errc::exists,
                  fmt::format("bridge {} has a fake bridge for VLAN {} already: {}", parent_name, vlan, other.name));
    }
  }
  auto* port = insert_port(session, *parent, name, {name});
  Model::set(*port, "tag", Datum::of(vlan));
  Model::set(*port, "fake_bridge", Datum::of(true));
  Model::set(*interfaces_of(session, *port).front(), "type", Datum::of("internal"));
  return Outcome::done;
}

// --may-exist accepts an existing bridge only of the same kind, and for a fake bridge with the same parent and VLAN.
Result<Outcome> accept_bridge(const Session& session, const BridgeView& bridge, const Command& command) {
  const auto parent = session.model.name_of(*bridge.record);
  const auto is = bridge.is_fake() ? fmt::format("the fake bridge for VLAN {} of {}", bridge.vlan, parent)
                                   : std::string("a bridge of its own, no fake bridge");
  bool same = bridge.is_fake() == (command.args.size() == 3);
  if (same && bridge.is_fake()) {
    auto vlan = parse_vlan(command.args[2]);
    if (!vlan) return std::unexpected(vlan.error());
    same = parent == command.args[1] && bridge.vlan == *vlan;
  }
  if (same) return Outcome::done;
  return fail(Errc::exists, fmt::format("--may-exist add-br {}: there is a {} already, but it is {}",
                                        fmt::join(command.args, " "), bridge.name, is));
}

Result<Outcome> add_br(Session& session, const Command& command, std::string&) {
  const auto& name = command.args[0];
  if (command.args.size() == 2) {
    return fail(Errc::invalid, "add-br takes BRIDGE, or BRIDGE PARENT VLAN for a fake bridge; the VLAN is missing");
  }
  if (auto bridge = find_bridge(session, name); bridge && command.has("--may-exist")) {
    return accept_bridge(session, *bridge, command);
  }
  if (auto ok = check_name_is_free(session, name, "bridge"); !ok) return std::unexpected(ok.error());
  if (command.args.size() == 3) {
    auto vlan = parse_vlan(command.args[2]);
    if (!vlan) return fail(vlan.error().code, fmt::format("add-br {}: {}", name, vlan.error().text));
    return add_fake_bridge(session, name, command.args[1], *vlan);
  }
  auto root = root_record(session);
  if (!root) return std::unexpected(root.error());
  auto* bridge = session.model.insert(*session.catalog.schema().find("Bridge"));
  Model::set(*bridge, "name", Datum::of(name));
  const auto* port = insert_port(session, {.name = name, .record = bridge}, name, {name});
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
  if (bridge->is_fake()) {
    auto ports = ports_of(session, *bridge);
    ports.push_back(bridge->fake_port);
    remove_ports(session, *bridge->record, ports);
    return Outcome::done;
  }
  auto root = root_record(session);
  if (!root) return std::unexpected(root.error());
  remove_ports(session, *bridge->record, children(session, *bridge->record, "ports", "Port"));
  drop_reference(session, **root, "bridges", bridge->record->uuid);
  Model::remove(*bridge->record);
  return Outcome::done;
}

Result<Outcome> list_br(Session& session, const Command& command, std::string& out) {
  const bool real = command.has("--real");
  const bool fake = command.has("--fake");
  const auto kind = real == fake ? Kind::all : real ? Kind::real : Kind::fake;
  for (const auto& bridge : bridges(session, kind)) out += line(bridge.name);
  return Outcome::done;
}

Result<Outcome> br_exists(Session& session, const Command& command, std::string&) {
  return find_bridge(session, command.args[0]) ? Outcome::done : Outcome::absent;
}

Result<Outcome> br_to_vlan(Session& session, const Command& command, std::string& out) {
  auto bridge = find_bridge(session, command.args[0]);
  if (!bridge) return std::unexpected(bridge.error());
  out += fmt::format("{}\n", bridge->vlan);
  return Outcome::done;
}

Result<Outcome> br_to_parent(Session& session, const Command& command, std::string& out) {
  auto bridge = find_bridge(session, command.args[0]);
  if (!bridge) return std::unexpected(bridge.error());
  out += line(session.model.name_of(*bridge->record));
  return Outcome::done;
}

Result<> prepare_external_ids(Session& session, const Command& command) {
  if (auto ok = prepare_switch(session, command); !ok) return ok;
  session.interest["Bridge"].insert("external_ids");
  if (session.catalog.schema().find("Port")->find("external_ids") != nullptr) {
    session.interest["Port"].insert("external_ids");
  }
  return {};
}

// The prefix of a fake bridge's external ids, which are in its Port (ovs-vsctl(8)).
constexpr std::string_view kFakePrefix = "fake-bridge-";

Result<Outcome> br_set_external_id(Session& session, const Command& command, std::string&) {
  auto bridge = find_bridge(session, command.args[0]);
  if (!bridge) return std::unexpected(bridge.error());
  auto& record = bridge->is_fake() ? *bridge->fake_port : *bridge->record;
  const auto ids = session.model.get(record, "external_ids");
  const Atom key((bridge->is_fake() ? std::string(kFakePrefix) : std::string()) + command.args[1]);
  const auto at = ids.find(key);
  if (command.args.size() == 3) {
    Model::rely_on(record, "external_ids");
    Model::set(record, "external_ids", with(ids, key, Atom(command.args[2])));
  } else if (at) {
    Model::rely_on(record, "external_ids");
    Model::set(record, "external_ids", without(ids, *at));
  }
  return Outcome::done;
}

Result<Outcome> br_get_external_id(Session& session, const Command& command, std::string& out) {
  auto bridge = find_bridge(session, command.args[0]);
  if (!bridge) return std::unexpected(bridge.error());
  const auto& record = bridge->is_fake() ? *bridge->fake_port : *bridge->record;
  for (const auto& [full, value] : session.model.get(record, "external_ids").string_map()) {
    if (bridge->is_fake() && !full.starts_with(kFakePrefix)) continue;
    const auto key = bridge->is_fake() ? full.substr(kFakePrefix.size()) : full;
    if (command.args.size() == 1) {
      out.append(key).append("=").append(line(value));
    } else if (key == command.args[1]) {
      out += line(value);
    }
  }
  return Outcome::done;
}

CommandInfo info(std::string_view name, std::size_t min, std::size_t max, std::string_view usage,
                 decltype(CommandInfo::run) run, std::string_view options = {},
                 decltype(CommandInfo::prepare) prepare = prepare_switch) {
  return database_command(name, min, max, usage, run, prepare, options);
}

}  // namespace

std::span<const CommandInfo> bridge_commands() {
  static const std::array commands{
      info("init", 0, 0, "", init),
      info("show", 0, 0, "", show, "", prepare_show),
      info("add-br", 1, 3, "BRIDGE [PARENT VLAN]", add_br, "--may-exist"),
      info("del-br", 1, 1, "BRIDGE", del_br, "--if-exists"),
      info("list-br", 0, 0, "", list_br, "--real --fake"),
      info("br-exists", 1, 1, "BRIDGE", br_exists),
      info("br-to-vlan", 1, 1, "BRIDGE", br_to_vlan),
      info("br-to-parent", 1, 1, "BRIDGE", br_to_parent),
      info("br-set-external-id", 2, 3, "BRIDGE KEY [VALUE]", br_set_external_id, "", prepare_external_ids),
      info("br-get-external-id", 1, 2, "BRIDGE [KEY]", br_get_external_id, "", prepare_external_ids),
  };
  return commands;
}

}  // namespace heddle::cli
