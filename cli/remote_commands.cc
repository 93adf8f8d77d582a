// SPDX-License-Identifier: Apache-2.0
// The commands on OpenFlow controllers of a bridge, OVSDB managers, and the TLS files for both.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <map>

#include "cli/commands.h"
#include "cli/record.h"
#include "cli/switch_model.h"

namespace heddle::cli {
namespace {

std::string line(std::string_view text) { return std::string(text) + "\n"; }

Result<> prepare_controllers(Session& session, const Command& command) {
  if (auto ok = prepare_switch(session, command); !ok) return ok;
  if (auto ok = want_columns(session, "Bridge", {"controller", "fail_mode"}); !ok) return ok;
  return want_columns(session, "Controller", {"target"});
}

Result<> prepare_managers(Session& session, const Command&) {
  if (auto ok = want_columns(session, "Open_vSwitch", {"manager_options"}); !ok) return ok;
  return want_columns(session, "Manager", {"target"});
}

Result<> prepare_ssl(Session& session, const Command&) {
  if (auto ok = want_columns(session, "Open_vSwitch", {"ssl"}); !ok) return ok;
  return want_columns(session, "SSL", {"private_key", "certificate", "ca_cert", "bootstrap_ca_cert"});
}

// --- records with a target: controllers and managers ---

void print_targets(const Session& session, const Record& owner, std::string_view column, std::string_view table,
                   std::string& out) {
  for (const auto* record : children(session, owner, column, table)) {
    out += line(session.model.get(*record, "target").string_or(""));
  }
}

void drop_all(Session& session, Record& owner, std::string_view column, std::string_view table) {
  for (auto* record : children(session, owner, column, table)) Model::remove(*record);
  reset_column(session, owner, column);
}

bool has_known_method(std::string_view target) {
  constexpr std::array known{"tcp:", "ssl:", "unix:", "ptcp:", "pssl:", "punix:"};
  return std::ranges::any_of(known, [&](const char* method) { return target.starts_with(method); });
}

Result<std::optional<std::int64_t>> probe_of(const Command& command) {
  const auto option = command.options.find("--inactivity-probe");
  if (option == command.options.end()) return std::nullopt;
  const auto& text = option->second;
  std::int64_t ms = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), ms);
  if (error == std::errc{} && end == text.data() + text.size() && ms >= 0) return ms;
  return fail(Errc::invalid, fmt::format("--inactivity-probe={}: it takes milliseconds, 0 for none", text));
}

Result<> set_targets(Session& session, Record& owner, std::string_view column, std::string_view table,
                     const Command& command, std::span<const std::string> targets) {
  const auto probe = probe_of(command);
  if (!probe) return std::unexpected(probe.error());
  drop_all(session, owner, column, table);
  std::vector<Atom> uuids;
  for (const auto& target : targets) {
    if (!has_known_method(target)) {
      session.warnings.push_back(fmt::format(
          "target \"{}\" is possibly wrong: it does not begin with tcp:, ssl:, unix:, ptcp:, pssl: or punix:", target));
    }
    auto* record = session.model.insert(*session.catalog.schema().find(table));
    Model::set(*record, "target", Datum::of(target));
    if (*probe) Model::set(*record, "inactivity_probe", Datum::of(**probe));
    uuids.emplace_back(record->uuid);
  }
  Model::set(owner, column, Datum::set(std::move(uuids)));
  return {};
}

// --- controllers, fail mode ---

Result<Outcome> get_controller(Session& session, const Command& command, std::string& out) {
  auto bridge = find_bridge(session, command.args[0]);
  if (!bridge) return std::unexpected(bridge.error());
  print_targets(session, *bridge->record, "controller", "Controller", out);
  return Outcome::done;
}

Result<Outcome> del_controller(Session& session, const Command& command, std::string&) {
  auto bridge = find_real_bridge(session, command.args[0]);
  if (!bridge) return std::unexpected(bridge.error());
  drop_all(session, **bridge, "controller", "Controller");
  return Outcome::done;
}

Result<Outcome> set_controller(Session& session, const Command& command, std::string&) {
  auto bridge = find_real_bridge(session, command.args[0]);
  if (!bridge) return std::unexpected(bridge.error());
  const auto targets = std::span(command.args).subspan(1);
  if (auto ok = set_targets(session, **bridge, "controller", "Controller", command, targets); !ok) {
    return std::unexpected(ok.error());
  }
  return Outcome::done;
}

Result<Outcome> get_fail_mode(Session& session, const Command& command, std::string& out) {
  auto bridge = find_bridge(session, command.args[0]);
  if (!bridge) return std::unexpected(bridge.error());
  const auto mode = session.model.get(*bridge->record, "fail_mode").string();
  if (mode) out += line(*mode);
  return Outcome::done;
}

