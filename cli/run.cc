// SPDX-License-Identifier: Apache-2.0
#include "cli/run.h"

#include <fmt/format.h>

#include <chrono>
#include <optional>
#include <string_view>
#include <thread>

#include "cli/commands.h"
#include "cli/confirm.h"
#include "cli/daemon.h"
#include "cli/database_run.h"
#include "cli/help.h"
#include "cli/options.h"

namespace heddle::cli {
namespace {

constexpr std::chrono::milliseconds kRetryPause{100};

// --oneline: one line per command, newlines as "\n", backslashes doubled.
std::string on_one_line(std::string text) {
  if (text.ends_with('\n')) text.pop_back();
  std::string out;
  for (const char c : text) {
    if (c == '\n') {
      out += "\\n";
    } else if (c == '\\') {
      out += "\\\\";
    } else {
      out += c;
    }
  }
  return out + "\n";
}

class Run {
 public:
  Run(const Options& options, std::ostream& out, std::ostream& err, const Caller& caller)
      : options_(options), out_(out), err_(err), caller_(caller) {
    if (options.timeout != 0) deadline_ = Clock::now() + std::chrono::seconds(options.timeout);
  }

  // First the database commands in one transaction, then the daemon's commands in order.
  int run(const std::vector<Command>& commands) {
    std::vector<Command> database;
    std::vector<Command> daemon;
    for (const auto& command : commands)
      (command.info->target == Target::daemon ? daemon : database).push_back(command);
    for (const auto& command : daemon) {
      if (auto ok = check_daemon_command(command); !ok) return failed(ok.error().text);
    }
    if (!database.empty()) {
      if (const int code = run_on_database(database); code != kExitOk) return code;
    }
    return daemon.empty() ? kExitOk : run_on_daemon(daemon);
  }

 private:
  int failed(const std::string& text) {
    const bool late = has_passed(deadline_);
    say(late ? fmt::format("{} (--timeout={})", text, options_.timeout) : text);
    return late && caller_.as_ovs ? kExitAlarm : kExitFailure;
  }
  void say(const std::string& text) { err_ << caller_.name << ": " << text << "\n"; }

  void print(const std::string& text, Prints kind) {
    out_ << (options_.oneline && kind == Prints::text ? on_one_line(text) : text);
  }

  // The first server that answers.
  Result<ovsdb::Client> connect_once() {
    std::string refusals;
    for (const auto& server : options_.servers()) {
      auto client = ovsdb::Client::connect_to(server, deadline_, options_.tls);
      if (client || client.error().code != Errc::system) return client;
      refusals += (refusals.empty() ? "" : "; ") + client.error().text;
    }
    return fail(Errc::system, refusals);
  }
  // With --retry, tries until a server listens.
  Result<ovsdb::Client> connect() {
    while (true) {
      auto client = connect_once();
      if (client || client.error().code != Errc::system || !options_.retry || has_passed(deadline_)) return client;
      std::this_thread::sleep_for(kRetryPause);
    }
  }
  // Whether the connection has ended and another one may go on.
  bool may_go_on(ovsdb::Client& client) {
    return options_.retry && !has_passed(deadline_) && !client.call("echo", Json::array(), deadline_);
  }

  int run_on_database(const std::vector<Command>& commands) {
    while (true) {
      auto client = connect();
      if (!client)
        return failed(client.error().text + (client.error().code == Errc::system ? "; is vswitchd running?" : ""));
      if (!client->notice().empty()) say("warning: " + client->notice());
      auto catalog = fetch_catalog(*client, deadline_);
      bool sent = false;
      auto outcome = catalog ? run_database(*client, *catalog, options_, commands, deadline_, err_, sent)
                             : Result<DatabaseOutcome>(std::unexpected(catalog.error()));
      if (outcome) return report(std::move(*client), *outcome, commands);
      // What was sent may have been done: to send it again is for the user to decide.
      if (sent || !may_go_on(*client)) return failed(outcome.error().text);
    }
  }

  int report(ovsdb::Client client, const DatabaseOutcome& outcome, const std::vector<Command>& commands) {
    if (outcome.absent) return kExitAbsent;
    for (const auto& warning : outcome.warnings) say("warning: " + warning);
    for (std::size_t i = 0; i < outcome.outputs.size(); ++i) print(outcome.outputs[i], commands[i].info->prints);
    out_.flush();
    return outcome.next_cfg ? confirm(std::move(client), outcome) : kExitOk;
  }

  int confirm(ovsdb::Client client, const DatabaseOutcome& outcome) {
    if (options_.verbose) say(fmt::format("waits for configuration {}", *outcome.next_cfg));
    for (auto applied = await_applied(client, *outcome.next_cfg, deadline_); !applied;
         applied = await_applied(client, *outcome.next_cfg, deadline_)) {
      if (!may_go_on(client)) return failed(applied.error().text);
      auto again = connect();
      if (!again) return failed(again.error().text + "; the change is committed, but is not confirmed");
      client = std::move(*again);
    }
    auto faults = find_faults(client, outcome.changed, deadline_);
    if (!faults) return failed(faults.error().text);
    for (const auto& fault : *faults) say(fault);
    auto warnings = find_warnings(client, outcome.changed, deadline_);
    if (!warnings) return failed(warnings.error().text);
    for (const auto& warning : *warnings) say("warning: " + warning);
    return faults->empty() || caller_.as_ovs ? kExitOk : kExitFailure;
  }

  int run_on_daemon(const std::vector<Command>& commands) {
    auto client = connect_daemon(options_.rundir, deadline_);
    if (!client) return failed(client.error().text);
    for (const auto& command : commands) {
      auto text = call_daemon(*client, command, deadline_);
      if (!text) return failed(text.error().text);
      print(*text, Prints::text);
    }
    return kExitOk;
  }

  const Options& options_;
  std::ostream& out_;
  std::ostream& err_;
  const Caller& caller_;
  ovsdb::Deadline deadline_;
};

// Scripts take the program's version for the switch's and choose features by it: the first line has the Open vSwitch
// version whose command line this is.
constexpr const char* kPeerVersion = "3.1.0";
constexpr const char* kPeerSchema = "8.3.1";

std::string version_text(const Caller& caller) {
  if (!caller.as_ovs) return "vsctl (Heddle) " HEDDLE_VERSION "\n";
  return fmt::format("{} (Open vSwitch) {}\nDB Schema {}\nvsctl (Heddle) {}\n", caller.name, kPeerVersion, kPeerSchema,
                     HEDDLE_VERSION);
}

}  // namespace

Caller Caller::of(std::string_view program) {
  const auto name = program.substr(program.find_last_of('/') + 1);
  if (name == "ovs-vsctl") return {.name = std::string(name), .as_ovs = true};
  return {};
}

int run(const std::vector<std::string>& args, const std::string& rundir, std::ostream& out, std::ostream& err,
        const Caller& caller) {
  const auto complain = [&](const Error& error) {
    err << caller.name << ": " << error.text << "\n";
    return kExitFailure;
  };
  auto line = parse_command_line(args, rundir);
  if (!line) return complain(line.error());
  if (line->options.help) {
    out << help_text();
    return kExitOk;
  }
  if (line->options.version) {
    out << version_text(caller);
    return kExitOk;
  }
  auto commands = split_commands(line->commands);
  if (!commands) return complain(commands.error());
  for (const auto& note : line->options.verbose ? line->notes : std::vector<std::string>{}) {
    err << caller.name << ": " << note << "\n";
  }
  return Run(line->options, out, err, caller).run(*commands);
}

}  // namespace heddle::cli
