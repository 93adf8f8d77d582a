// SPDX-License-Identifier: Apache-2.0
// vsctl's global options, and the parser of argv that separates them from the commands. Pure functions; errors are
// messages for the user.
//
// A long option, global or a command's, may be shortened to an unambiguous beginning (getopt_long(3)).
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "ovsdb/client.h"

namespace heddle::cli {

enum class Format { list, table, html, csv, json };
enum class DataStyle { string, bare, json };

// class-size: a record of the options, with the one that follows from two others
struct Options {
  std::string rundir = "/run/vswitch";
  std::string db;  // servers with commas between them; empty: db.sock in rundir
  ovsdb::TlsFiles tls;
  unsigned timeout = 0;  // seconds; 0 = none
  bool no_wait = false;
  bool dry_run = false;
  bool retry = false;
  bool oneline = false;
  bool verbose = false;
  bool help = false;
  bool version = false;
  Format format = Format::list;
  DataStyle data = DataStyle::string;
  bool headings = true;
  bool pretty = false;
  std::size_t max_column_width = 0;  // characters; 0 = no limit

  // "unix:PATH", "tcp:HOST:PORT" or "ssl:HOST:PORT", to be tried in this order.
  [[nodiscard]] std::vector<std::string> servers() const;
};

struct CommandLine {
  Options options;
  std::vector<std::string> commands;  // words after the global options: commands with "--" between them
  std::vector<std::string> notes;     // messages about options without effect, for --verbose
};

// `args`: without the program's name. Global options end at the first word that is not an option, or at "--"; options
// of the first command may be mixed with them. `rundir`: the value of VSWITCH_RUNDIR, or empty.
Result<CommandLine> parse_command_line(const std::vector<std::string>& args, const std::string& rundir);

// The global options' part of the help text.
std::string options_help();

}  // namespace heddle::cli