Result<Outcome> del_fail_mode(Session& session, const Command& command, std::string&) {
  auto bridge = find_real_bridge(session, command.args[0]);
  if (!bridge) return std::unexpected(bridge.error());
  reset_column(session, **bridge, "fail_mode");
  return Outcome::done;
}

Result<Outcome> set_fail_mode(Session& session, const Command& command, std::string&) {
  auto bridge = find_real_bridge(session, command.args[0]);
  if (!bridge) return std::unexpected(bridge.error());
  const auto& mode = command.args[1];
  if (mode != "standalone" && mode != "secure") {
    return fail(Errc::invalid, fmt::format("fail-mode must be \"standalone\" or \"secure\", not \"{}\"", mode));
  }
  Model::set(**bridge, "fail_mode", Datum::of(mode));
  return Outcome::done;
}

// --- managers ---

Result<Outcome> get_manager(Session& session, const Command&, std::string& out) {
  auto root = root_record(session);
  if (!root) return std::unexpected(root.error());
  print_targets(session, **root, "manager_options", "Manager", out);
  return Outcome::done;
}

Result<Outcome> del_manager(Session& session, const Command&, std::string&) {
  auto root = root_record(session);
  if (!root) return std::unexpected(root.error());
  drop_all(session, **root, "manager_options", "Manager");
  return Outcome::done;
}

Result<Outcome> set_manager(Session& session, const Command& command, std::string&) {
  auto root = root_record(session);
  if (!root) return std::unexpected(root.error());
  if (auto ok = set_targets(session, **root, "manager_options", "Manager", command, command.args); !ok) {
    return std::unexpected(ok.error());
  }
  return Outcome::done;
}

// --- the overlay's sources: keys of other_config, since the schema is Open vSwitch's ---

Result<> prepare_overlay(Session& session, const Command&) {
  return want_columns(session, "Open_vSwitch", {"other_config"});
}

Result<Outcome> change_reflector(Session& session, const std::optional<std::string>& servers) {
  auto root = root_record(session);
  if (!root) return std::unexpected(root.error());
  auto config = session.model.get(**root, "other_config").string_map();
  config.erase("reflector");
  if (servers) config["reflector"] = *servers;
  Model::set(**root, "other_config", Datum::map(config));
  return Outcome::done;
}

Result<Outcome> get_reflector(Session& session, const Command&, std::string& out) {
  auto root = root_record(session);
  if (!root) return std::unexpected(root.error());
  std::string servers = session.model.get(**root, "other_config").at("reflector").value_or("");
  std::ranges::replace(servers, ',', '\n');
  if (!servers.empty()) out += line(servers);
  return Outcome::done;
}

Result<Outcome> del_reflector(Session& session, const Command&, std::string&) {
  return change_reflector(session, std::nullopt);
}

Result<Outcome> set_reflector(Session& session, const Command& command, std::string&) {
  std::string servers;
  for (const std::string& target : command.args) {
    if (!target.starts_with("tcp:") && !target.starts_with("ssl:") && !target.starts_with("unix:"))
      return fail(Errc::invalid,
                  fmt::format("\"{}\" is no reflector to connect to: it begins with tcp:, ssl: or unix:", target));
    servers += (servers.empty() ? "" : ",") + target;
  }
  return change_reflector(session, servers);
}

// As set-evpn takes them; in other_config with "evpn-" before.
constexpr std::array<std::string_view, 6> kEvpnKeys{"asn", "neighbors", "remote-asn", "vtep-ip", "hold-time", "frr"};

std::string evpn_key(std::string_view key) { return fmt::format("evpn-{}", key); }

Result<Outcome> get_evpn(Session& session, const Command&, std::string& out) {
  auto root = root_record(session);
  if (!root) return std::unexpected(root.error());
  const auto& config = session.model.get(**root, "other_config");
  for (const std::string_view key : kEvpnKeys)
    if (const auto value = config.at(evpn_key(key))) out += line(fmt::format("{}={}", key, *value));
  return Outcome::done;
}

Result<Outcome> change_evpn(Session& session, const std::map<std::string, std::string>& settings) {
  auto root = root_record(session);
  if (!root) return std::unexpected(root.error());
  auto config = session.model.get(**root, "other_config").string_map();
  for (const std::string_view key : kEvpnKeys) config.erase(evpn_key(key));
  for (const auto& [key, value] : settings) config[evpn_key(key)] = value;
  Model::set(**root, "other_config", Datum::map(config));
  return Outcome::done;
}

Result<Outcome> del_evpn(Session& session, const Command&, std::string&) { return change_evpn(session, {}); }

