// SPDX-License-Identifier: Apache-2.0
// Parsing of argv into options and commands.
#include <gtest/gtest.h>

#include "cli/commands.h"
#include "cli/help.h"
#include "cli/options.h"

namespace heddle::cli {
namespace {

using Words = std::vector<std::string>;

TEST(Options, PrecedeTheFirstCommand) {
  const auto line = parse_command_line({"--db=unix:/x/db", "-t", "5", "--no-wait", "add-br", "-t"}, "");
  ASSERT_TRUE(line.has_value()) << line.error().text;
  EXPECT_EQ(line->options.servers(), std::vector<std::string>{"unix:/x/db"});
  EXPECT_EQ(line->options.timeout, 5U);
  EXPECT_TRUE(line->options.no_wait);
  EXPECT_EQ(line->commands, (Words{"add-br", "-t"}));
}

TEST(Options, MixWithThoseOfTheFirstCommand) {
  const auto line =
      parse_command_line({"--if-exists", "--format=csv", "--data", "json", "--columns=a", "list", "Port"}, "");
  ASSERT_TRUE(line.has_value()) << line.error().text;
  EXPECT_EQ(line->options.format, Format::csv);
  EXPECT_EQ(line->options.data, DataStyle::json);
  EXPECT_EQ(line->commands, (Words{"--if-exists", "--columns=a", "list", "Port"}));
}

TEST(Options, SelectTheSwitch) {
  EXPECT_EQ(parse_command_line({"show"}, "")->options.servers(), std::vector<std::string>{"unix:/run/vswitch/db.sock"});
  EXPECT_EQ(parse_command_line({"show"}, "/env")->options.servers(), std::vector<std::string>{"unix:/env/db.sock"});
  EXPECT_EQ(parse_command_line({"--rundir=/arg", "show"}, "/env")->options.servers(),
            std::vector<std::string>{"unix:/arg/db.sock"});
}

TEST(Options, ErrorsNameTheOption) {
  const std::pair<Words, const char*> cases[] = {
      {{"--timeout=soon", "show"}, "soon"},
      {{"--timeout"}, "timeout"},
      {{"-x", "show"}, "-x"},
      {{"--format=xml", "show"}, "csv, html, json"},
      {{"--db=pssl:6640", "show"}, "it takes unix:PATH, tcp:HOST:PORT or ssl:HOST:PORT"},
      {{"--db=ptcp:6640", "show"}, "it takes unix:PATH, tcp:HOST:PORT or ssl:HOST:PORT"},
      {{"--timeout=-5", "show"}, "a whole number"},
      {{"--no", "show"}, "may be more than one option: --no-headings, --no-syslog, --no-wait"},
  };
  for (const auto& [words, says] : cases) {
    const auto line = parse_command_line(words, "");
    ASSERT_FALSE(line.has_value()) << words.front();
    EXPECT_NE(line.error().text.find(says), std::string::npos) << line.error().text;
  }
}

TEST(Options, MayBeShortened) {
  const auto line = parse_command_line({"--time", "5", "--oneli", "--if", "--col=a", "list", "Port"}, "");
  ASSERT_TRUE(line.has_value()) << line.error().text;
  EXPECT_EQ(line->options.timeout, 5U);
  EXPECT_TRUE(line->options.oneline);
  EXPECT_EQ(line->commands, (Words{"--if-exists", "--columns=a", "list", "Port"}));
}

TEST(Options, OfOvsVsctlAreAccepted) {
  const auto line = parse_command_line(
      {"--no-syslog", "-p", "/k", "--certificate=/c", "-C/ca", "--bootstrap-ca-cert=/b", "--log-file", "--retry",
       "--bare", "--pretty", "--max-column-width=9", "-t", "1", "-t3", "list-br"},
      "");
  ASSERT_TRUE(line.has_value()) << line.error().text;
  const auto& o = line->options;
  EXPECT_TRUE(o.retry && o.pretty && !o.headings);
  EXPECT_EQ(o.format, Format::list);
  EXPECT_EQ(o.data, DataStyle::bare);
  EXPECT_EQ(o.max_column_width, 9U);
  EXPECT_EQ(o.timeout, 3U);  // the last occurrence counts
  EXPECT_EQ(line->commands, Words{"list-br"});
  EXPECT_EQ(o.tls, (ovsdb::TlsFiles{.private_key = "/k", .certificate = "/c", .ca_cert = "/b", .bootstrap = true}));
  EXPECT_EQ(line->notes.size(), 2U);
}

TEST(Options, VerboseIgnoresOpenVSwitchsLogSettings) {
  EXPECT_TRUE(parse_command_line({"-v", "show"}, "")->options.verbose);
  EXPECT_FALSE(parse_command_line({"-vconsole:off", "show"}, "")->options.verbose);
}

TEST(Commands, AreSeparatedByTwoDashes) {
  const Words words{"--", "--may-exist", "add-br", "br0", "--", "--id=@q", "create", "QoS", "type=x", "--"};
  const auto commands = split_commands(words);
  ASSERT_TRUE(commands.has_value()) << commands.error().text;
  ASSERT_EQ(commands->size(), 2U);
  EXPECT_EQ((*commands)[0].info->name, "add-br");
  EXPECT_TRUE((*commands)[0].has("--may-exist"));
  EXPECT_EQ((*commands)[0].args, (Words{"br0"}));
  EXPECT_EQ((*commands)[1].options.find("--id")->second, "@q");
  EXPECT_EQ((*commands)[1].args, (Words{"QoS", "type=x"}));
}

TEST(Commands, ErrorsNameTheCommand) {
  const std::pair<Words, const char*> cases[] = {
      {{}, "no command is given"},
      {{"--"}, "no command is given"},
      {{"fly"}, "no command \"fly\""},
      {{"add-br"}, "too few arguments; usage: add-br BRIDGE"},
      {{"list-br", "x"}, "too many arguments"},
      {{"--may-exist"}, "without a command"},
      {{"--may-exist", "del-br", "b"}, "del-br has no option --may-exist; it has --if-exists"},
      {{"--id", "create", "QoS"}, "no command \"QoS\""},  // getopt_long(3): its value is "create"
      {{"--id"}, "without a command"},
      {{"--if-exists=1", "del-br", "b"}, "takes no value"},
      {{"del-br", "--if-exists", "b"}, "options stand before the command: --if-exists del-br"},
  };
  for (const auto& [words, says] : cases) {
    const auto commands = split_commands(words);
    ASSERT_FALSE(commands.has_value()) << says;
    EXPECT_NE(commands.error().text.find(says), std::string::npos) << commands.error().text;
  }
}

TEST(Help, HasEveryCommandAndItsOptions) {
  const auto text = help_text();
  for (const auto* info : all_commands()) {
    EXPECT_NE(text.find(info->name), std::string::npos) << info->name;
    EXPECT_EQ(find_command(info->name), info) << info->name;
  }
  for (const auto& option : command_options()) EXPECT_NE(text.find(option), std::string::npos) << option;
  EXPECT_NE(text.find("--timeout"), std::string::npos);
}

}  // namespace
}  // namespace heddle::cli
