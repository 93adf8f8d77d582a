// SPDX-License-Identifier: Apache-2.0
#include "cli/commands.h"

#include <fmt/format.h>

#include <array>
#include <optional>
#include <sstream>

namespace heddle::cli {
namespace {

struct OptionSpec {
  bool takes_value = false;
};

// Looks `name` up in a list such as "--if-exists --id=".
std::optional<OptionSpec> find_option(std::string_view list, std::string_view name) {
  while (!list.empty()) {
    auto word = list.substr(0, list.find(' '));
    list.remove_prefix(std::min(list.size(), word.size() + 1));
    const bool value = word.ends_with('=');
    if (value) word.remove_suffix(1);
    if (word == name) return OptionSpec{value};
  }
  return std::nullopt;
}

std::string usage_of(const CommandInfo& info) {
  return fmt::format("{}{}{}", info.name, info.usage.empty() ? "" : " ", info.usage);
}

Result<> add_option(Command& command, const std::string& word) {
  const auto equals = word.find('=');
  const auto name = word.substr(0, equals);
  const auto spec = find_option(command.info->options, name);
  if (!spec) {
    const auto known = command.info->options;
    return fail(Errc::invalid, fmt::format("{} has no option {}{}{}", command.info->name, name,
                                           known.empty() ? "" : "; it has ", known));
  }
  if (spec->takes_value != (equals != std::string::npos)) {
    return fail(Errc::invalid, fmt::format("option {} of {} takes {} value", name, command.info->name,
                                           spec->takes_value ? "a" : "no"));
  }
  command.options[name] = equals == std::string::npos ? "" : word.substr(equals + 1);
  return {};
}

Result<> check_arguments(const Command& command) {
  const auto& info = *command.info;
  const auto n = command.args.size();
  if (n >= info.min_args && n <= info.max_args) return {};
  std::string hint;
  for (const auto& arg : command.args) {
    if (arg.starts_with("--") && find_option(info.options, arg.substr(0, arg.find('=')))) {
      hint = fmt::format(" (options stand before the command: {} {})", arg, info.name);
    }
  }
  return fail(Errc::invalid, fmt::format("{} was given too {} arguments; usage: {}{}", info.name,
                                         n < info.min_args ? "few" : "many", usage_of(info), hint));
}

Result<Command> make_command(std::span<const std::string> words) {
  std::vector<std::string> options;
  std::size_t i = 0;
  for (; i < words.size() && words[i].size() > 1 && words[i].starts_with('-'); ++i) {
    options.push_back(words[i]);
    if (takes_next_word(words[i]) && i + 1 < words.size()) options.back() += "=" + words[++i];
  }
  if (i == words.size()) {
    return fail(Errc::invalid, fmt::format("{} stands without a command; see vsctl --help", words.front()));
  }
  Command command;
  command.info = find_command(words[i]);
  if (command.info == nullptr) {
    return fail(Errc::invalid, fmt::format("there is no command \"{}\"; see vsctl --help", words[i]));
  }
  for (const auto& option : options) {
    if (auto ok = add_option(command, option); !ok) return std::unexpected(ok.error());
  }
  command.args.assign(words.begin() + static_cast<std::ptrdiff_t>(i) + 1, words.end());
  if (auto ok = check_arguments(command); !ok) return std::unexpected(ok.error());
  return command;
}

}  // namespace

std::vector<const CommandInfo*> all_commands() {
  std::vector<const CommandInfo*> out;
  for (const auto list : {bridge_commands(), port_commands(), remote_commands(), other_commands(), record_commands(),
                          edit_commands(), daemon_commands()}) {
    for (const auto& info : list) out.push_back(&info);
  }
  return out;
}

const CommandInfo* find_command(std::string_view name) {
  for (const auto* info : all_commands()) {
    if (info->name == name) return info;
  }
  return nullptr;
}

bool takes_next_word(std::string_view option) {
  return std::ranges::any_of(all_commands(), [&](const CommandInfo* info) {
    const auto spec = find_option(info->options, option);
    return spec && spec->takes_value;
  });
}

std::set<std::string> command_options() {
  std::set<std::string> out;
  for (const auto* info : all_commands()) {
    std::istringstream words{std::string(info->options)};
    for (std::string word; words >> word;) out.insert(word.substr(0, word.find('=')));
  }
  return out;
}

Result<std::vector<Command>> split_commands(std::span<const std::string> words) {
  std::vector<Command> commands;
  for (std::size_t start = 0; start <= words.size();) {
    std::size_t end = start;
    while (end < words.size() && words[end] != "--") ++end;
    if (end > start) {
      auto command = make_command(words.subspan(start, end - start));
      if (!command) return std::unexpected(command.error());
      commands.push_back(std::move(*command));
    }
    start = end + 1;
  }
  if (commands.empty()) return fail(Errc::invalid, "no command is given; see vsctl --help");
  return commands;
}

}  // namespace heddle::cli