Result<Outcome> set_evpn(Session& session, const Command& command, std::string&) {
  std::map<std::string, std::string> settings;
  for (const std::string& word : command.args) {
    const auto equals = word.find('=');
    const std::string key = word.substr(0, equals);
    if (equals == std::string::npos || equals + 1 == word.size() ||
        std::ranges::find(kEvpnKeys, key) == kEvpnKeys.end())
      return fail(Errc::invalid,
                  fmt::format("\"{}\" is no setting of EVPN; they are {}", word, fmt::join(kEvpnKeys, "=, ")) + "=");
    settings[key] = word.substr(equals + 1);
  }
  if (!settings.contains("frr") && (!settings.contains("asn") || !settings.contains("neighbors")))
    return fail(Errc::invalid,
                "EVPN takes asn=NUMBER and neighbors=ADDRESS[,ADDRESS]... (or frr=FOLDER for an FRR of your own)");
  return change_evpn(session, settings);
}

// --- TLS files ---

Result<Outcome> get_ssl(Session& session, const Command&, std::string& out) {
  auto root = root_record(session);
  if (!root) return std::unexpected(root.error());
  for (const auto* ssl : children(session, **root, "ssl", "SSL")) {
    const auto text = [&](const char* column) { return session.model.get(*ssl, column).string_or(""); };
    out += fmt::format("Private key: {}\nCertificate: {}\nCA Certificate: {}\nBootstrap: {}\n", text("private_key"),
                       text("certificate"), text("ca_cert"),
                       session.model.get(*ssl, "bootstrap_ca_cert").boolean_or(false));
  }
  return Outcome::done;
}

Result<Outcome> del_ssl(Session& session, const Command&, std::string&) {
  auto root = root_record(session);
  if (!root) return std::unexpected(root.error());
  drop_all(session, **root, "ssl", "SSL");
  return Outcome::done;
}

Result<Outcome> set_ssl(Session& session, const Command& command, std::string&) {
  auto root = root_record(session);
  if (!root) return std::unexpected(root.error());
  drop_all(session, **root, "ssl", "SSL");
  auto* ssl = session.model.insert(*session.catalog.schema().find("SSL"));
  Model::set(*ssl, "private_key", Datum::of(command.args[0]));
  Model::set(*ssl, "certificate", Datum::of(command.args[1]));
  Model::set(*ssl, "ca_cert", Datum::of(command.args[2]));
  Model::set(*ssl, "bootstrap_ca_cert", Datum::of(command.has("--bootstrap")));
  Model::set(**root, "ssl", Datum::of(ssl->uuid));
  return Outcome::done;
}

}  // namespace

std::span<const CommandInfo> remote_commands() {
  static const std::array commands{
      database_command("get-controller", 1, 1, "BRIDGE", get_controller, prepare_controllers),
      database_command("del-controller", 1, 1, "BRIDGE", del_controller, prepare_controllers),
      database_command("set-controller", 1, kAnyNumber, "BRIDGE TARGET...", set_controller, prepare_controllers,
                       "--inactivity-probe="),
      database_command("get-fail-mode", 1, 1, "BRIDGE", get_fail_mode, prepare_controllers),
      database_command("del-fail-mode", 1, 1, "BRIDGE", del_fail_mode, prepare_controllers),
      database_command("set-fail-mode", 2, 2, "BRIDGE standalone|secure", set_fail_mode, prepare_controllers),
      database_command("get-manager", 0, 0, "", get_manager, prepare_managers),
      database_command("del-manager", 0, 0, "", del_manager, prepare_managers),
      database_command("set-manager", 1, kAnyNumber, "TARGET...", set_manager, prepare_managers, "--inactivity-probe="),
      database_command("get-reflector", 0, 0, "", get_reflector, prepare_overlay),
      database_command("del-reflector", 0, 0, "", del_reflector, prepare_overlay),
      database_command("set-reflector", 1, kAnyNumber, "TARGET...", set_reflector, prepare_overlay),
      database_command("get-evpn", 0, 0, "", get_evpn, prepare_overlay),
      database_command("del-evpn", 0, 0, "", del_evpn, prepare_overlay),
      database_command("set-evpn", 1, kAnyNumber, "KEY=VALUE...", set_evpn, prepare_overlay),
      database_command("get-ssl", 0, 0, "", get_ssl, prepare_ssl),
      database_command("del-ssl", 0, 0, "", del_ssl, prepare_ssl),
      database_command("set-ssl", 3, 3, "PRIVATE-KEY CERTIFICATE CA-CERT", set_ssl, prepare_ssl, "--bootstrap"),
  };
  return commands;
}

}  // namespace heddle::cli
