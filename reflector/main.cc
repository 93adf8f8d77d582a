// SPDX-License-Identifier: Apache-2.0
// reflectord: serves database "Overlay" (overlay/overlay.ovsschema), in which VTEPs tell each other who is in which
// network and where each station is. It computes nothing: it is an OVSDB server with that schema.
#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/program_options.hpp>
#include <csignal>
#include <filesystem>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "base/limits.h"
#include "base/log.h"
#include "base/log_control.h"
#include "base/result.h"
#include "overlay/schema.h"
#include "ovsdb/database.h"
#include "ovsdb/remotes.h"
#include "ovsdb/server.h"
#include "ovsdb/tls.h"
#include "reflector/own_rows.h"

namespace heddle::reflector {
namespace {

namespace asio = boost::asio;
namespace po = boost::program_options;

struct Options {
  std::string db = "/var/lib/reflectord/overlay.db";
  std::vector<std::string> remotes;
  ovsdb::TlsFiles tls;
  std::string log_file;
  std::string log_level = "info";
  bool help = false;
  bool version = false;
};

po::options_description describe(Options& o) {
  po::options_description d("Options", 110, 60);
  auto add = d.add_options();
  add("db", po::value(&o.db)->value_name("FILE")->default_value(o.db),
      "the database (SQLite); created when it is not there. none: in memory");
  add("remote", po::value(&o.remotes)->value_name("WHERE")->composing(),
      "serve there: ptcp:PORT[:IP], pssl:PORT[:IP] or punix:FILE; more than once (default: ptcp:6640)");
  add("private-key", po::value(&o.tls.private_key)->value_name("FILE"), "PEM file with the key for TLS");
  add("certificate", po::value(&o.tls.certificate)->value_name("FILE"), "PEM file with its certificate");
  add("ca-cert", po::value(&o.tls.ca_cert)->value_name("FILE"),
      "PEM file with the authority that signs the VTEPs' certificates; none: do not verify them");
  add("log-file", po::value(&o.log_file)->value_name("FILE"), "append the log here (default: stderr)");
  add("log-level", po::value(&o.log_level)->value_name("LEVEL")->default_value(o.log_level),
      "trace, debug, info, warn, error or off");
  add("help,h", po::bool_switch(&o.help), "this text");
  add("version,V", po::bool_switch(&o.version), "name and version");
  return d;
}

std::string help_text() {
  Options defaults;
  std::ostringstream out;
  out << "reflectord - the reflector of Heddle's overlay\n"
         "\n"
         "Usage: reflectord [OPTION]...\n"
         "\n"
         "Every VTEP tells the reflector which networks it has and which stations are behind it, and learns from it\n"
         "the same of the others, of its own networks alone. Known stations need no flooding, and a station that\n"
         "moves is found at its new VTEP at once. What is known is kept in a database that outlives a restart.\n"
         "\n"
         "The reflector is an OVSDB server (RFC 7047) with schema overlay.ovsschema. For more than one machine the\n"
         "same schema is served by ovsdb-server of Open vSwitch, as a cluster of three or with relays.\n"
         "\n"
      << describe(defaults)
      << "\n"
         "Signals: SIGTERM and SIGINT end it; SIGHUP opens the log file again, after it was renamed.\n"
         "\n"
         "Exit status: 0 after an orderly end, 1 when it could not start (the reason is on stderr).\n"
         "\n"
         "Example: on the reflector, then on every host\n"
         "  reflectord --remote=ptcp:6640\n"
         "  vsctl set-reflector tcp:192.0.2.100\n"
         "  vsctl add-port br0 vx10 tag=10 -- set Interface vx10 type=vxlan options:key=10 options:remote_ip=flow \\\n"
         "      options:control=reflector\n"
         "\n"
         "See also: vsctl(8), vswitchd(8)\n";
  return out.str();
}

Result<Options> parse(int argc, const char* const argv[]) {
  Options o;
  const auto description = describe(o);
  try {
    po::variables_map vars;
    const int style = po::command_line_style::default_style & ~po::command_line_style::allow_guessing;
    const po::positional_options_description none;
    po::store(po::command_line_parser(argc, argv).options(description).positional(none).style(style).run(), vars);
    po::notify(vars);
  } catch (const po::error& e) {
    return fail(Errc::invalid, std::string(e.what()) + "; see --help");
  }
  if (o.db == "none") o.db.clear();
  if (o.remotes.empty()) o.remotes = {"ptcp:6640"};
  return o;
}

using Remotes = std::map<std::string, std::pair<ovsdb::Target, ovsdb::RemoteOptions>>;

Result<Remotes> targets(const Options& options) {
  Remotes out;
  for (const std::string& text : options.remotes) {
    const auto target = ovsdb::Target::parse(text);
    if (!target) return fail(Errc::invalid, "--remote: " + target.error().text);
    if (!target->passive)
      return fail(Errc::invalid, "--remote: " + text + " does not listen; take ptcp:, pssl: or punix:");
    out.emplace(text, std::pair(*target, ovsdb::RemoteOptions{.clients = limits::kReflectorClients}));
  }
  return out;
}

// A connection is a descriptor.
void raise_descriptors() {
  rlimit most{};
  if (::getrlimit(RLIMIT_NOFILE, &most) != 0) return;
  most.rlim_cur = most.rlim_max;
  if (::setrlimit(RLIMIT_NOFILE, &most) != 0 || most.rlim_max < limits::kReflectorClients)
    spdlog::debug("{} descriptors at most, and so many VTEPs", most.rlim_max);
}

Result<> serve(const Options& options) {
  const auto remotes = targets(options);
  if (!remotes) return std::unexpected(remotes.error());
  if (auto r = log_setup(options.log_file, options.log_level); !r) return r;
  raise_descriptors();
  std::error_code ignored;
  const auto directory = std::filesystem::path(options.db).parent_path();
  if (!directory.empty()) std::filesystem::create_directories(directory, ignored);
  const auto db = ovsdb::Database::open(overlay::reflector_schema(), options.db);
  if (!db) return std::unexpected(db.error());
  asio::io_context io(1);
  asio::signal_set signals(io, SIGTERM, SIGINT, SIGHUP);
  std::function<void()> wait = [&] {
    signals.async_wait([&](const boost::system::error_code& error, int number) {
      if (error) return;
      if (number != SIGHUP) {
        spdlog::info("ending on signal {}", number);
        return io.stop();
      }
      if (auto r = log_reopen(); !r) spdlog::error("{}; the log goes on in the former file", r.error().text);
      wait();
    });
  };
  wait();
  const OwnRows own_rows(**db, &Clock::now);
  ovsdb::OvsdbServer server(io, **db, [&own_rows](const auto& session) { return own_rows.permit_of(session); });
  const auto tls = ovsdb::Tls::make();
  tls->use(options.tls);
  ovsdb::RpcRemotes all(io, server, tls);
  all.set(*remotes);
  for (const auto& [name, status] : all.statuses())
    if (!status.last_error.empty()) return fail(Errc::system, name + ": " + status.last_error);
  spdlog::info("reflectord " HEDDLE_VERSION " serves on {}", fmt::join(options.remotes, ", "));
  io.run();
  return {};
}

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);
  const auto options = parse(argc, argv);
  Result<> done{};
  if (!options) {
    done = std::unexpected(options.error());
  } else if (options->help || options->version) {
    fmt::print("{}", options->help ? help_text() : std::string("reflectord (Heddle) " HEDDLE_VERSION "\n"));
  } else {
    done = serve(*options);
  }
  if (done) return 0;
  fmt::print(stderr, "reflectord: {}\n", done.error().text);
  return 1;
}

}  // namespace
}  // namespace heddle::reflector

int main(int argc, char** argv) { return heddle::reflector::main(argc, argv); }
