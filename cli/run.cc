#include "cli/run.h"

#include <fmt/format.h>

#include <chrono>
#include <optional>

#include "cli/commands.h"
#include "cli/confirm.h"
#include "cli/daemon.h"
#include "cli/database_run.h"
#include "cli/help.h"
#include "cli/options.h"

namespace heddle::cli {
namespace {

// --oneline: newlines inside as "\n", backslashes doubled, one line a command.
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
  Run(const Options& options, std::ostream& out, std::ostream& err) : options_(options), out_(out), err_(err) {
    if (options.timeout != 0) deadline_ = Clock::now() + std::chrono::seconds(options.timeout);
  }

  // Changes to the database come first, all in one transaction; then the daemon's commands in their order.
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
    const char* late = has_passed(deadline_) ? fmt_late() : "";
    err_ << "vsctl: " << text << late << "\n";
    return kExitFailure;
  }
  const char* fmt_late() {
    late_ = fmt::format(" (--timeout={})", options_.timeout);
    return late_.c_str();
  }

  void print(const std::string& text) { out_ << (options_.oneline ? on_one_line(text) : text); }

  int run_on_database(const std::vector<Command>& commands) {
    auto client = ovsdb::Client::connect(options_.db_path(), deadline_);
    if (!client) return failed(client.error().text + "; is vswitchd running?");
    auto catalog = fetch_catalog(*client, deadline_);
    if (!catalog) return failed(catalog.error().text);
    auto outcome = run_database(*client, *catalog, options_, commands, deadline_, err_);
    if (!outcome) return failed(outcome.error().text);
    if (outcome->absent) return kExitAbsent;
    for (const auto& warning : outcome->warnings) err_ << "vsctl: warning: " << warning << "\n";
    for (const auto& output : outcome->outputs) print(output);
    out_.flush();
    return outcome->next_cfg ? confirm(*client, *outcome) : kExitOk;
  }

  int confirm(ovsdb::Client& client, const DatabaseOutcome& outcome) {
    if (options_.verbose) err_ << "vsctl: waits for configuration " << *outcome.next_cfg << "\n";
    if (auto ok = await_applied(client, *outcome.next_cfg, deadline_); !ok) return failed(ok.error().text);
    auto faults = find_faults(client, outcome.touched, deadline_);
    if (!faults) return failed(faults.error().text);
    for (const auto& fault : *faults) err_ << "vsctl: " << fault << "\n";
    return faults->empty() ? kExitOk : kExitFailure;
  }

  int run_on_daemon(const std::vector<Command>& commands) {
    auto client = connect_daemon(options_.rundir, deadline_);
    if (!client) return failed(client.error().text);
    for (const auto& command : commands) {
      auto text = call_daemon(*client, command, deadline_);
      if (!text) return failed(text.error().text);
      print(*text);
    }
    return kExitOk;
  }

  const Options& options_;
  std::ostream& out_;
  std::ostream& err_;
  ovsdb::Deadline deadline_;
  std::string late_;
};

}  // namespace

int run(const std::vector<std::string>& args, const std::string& rundir, std::ostream& out, std::ostream& err) {
  const auto complain = [&](const Error& error) {
    err << "vsctl: " << error.text << "\n";
    return kExitFailure;
  };
  auto line = parse_command_line(args, rundir);
  if (!line) return complain(line.error());
  if (line->options.help) {
    out << help_text();
    return kExitOk;
  }
  if (line->options.version) {
    out << "vsctl (Heddle) " << HEDDLE_VERSION << "\n";
    return kExitOk;
  }
  auto commands = split_commands(line->commands);
  if (!commands) return complain(commands.error());
  return Run(line->options, out, err).run(*commands);
}

}  // namespace heddle::cli
