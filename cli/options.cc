// SPDX-License-Identifier: Apache-2.0
#include "cli/options.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/program_options.hpp>
#include <map>
#include <set>
#include <sstream>

#include "cli/commands.h"

namespace heddle::cli {
namespace {

namespace po = boost::program_options;

// Options that are accepted for scripts written for ovs-vsctl, but have no effect: vsctl writes no log, and uses the
// TLS versions (1.2 and later) and ciphers of OpenSSL's configuration.
struct Ignored {
  const char* name;       // in the form of program_options
  const char* value;      // name of its value; null: no value
  bool optional = false;  // the value may be left out
};
constexpr std::array kIgnored{Ignored{"no-syslog", nullptr},      Ignored{"log-file", "FILE", true},
                              Ignored{"log-level", "LEVEL"},      Ignored{"syslog-target", "HOST:PORT"},
                              Ignored{"syslog-method", "METHOD"}, Ignored{"ssl-protocols", "LIST"},
                              Ignored{"ssl-ciphers", "LIST"}};

po::options_description describe() {
  po::options_description d("Options", 110, 80);
  const auto text = [](const char* name) { return po::value<std::string>()->value_name(name); };
  auto add = d.add_options();
  add("rundir", text("DIR"), "where vswitchd keeps its sockets; default $VSWITCH_RUNDIR, else /run/vswitch");
  add("db", text("SERVER"),
      "the database as unix:PATH, tcp:HOST:PORT or ssl:HOST:PORT, or several of them with commas, of which the "
      "first that answers is taken; default unix:RUNDIR/db.sock");
  add("private-key,p", text("FILE"), "for ssl: PEM file with vsctl's private key");
  add("certificate,c", text("FILE"), "for ssl: PEM file with its certificate");
  add("ca-cert,C", text("FILE"),
      "for ssl: PEM file with the authority that has to have signed the server's; none: any");
  add("bootstrap-ca-cert", text("FILE"), "the same; while FILE is not there, take it from the first server's chain");
  add("peer-ca-cert", text("FILE"), "for ssl: PEM file with certificates to send after vsctl's own");
  add("timeout,t", text("SECS"), "give up after SECS seconds; 0, the default: never");
  add("retry", "while nobody listens at SERVER, try again, for ever or until --timeout");
  add("no-wait", "do not wait until the switch has applied the change");
  add("dry-run", "have the database check the change, but do not make it");
  add("oneline", "print the output of each command on one line, newlines as \\n (not that of list and find)");
  add("format,f", text("FORMAT"), "of list and find: list (default), table, html, csv, json");
  add("data,d", text("STYLE"), "of values in them: string (default), bare, json");
  add("no-headings", "leave out the column names");
  add("pretty", "with --format=json: one element a line, indented");
  add("bare", "the same as --format=list --data=bare --no-headings");
  add("max-column-width", text("N"), "with --format=table: cut values to N characters (never below the heading)");
  add("verbose,v", po::value<std::string>()->implicit_value("")->value_name(""),
      "show on stderr what is sent to the database");
  add("help,h", "this text");
  add("version,V", "vsctl's version");
  return d;
}

po::options_description describe_ignored() {
  po::options_description d("Options for other programs' sake: understood, without effect", 110, 80);
  for (const auto& option : kIgnored) {
    if (option.value == nullptr) {
      d.add_options()(option.name, "");
      continue;
    }
    auto* value = po::value<std::string>()->value_name(option.value);
    if (option.optional) value->implicit_value("");
    d.add_options()(option.name, value, "");
  }
  return d;
}

template <typename T>
Result<T> one_of(const std::string& option, const std::string& word, const std::map<std::string, T>& words) {
  if (const auto it = words.find(word); it != words.end()) return it->second;
  std::string list;
  for (const auto& [name, value] : words) list += (list.empty() ? "" : ", ") + name;
  return fail(Errc::invalid, fmt::format("--{}={}: it takes one of: {}", option, word, list));
}

Result<std::size_t> number_of(const std::string& option, const std::string& word) {
  constexpr std::size_t most_digits = 9;
  const bool digits = !word.empty() && word.find_first_not_of("0123456789") == std::string::npos;
  if (digits && word.size() <= most_digits) return std::stoul(word);
  return fail(Errc::invalid, fmt::format("--{}={}: it takes a whole number", option, word));
}

// The names of all long options, vsctl's and the commands', with "--".
std::set<std::string> long_names(const po::options_description& d) {
  auto names = command_options();
  for (const auto& option : d.options()) names.insert("--" + option->long_name());
  return names;
}

// Completes an unambiguous beginning of a long option; unknown words stay unchanged and are refused later.
Result<std::string> spelt_out(const std::set<std::string>& names, const std::string& arg) {
  if (!arg.starts_with("--")) return arg;
  const auto equals = arg.find('=');
  const auto word = arg.substr(0, equals);
  if (names.contains(word)) return arg;
  std::vector<std::string> begun;
  std::ranges::copy_if(names, std::back_inserter(begun), [&](const auto& name) { return name.starts_with(word); });
  if (begun.empty()) return arg;
  if (begun.size() > 1) {
    return fail(Errc::invalid, fmt::format("{} may be more than one option: {}", word, fmt::join(begun, ", ")));
  }
  return begun.front() + (equals == std::string::npos ? "" : arg.substr(equals));
}

struct Recognised {
  bool global = false;      // a global option; false: an option of the first command ("--may-exist")
  bool takes_next = false;  // the next word is its value
};
Recognised recognise(const po::options_description& d, const std::string& arg) {
  const bool is_long = arg.starts_with("--");
  const auto equals = arg.find('=');
  const auto name = is_long ? arg.substr(2, equals == std::string::npos ? equals : equals - 2) : arg.substr(0, 2);
  const auto* option = d.find_nothrow(name, false);
  if (option == nullptr)  // the parser refuses an unknown short option
    return {.global = !is_long, .takes_next = is_long && takes_next_word(arg)};
  const bool needs_value = option->semantic()->min_tokens() > 0;
  const bool has_value = is_long ? equals != std::string::npos : arg.size() > 2;
  return {.global = true, .takes_next = needs_value && !has_value};
}

bool is_server(std::string_view text) {
  return text.starts_with("unix:") || text.starts_with("tcp:") || text.starts_with("ssl:");
}

Result<> check_server(const std::string& db) {
  if (db.empty() || is_server(db)) return {};
  return fail(Errc::unsupported,
              fmt::format("--db={}: it takes unix:PATH, tcp:HOST:PORT or ssl:HOST:PORT, or several with commas", db));
}

Result<> fill_output(const po::variables_map& given, Options& o) {
  if (given.contains("bare")) {
    o.data = DataStyle::bare;
    o.headings = false;
  }
  if (given.contains("no-headings")) o.headings = false;
  o.oneline = given.contains("oneline");
  o.pretty = given.contains("pretty");
  if (given.contains("format")) {
    auto format = one_of<Format>("format", given["format"].as<std::string>(),
                                 {{"list", Format::list},
                                  {"table", Format::table},
                                  {"html", Format::html},
                                  {"csv", Format::csv},
                                  {"json", Format::json}});
    if (!format) return std::unexpected(format.error());
    o.format = *format;
  }
  if (given.contains("data")) {
    auto data =
        one_of<DataStyle>("data", given["data"].as<std::string>(),
                          {{"string", DataStyle::string}, {"bare", DataStyle::bare}, {"json", DataStyle::json}});
    if (!data) return std::unexpected(data.error());
    o.data = *data;
  }
  if (given.contains("max-column-width")) {
    auto width = number_of("max-column-width", given["max-column-width"].as<std::string>());
    if (!width) return std::unexpected(width.error());
    o.max_column_width = *width;
  }
  return {};
}

Result<> fill(const po::variables_map& given, Options& o) {
  const auto text = [&](const char* name) { return given[name].as<std::string>(); };
  if (given.contains("rundir")) o.rundir = text("rundir");
  if (given.contains("db")) o.db = text("db");
  if (auto ok = check_server(o.db); !ok) return ok;
  if (given.contains("private-key")) o.tls.private_key = text("private-key");
  if (given.contains("certificate")) o.tls.certificate = text("certificate");
  if (given.contains("ca-cert")) o.tls.ca_cert = text("ca-cert");
  if (given.contains("peer-ca-cert")) o.tls.peer_ca_cert = text("peer-ca-cert");
  o.tls.bootstrap = given.contains("bootstrap-ca-cert");
  if (o.tls.bootstrap) o.tls.ca_cert = text("bootstrap-ca-cert");
  if (given.contains("timeout")) {
    auto seconds = number_of("timeout", text("timeout"));
    if (!seconds) return std::unexpected(seconds.error());
    o.timeout = static_cast<unsigned>(*seconds);
  }
  o.no_wait = given.contains("no-wait");
  o.dry_run = given.contains("dry-run");
  o.retry = given.contains("retry");
  // Scripts use "-vmodule:destination:level" to set the log levels of Open vSwitch's tools, mostly to silence them;
  // this form is not --verbose.
  o.verbose = given.contains("verbose") && text("verbose").find(':') == std::string::npos;
  o.help = given.contains("help");
  o.version = given.contains("version");
  return fill_output(given, o);
}

}  // namespace

// A path may have commas, too.
std::vector<std::string> Options::servers() const {
  if (db.empty()) return {"unix:" + rundir + "/db.sock"};
  std::vector<std::string> out;
  std::size_t begin = 0;
  for (std::size_t comma = db.find(','); comma != std::string::npos; comma = db.find(',', comma + 1)) {
    if (!is_server(std::string_view(db).substr(comma + 1))) continue;
    out.push_back(db.substr(begin, comma - begin));
    begin = comma + 1;
  }
  out.push_back(db.substr(begin));
  return out;
}

Result<CommandLine> parse_command_line(const std::vector<std::string>& args, const std::string& rundir) {
  auto description = describe();
  description.add(describe_ignored());
  const auto names = long_names(description);
  CommandLine out;
  std::vector<std::string> global;
  std::size_t i = 0;
  for (; i < args.size() && args[i].size() > 1 && args[i].front() == '-' && args[i] != "--"; ++i) {
    const auto word = spelt_out(names, args[i]);
    if (!word) return std::unexpected(word.error());
    const auto what = recognise(description, *word);
    auto& list = what.global ? global : out.commands;
    list.push_back(*word);
    if (what.takes_next && i + 1 < args.size()) list.push_back(args[++i]);
  }
  out.commands.insert(out.commands.end(), args.begin() + static_cast<std::ptrdiff_t>(i), args.end());

  if (!rundir.empty()) out.options.rundir = rundir;
  try {
    namespace style = po::command_line_style;
    po::variables_map given;
    // The last occurrence of an option counts.
    auto parsed =
        po::command_line_parser(global).options(description).style(style::unix_style & ~style::allow_guessing).run();
    std::set<std::string> seen;
    std::erase_if(parsed.options, [](const auto& option) { return option.string_key.empty(); });
    std::ranges::reverse(parsed.options);
    std::erase_if(parsed.options, [&](const auto& option) { return !seen.insert(option.string_key).second; });
    po::store(parsed, given);
    po::notify(given);
    if (auto ok = fill(given, out.options); !ok) return std::unexpected(ok.error());
    for (const auto& option : kIgnored) {
      const std::string name(std::string_view(option.name).substr(0, std::string_view(option.name).find(',')));
      if (given.contains(name)) out.notes.push_back(fmt::format("--{} has no effect", name));
    }
  } catch (const po::error& e) {
    return fail(Errc::invalid, std::string(e.what()) + "; see vsctl --help");
  }
  return out;
}

std::string options_help() {
  std::ostringstream text;
  text << describe() << "\n" << describe_ignored();
  return text.str();
}

}  // namespace heddle::cli
