// SPDX-License-Identifier: Apache-2.0
// The commands vsctl knows, and the way from words to commands: words between "--" are one command; its options stand
// before its name, its arguments after it. Tables of constants and pure functions.
#pragma once

#include <map>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "cli/session.h"

namespace heddle::cli {

struct CommandInfo;

// One command as it was given.
struct Command {
  const CommandInfo* info = nullptr;
  std::map<std::string, std::string, std::less<>> options;  // "--may-exist" -> "", "--id" -> "@x"
  std::vector<std::string> args;
  [[nodiscard]] bool has(std::string_view option) const { return options.contains(option); }
};

// What a command prints: text, or rows that --oneline leaves as they are.
enum class Prints { text, rows };

enum class Target { database, daemon };

struct CommandInfo {
  std::string_view name;
  std::size_t min_args = 0;
  std::size_t max_args = 0;
  std::string_view usage = {};    // the arguments, for messages
  std::string_view options = {};  // separated by spaces; with a "=" those that take a value
  Target target = Target::database;
  Prints prints = Prints::text;
  bool waits = false;  // may answer Outcome::not_yet
  // Says in session.interest what run() will look at. Null: nothing.
  Result<> (*prepare)(Session&, const Command&) = nullptr;
  // Appends what is to be printed to the string.
  Result<Outcome> (*run)(Session&, const Command&, std::string&) = nullptr;
};

inline constexpr std::size_t kAnyNumber = SIZE_MAX;

// A line of the tables of commands that work on the database.
inline CommandInfo database_command(std::string_view name, std::size_t min, std::size_t max, std::string_view usage,
                                    decltype(CommandInfo::run) run, decltype(CommandInfo::prepare) prepare,
                                    std::string_view options = {}) {
  return {.name = name,
          .min_args = min,
          .max_args = max,
          .usage = usage,
          .options = options,
          .prepare = prepare,
          .run = run};
}

// Every table of commands below, for whoever goes through all of them.
std::vector<const CommandInfo*> all_commands();
std::span<const CommandInfo> bridge_commands();
std::span<const CommandInfo> port_commands();
std::span<const CommandInfo> remote_commands();
std::span<const CommandInfo> other_commands();
std::span<const CommandInfo> record_commands();
std::span<const CommandInfo> edit_commands();
std::span<const CommandInfo> daemon_commands();
const CommandInfo* find_command(std::string_view name);

// The names of all options of commands, "--may-exist" and so on, each once.
std::set<std::string> command_options();

Result<std::vector<Command>> split_commands(std::span<const std::string> words);

}  // namespace heddle::cli
