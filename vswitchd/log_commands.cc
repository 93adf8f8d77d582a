// SPDX-License-Identifier: Apache-2.0
#include "vswitchd/log_commands.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <optional>

#include "base/log_control.h"

namespace heddle::vswitchd {
namespace {

std::string lower(std::string text) {
  std::ranges::transform(text, text.begin(), [](unsigned char c) { return std::tolower(c); });
  return text;
}

std::vector<std::string> words_of(const std::string& text) {
  std::vector<std::string> words;
  std::size_t from = 0;
  while (from < text.size()) {
    const std::size_t end = std::min(text.find_first_of(":, ", from), text.size());
    if (end > from) words.push_back(lower(text.substr(from, end - from)));
    from = end + 1;
  }
  return words;
}

// The level that the argument gives the log; nothing when it is about a destination that there is not.
Result<std::optional<std::string>> level_in(const std::string& argument) {
  std::optional<std::string> level;
  bool syslog = false;
  bool ours = false;
  for (const std::string& word : words_of(argument)) {
    if (word == "pattern" || word == "facility")
      return fail(Errc::unsupported, fmt::format("\"{}\": the form of the log's lines is fixed", argument));
    if (is_log_level(word)) {
      if (level) return fail(Errc::invalid, fmt::format("\"{}\" has two levels, {} and {}", argument, *level, word));
      level = word;
    } else if (word == "syslog") {
      syslog = true;
    } else if (word == "console" || word == "file" || word == "any") {
      ours = true;
    } else {
      return fail(
          Errc::invalid,
          fmt::format("\"{}\" is neither a level (off, emer, err, warn, info, dbg) nor a destination (console, "
                      "file, any). There is one level for the whole program: leave module names out, or write ANY",
                      word));
    }
  }
  if (syslog && !ours) {
    if (level == "off") return std::optional<std::string>{};
    return fail(Errc::unsupported,
                "nothing is logged to syslog; under systemd the journal has what goes to stderr (console)");
  }
  return level.value_or("dbg");
}

std::string shown(bool here) {
  if (!here) return "OFF";
  const std::string level = log_level();
  if (level == "debug") return "DBG";
  if (level == "error") return "ERR";
  std::string upper = level;
  std::ranges::transform(upper, upper.begin(), [](unsigned char c) { return std::toupper(c); });
  return upper;
}

}  // namespace

Result<std::string> set_log_level(const std::vector<std::string>& args) {
  std::vector<std::string> levels;
  for (const std::string& argument : args.empty() ? std::vector<std::string>{"dbg"} : args) {
    const auto level = level_in(argument);
    if (!level) return std::unexpected(level.error());
    if (*level) levels.push_back(**level);
  }
  for (const std::string& level : levels)
    if (auto r = log_set_level(level); !r) return std::unexpected(r.error());
  return std::string{};
}

std::string list_log_levels() {
  const bool file = !log_file().empty();
  std::string text = "                 console    syslog    file\n";
  text += "                 -------    ------    ------\n";
  text += fmt::format("{:<16} {:^8} {:^10} {:^8}", "ANY", shown(!file), "OFF", shown(file));
  text.erase(text.find_last_not_of(' ') + 1);
  return text + "\n";
}

Result<std::string> reopen_log() {
  if (log_file().empty())
    return fail(Errc::invalid, "the log goes to stderr, not to a file: there is nothing to open again");
  if (auto r = log_reopen(); !r) return std::unexpected(r.error());
  return std::string{};
}

}  // namespace heddle::vswitchd
