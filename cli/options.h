// vsctl's global options, and the way from argv to them and to the commands' own words. Pure functions but for the
// environment variable VSWITCH_RUNDIR.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "ovsdb/client.h"

namespace heddle::cli {

enum class Format { list, table, csv, json };
enum class DataStyle { string, bare, json };

struct Options {
  std::string rundir = "/run/vswitch";
  std::string db;        // "unix:PATH"; empty: db.sock in rundir
  unsigned timeout = 0;  // seconds; 0 = none
  bool no_wait = false;
  bool dry_run = false;
  bool oneline = false;
  bool verbose = false;
  bool help = false;
  bool version = false;
  Format format = Format::list;
  DataStyle data = DataStyle::string;
  bool headings = true;

  [[nodiscard]] std::string db_path() const;  // without "unix:"
};

struct CommandLine {
  Options options;
  std::vector<std::string> commands;  // what follows the global options: commands with "--" between them
};

// `args` without the program's name. Global options end at the first word that is not an option, or at "--"; options
// of the first command may stand among them. `rundir` is the value of VSWITCH_RUNDIR, or empty.
Result<CommandLine> parse_command_line(const std::vector<std::string>& args, const std::string& rundir);

// The global options' part of the help text.
std::string options_help();

}  // namespace heddle::cli
