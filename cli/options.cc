#include "cli/options.h"

#include <fmt/format.h>

#include <boost/program_options.hpp>
#include <map>
#include <sstream>

namespace heddle::cli {
namespace {

namespace po = boost::program_options;

po::options_description describe() {
  po::options_description d("Options", 110, 80);
  auto add = d.add_options();
  add("rundir", po::value<std::string>()->value_name("DIR"),
      "where vswitchd keeps its sockets; default $VSWITCH_RUNDIR, else /run/vswitch");
  add("db", po::value<std::string>()->value_name("SERVER"),
      "the database's socket as unix:PATH; default unix:RUNDIR/db.sock");
  add("timeout,t", po::value<unsigned>()->value_name("SECS"), "give up after SECS seconds; 0, the default: never");
  add("no-wait", "do not wait until the switch has applied the change");
  add("dry-run", "have the database check the change, but do not make it");
  add("oneline", "print the output of each command on one line, newlines as \\n");
  add("format,f", po::value<std::string>()->value_name("FORMAT"), "of list and find: list (default), table, csv, json");
  add("data,d", po::value<std::string>()->value_name("STYLE"), "of values in them: string (default), bare, json");
  add("no-headings", "leave out the column names");
  add("verbose,v", po::value<std::string>()->implicit_value("")->value_name(""),
      "show on stderr what is sent to the database");
  add("help,h", "this text");
  add("version,V", "vsctl's version");
  return d;
}

template <typename T>
Result<T> one_of(const std::string& option, const std::string& word, const std::map<std::string, T>& words) {
  if (const auto it = words.find(word); it != words.end()) return it->second;
  std::string list;
  for (const auto& [name, value] : words) list += (list.empty() ? "" : ", ") + name;
  return fail(Errc::invalid, fmt::format("--{}={}: it takes one of: {}", option, word, list));
}

// Whether `arg` is one of ours rather than the first command's ("--may-exist"), and whether its value is the next word.
struct Recognised {
  bool global = false;
  bool takes_next = false;
};
Recognised recognise(const po::options_description& d, const std::string& arg) {
  const bool is_long = arg.starts_with("--");
  const auto equals = arg.find('=');
  const auto name = is_long ? arg.substr(2, equals == std::string::npos ? equals : equals - 2) : arg.substr(0, 2);
  const auto* option = d.find_nothrow(name, false);
  if (option == nullptr) return {.global = !is_long};  // an unknown short option is the parser's to refuse
  const bool needs_value = option->semantic()->min_tokens() > 0;
  const bool has_value = is_long ? equals != std::string::npos : arg.size() > 2;
  return {.global = true, .takes_next = needs_value && !has_value};
}

Result<> fill(const po::variables_map& given, Options& o) {
  const auto text = [&](const char* name) { return given[name].as<std::string>(); };
  if (given.contains("rundir")) o.rundir = text("rundir");
  if (given.contains("db")) o.db = text("db");
  if (!o.db.empty() && !o.db.starts_with("unix:")) {
    return fail(Errc::unsupported, fmt::format("--db={}: only unix:PATH is supported", o.db));
  }
  if (given.contains("timeout")) o.timeout = given["timeout"].as<unsigned>();
  o.no_wait = given.contains("no-wait");
  o.dry_run = given.contains("dry-run");
  o.oneline = given.contains("oneline");
  // "-vmodule:destination:level" is how Open vSwitch's tools are told to be quiet; scripts pass it, and it is no wish
  // for more output.
  o.verbose = given.contains("verbose") && text("verbose").find(':') == std::string::npos;
  o.help = given.contains("help");
  o.version = given.contains("version");
  o.headings = !given.contains("no-headings");
  if (given.contains("format")) {
    auto format = one_of<Format>(
        "format", text("format"),
        {{"list", Format::list}, {"table", Format::table}, {"csv", Format::csv}, {"json", Format::json}});
    if (!format) return std::unexpected(format.error());
    o.format = *format;
  }
  if (given.contains("data")) {
    auto data = one_of<DataStyle>(
        "data", text("data"), {{"string", DataStyle::string}, {"bare", DataStyle::bare}, {"json", DataStyle::json}});
    if (!data) return std::unexpected(data.error());
    o.data = *data;
  }
  return {};
}

}  // namespace

std::string Options::db_path() const {
  return db.empty() ? rundir + "/db.sock" : db.substr(std::string("unix:").size());
}

Result<CommandLine> parse_command_line(const std::vector<std::string>& args, const std::string& rundir) {
  const auto description = describe();
  CommandLine out;
  std::vector<std::string> global;
  std::size_t i = 0;
  for (; i < args.size() && args[i].size() > 1 && args[i].front() == '-' && args[i] != "--"; ++i) {
    const auto what = recognise(description, args[i]);
    auto& list = what.global ? global : out.commands;
    list.push_back(args[i]);
    if (what.takes_next && i + 1 < args.size()) list.push_back(args[++i]);
  }
  out.commands.insert(out.commands.end(), args.begin() + static_cast<std::ptrdiff_t>(i), args.end());

  if (!rundir.empty()) out.options.rundir = rundir;
  try {
    namespace style = po::command_line_style;
    po::variables_map given;
    po::store(
        po::command_line_parser(global).options(description).style(style::unix_style & ~style::allow_guessing).run(),
        given);
    po::notify(given);
    if (auto ok = fill(given, out.options); !ok) return std::unexpected(ok.error());
  } catch (const po::error& e) {
    return fail(Errc::invalid, std::string(e.what()) + "; see vsctl --help");
  }
  return out;
}

std::string options_help() {
  std::ostringstream text;
  text << describe();
  return text.str();
}

}  // namespace heddle::cli
