// SPDX-License-Identifier: Apache-2.0
// The table of vsctl's commands, and the parser that splits words into commands: words between "--" are one command,
// with its options before its name and its arguments after. Constants and pure functions; any thread. Errors are
// messages for the user.
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

// One parsed command.
struct Command {
  const CommandInfo* info = nullptr;
  std::map<std::string, std::string, std::less<>> options;  // "--may-exist" -> "", "--id" -> "@x"
  std::vector<std::string> args;
  [[nodiscard]] bool has(std::string_view option) const { return options.contains(option); }
};

// The kind of a command's output: text, or rows, which --oneline does not change.
enum class Prints { text, rows };

enum class Target { database, daemon };

struct CommandInfo {
  std::string_view name;
  std::size_t min_args = 0;
  std::size_t max_args = 0;
  std::string_view usage = {};    // the arguments, for messages
  std::string_view options = {};  // separated by spaces; an option with a value ends in "="
  Target target = Target::database;
  Prints prints = Prints::text;
  bool waits = false;  // may return Outcome::not_yet
  // Adds the tables and columns that run() reads to session.interest. Null: none.
  Result<> (*prepare)(Session&, const Command&) = nullptr;
  // Appends its output to the string.
  Result<Outcome> (*run)(Session&, const Command&, std::string&) = nullptr;
};

inline constexpr std::size_t kAnyNumber = SIZE_MAX;

// Makes an entry for a command on the database.
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

// All commands of the tables below.
std::vector<const CommandInfo*> all_commands();
std::span<const CommandInfo> bridge_commands();
std::span<const CommandInfo> port_commands();
std::span<const CommandInfo> remote_commands();
std::span<const CommandInfo> other_commands();
std::span<const CommandInfo> record_commands();
std::span<const CommandInfo> edit_commands();
std::span<const CommandInfo> daemon_commands();
const CommandInfo* find_command(std::string_view name);

// The names of all command options, such as "--may-exist", each once.
std::set<std::string> command_options();
// Whether the word is a command's option whose value is missing: getopt_long(3) takes the next word then.
bool takes_next_word(std::string_view option);

Result<std::vector<Command>> split_commands(std::span<const std::string> words);

}  // namespace heddle::cli
