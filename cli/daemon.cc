// SPDX-License-Identifier: Apache-2.0
#include "cli/daemon.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <optional>
#include <vector>

#include "base/addr.h"
#include "base/limits.h"

namespace heddle::cli {
namespace {

namespace fs = std::filesystem;

Result<> check_vlan(const std::string& text) {
  unsigned v = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), v);
  if (error == std::errc{} && end == text.data() + text.size() && v <= limits::kVlanMax) return {};
  return fail(Errc::invalid, fmt::format("\"{}\" is not a VLAN, 0 to {} (0: untagged)", text, limits::kVlanMax));
}

Result<> check_mac(const std::string& text) {
  if (MacAddr::parse(text)) return {};
  return fail(Errc::invalid, fmt::format("\"{}\" is not a MAC address such as 02:00:00:00:00:01", text));
}

Result<> check_ip(const std::string& text) {
  if (IpAddr::parse(text)) return {};
  return fail(Errc::invalid, fmt::format("\"{}\" is not an IP address such as 192.0.2.1 or 2001:db8::1", text));
}

std::string not_running(const std::string& what) { return what + "; is vswitchd running?"; }

std::vector<std::string> control_sockets(const std::string& rundir) {
  std::vector<std::string> found;
  std::error_code ignored;  // a missing directory has no sockets
  for (fs::directory_iterator it(rundir, ignored), end; !ignored && it != end; it.increment(ignored)) {
    const auto name = it->path().filename().string();
    if (name.starts_with("vswitchd.") && name.ends_with(".ctl")) found.push_back(it->path().string());
  }
  return found;
}

std::optional<long> read_pid(const std::string& path) {
  std::ifstream file(path);
  long pid = 0;
  if (file >> pid && pid > 0) return pid;
  return std::nullopt;
}

}  // namespace

Result<ovsdb::Client> connect_daemon(const std::string& rundir, ovsdb::Deadline deadline) {
  if (const auto pid = read_pid(rundir + "/vswitchd.pid")) {
    auto client = ovsdb::Client::connect(fmt::format("{}/vswitchd.{}.ctl", rundir, *pid), deadline);
    if (client) return client;
  }
  std::vector<ovsdb::Client> answering;
  std::string names;
  for (const auto& path : control_sockets(rundir)) {
    auto client = ovsdb::Client::connect(path, deadline);
    if (!client) continue;  // the file of a dead daemon
    answering.push_back(std::move(*client));
    names += (names.empty() ? "" : ", ") + path;
  }
  if (answering.size() == 1) return std::move(answering.front());
  if (answering.size() > 1) {
    return fail(Errc::invalid, fmt::format("several daemons answer in {} ({}); --rundir=DIR names one", rundir, names));
  }
  return fail(Errc::not_found,
              not_running(fmt::format("no daemon answers on a socket vswitchd.PID.ctl in {}", rundir)));
}

Result<> check_daemon_command(const Command& command) {
  const auto& args = command.args;
  const auto name = command.info->name;
  Result<> ok;
  if (name == "fdb-add") {
    ok = check_vlan(args[2]);
    if (ok) ok = check_mac(args[3]);
    if (ok && args.size() > 4) ok = check_ip(args[4]);
  } else if (name == "fdb-del") {
    ok = check_vlan(args[1]);
    if (ok) ok = check_mac(args[2]);
  } else if (name == "exit" && !args.empty() && args[0] != "--cleanup") {
    ok = fail(Errc::invalid, fmt::format("\"{}\" is not known; usage: exit [--cleanup]", args[0]));
  }
  if (!ok) return fail(ok.error().code, fmt::format("{}: {}", name, ok.error().text));
  return {};
}

Result<std::string> call_daemon(ovsdb::Client& client, const Command& command, ovsdb::Deadline deadline) {
  Json params = Json::array();
  for (const auto& arg : command.args) params.push_back(arg);
  auto result = client.call(command.info->name, std::move(params), deadline);
  if (!result) {
    std::string text = result.error().text;
    text.erase(text.find_last_not_of('\n') + 1);
    return fail(result.error().code, fmt::format("{}: {}", command.info->name, text));
  }
  if (result->is_null()) return std::string();
  auto text = result->is_string() ? result->get<std::string>() : ovsdb::dump_json(*result);
  if (!text.empty() && !text.ends_with('\n')) text += '\n';
  return text;
}

std::span<const CommandInfo> daemon_commands() {
  const auto info = [](std::string_view name, std::size_t min, std::size_t max, std::string_view usage) {
    return CommandInfo{.name = name, .min_args = min, .max_args = max, .usage = usage, .target = Target::daemon};
  };
  static const std::array commands{
      info("fdb-show", 1, 1, "BRIDGE"),         info("fdb-stats", 1, 1, "BRIDGE"),
      info("fdb-flush", 0, 1, "[BRIDGE]"),      info("fdb-add", 4, 5, "BRIDGE PORT VLAN MAC [REMOTE]"),
      info("fdb-del", 3, 3, "BRIDGE VLAN MAC"), info("drops", 0, 1, "[PORT]"),
      info("port-stats", 0, 1, "[PORT]"),       info("version", 0, 0, ""),
      info("exit", 0, 1, "[--cleanup]"),        info("qos-show", 1, 1, "PORT"),
      info("clients-show", 0, 0, ""),           info("vtep-show", 0, 1, "[BRIDGE]"),
  };
  return commands;
}

}  // namespace heddle::cli
