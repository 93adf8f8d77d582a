// SPDX-License-Identifier: Apache-2.0
#include "vswitchd/options.h"

#include <boost/program_options.hpp>
#include <filesystem>
#include <sstream>

namespace heddle::vswitchd {
namespace {

namespace po = boost::program_options;

po::options_description describe(Options& o) {
  po::options_description d("Options", 110, 60);
  auto add = d.add_options();
  add("rundir", po::value(&o.rundir)->value_name("DIR")->default_value(o.rundir),
      "where sockets, pid file and lock live; created when it is not there. Daemons with different directories run "
      "side "
      "by side");
  add("db", po::value(&o.db)->value_name("FILE")->default_value(o.db),
      "the configuration database (SQLite); created when it is not there");
  add("detach", po::bool_switch(&o.detach),
      "go to the background; the command returns when the daemon serves, or with a message and status 1 when it "
      "cannot");
  add("pidfile", po::value(&o.pidfile)->value_name("FILE")->implicit_value(""),
      "where the process id is written (default: DIR/vswitchd.pid)");
  add("log-file", po::value(&o.log_file)->value_name("FILE"),
      "append the log here (default: stderr; with --detach DIR/vswitchd.log)");
  add("log-level", po::value(&o.log_level)->value_name("LEVEL")->default_value(o.log_level),
      "trace, debug, info, warn, error or off");
  add("datapath", po::value(&o.datapath)->value_name("kernel|user"),
      "what a bridge with an empty datapath_type gets (default: kernel where the kernel allows it, else user)");
  add("bpffs", po::value(&o.bpffs)->value_name("DIR")->default_value(o.bpffs),
      "where a BPF file system is mounted. What the kernel datapath pins there goes on forwarding while no daemon "
      "runs");
  add("evpn-dir", po::value(&o.evpn_dir)->value_name("DIR"),
      "where the daemon and the service that keeps FRR for EVPN meet (default: the --rundir with -evpn behind it)");
  add("cleanup", po::bool_switch(&o.cleanup),
      "do not serve: remove what an ended daemon on this --rundir left forwarding or as devices, say what, and end");
  add("workers", po::value(&o.workers)->value_name("N")->default_value(o.workers),
      "threads that forward packets in the user-space datapath");
  add("frames", po::value(&o.frames)->value_name("N")->default_value(o.frames),
      "packet buffers of 4 kB that all ports share");
  add("schema", po::value(&o.schema)->value_name("FILE"), "database schema to use instead of the built-in one");
  add("remote", po::value(&o.remotes.remotes)->value_name("WHERE")->composing(),
      "serve the database there too: punix:FILE, ptcp:PORT[:IP], pssl:PORT[:IP], or call unix:FILE, tcp:HOST:PORT, "
      "ssl:HOST:PORT. May be given more than once; Manager rows add others");
  add("private-key", po::value(&o.remotes.tls.private_key)->value_name("FILE"),
      "PEM file with the key for TLS, unless the SSL table names one");
  add("certificate", po::value(&o.remotes.tls.certificate)->value_name("FILE"), "PEM file with its certificate");
  add("ca-cert", po::value(&o.remotes.tls.ca_cert)->value_name("FILE"),
      "PEM file with the authority that signs peers' certificates; none: do not verify them");
  add("peer-ca-cert", po::value(&o.remotes.tls.peer_ca_cert)->value_name("FILE"),
      "PEM file with certificates to send after the daemon's own, for clients that are to learn the authority's");
  add("help,h", po::bool_switch(&o.help), "this text");
  add("version,V", po::bool_switch(&o.version), "name and version");
  return d;
}

Result<> check(const Options& o) {
  if (o.rundir.empty()) return fail(Errc::invalid, "--rundir: a directory is needed");
  if (o.db.empty()) return fail(Errc::invalid, "--db: a file name is needed");
  if (o.workers < 1 || o.workers > limits::kWorkers)
    return fail(Errc::invalid, "--workers: from 1 to " + std::to_string(limits::kWorkers));
  if (o.frames < 1024 || o.frames > (1U << 24)) return fail(Errc::invalid, "--frames: from 1024 to 16777216");
  if (!o.datapath.empty() && o.datapath != "kernel" && o.datapath != "user")
    return fail(Errc::invalid, "--datapath: kernel or user, not \"" + o.datapath + "\"");
  if (o.bpffs.empty()) return fail(Errc::invalid, "--bpffs: a directory is needed");
  if (o.cleanup && o.detach) return fail(Errc::invalid, "--cleanup serves nobody: --detach has no meaning with it");
  return {};
}

}  // namespace

Result<Options> parse_options(int argc, const char* const argv[]) {
  Options o;
  const auto description = describe(o);
  try {
    po::variables_map vars;
    // An option's name is not guessed from its beginning: scripts would break when a new option comes.
    const int style = po::command_line_style::default_style & ~po::command_line_style::allow_guessing;
    const po::positional_options_description none;
    po::store(po::command_line_parser(argc, argv).options(description).positional(none).style(style).run(), vars);
    po::notify(vars);
  } catch (const po::error& e) {
    return fail(Errc::invalid, std::string(e.what()) + "; see --help");
  }
  if (o.help || o.version) return o;
  if (auto r = check(o); !r) return std::unexpected(r.error());
  // The daemon leaves the directory it was started in.
  o.rundir = std::filesystem::absolute(o.rundir).lexically_normal().string();
  while (o.rundir.size() > 1 && o.rundir.back() == '/') o.rundir.pop_back();
  o.db = std::filesystem::absolute(o.db).string();
  o.bpffs = std::filesystem::absolute(o.bpffs).lexically_normal().string();
  if (o.evpn_dir.empty()) o.evpn_dir = o.rundir + "-evpn";
  o.evpn_dir = std::filesystem::absolute(o.evpn_dir).lexically_normal().string();
  if (o.pidfile.empty()) o.pidfile = o.rundir + "/vswitchd.pid";
  o.pidfile = std::filesystem::absolute(o.pidfile).string();
  if (o.log_file.empty() && o.detach) o.log_file = o.rundir + "/vswitchd.log";
  for (std::string* file :
       {&o.remotes.tls.private_key, &o.remotes.tls.certificate, &o.remotes.tls.ca_cert, &o.remotes.tls.peer_ca_cert})
    if (!file->empty() && *file != "none") *file = std::filesystem::absolute(*file).string();
  if (!o.log_file.empty()) o.log_file = std::filesystem::absolute(o.log_file).string();
  return o;
}

std::string help_text() {
  Options defaults;
  std::ostringstream out;
  out << "vswitchd - the Heddle virtual switch\n"
         "\n"
         "Usage: vswitchd [OPTION]...\n"
         "\n"
         "Switches frames between the virtual machines and containers of this host, and through VXLAN between hosts.\n"
         "What it does is described in a database that it serves on a unix socket (RFC 7047, with the tables and "
         "columns\n"
         "of Open vSwitch); `vsctl` edits that database and asks the daemon what it sees. The daemon brings bridges "
         "and\n"
         "ports to what the database says at start and after every change. A setting that cannot be had is reported "
         "in\n"
         "the `error` column of its Interface row; everything else goes on.\n"
         "\n"
      << describe(defaults)
      << "\n"
         "Files in the run directory:\n"
         "  db.sock               the database (JSON-RPC 1.0, RFC 7047)\n"
         "  vswitchd.PID.ctl      commands to the daemon (JSON-RPC 1.0): fdb-show, drops, port-stats, exit, ...\n"
         "  vswitchd.pid          its process id\n"
         "  vswitchd.lock         held while it runs: one daemon for one run directory\n"
         "\n"
         "Signals: SIGTERM and SIGINT end it and remove sockets and pid file. Internal ports stay as devices, so that\n"
         "their addresses survive a restart, and the kernel datapath goes on forwarding. `vsctl exit --cleanup` ends\n"
         "the daemon and removes both; for one that has ended already, `vswitchd --cleanup` does. SIGHUP opens the "
         "log\n"
         "file again, after it was renamed.\n"
         "\n"
         "It starts as root and keeps the capabilities NET_ADMIN, NET_RAW, BPF, PERFMON, SYS_ADMIN and IPC_LOCK only.\n"
         "\n"
         "Exit status: 0 after an orderly end, 1 when it could not start (the reason is on stderr).\n"
         "\n"
         "Example: two guests on one switch\n"
         "  vswitchd --detach\n"
         "  vsctl add-br br0\n"
         "  vsctl add-port br0 vm1\n"
         "  vsctl add-port br0 vm2 tag=20\n"
         "\n"
         "See also: vsctl --help\n";
  return out.str();
}

}  // namespace heddle::vswitchd
