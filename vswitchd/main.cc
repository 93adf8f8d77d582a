// SPDX-License-Identifier: Apache-2.0
// Reads the command line and runs what it asks for.
#include <fmt/format.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "base/log.h"
#include "datapath/bpf_log.h"
#include "ovsdb/database.h"
#include "vswitchd/cleanup.h"
#include "vswitchd/daemon.h"
#include "vswitchd/options.h"
#include "vswitchd/schema.h"
#include "vswitchd/service.h"

namespace heddle::vswitchd {
namespace {

Result<std::string> read_schema(const std::string& file) {
  if (file.empty()) return std::string(builtin_schema());
  std::ifstream in(file);
  if (!in) return fail_errno(errno, "--schema " + file);
  return std::string(std::istreambuf_iterator<char>(in), {});
}

Result<> serve(const Options& options, Starter& starter) {
  auto sockets = KeptSockets::take();
  if (auto r = make_directory(options.rundir, 0755); !r) return r;
  if (auto r = make_directory(std::filesystem::path(options.db).parent_path(), 0700); !r) return r;
  const auto lock = RunLock::take(options.rundir, std::chrono::seconds(5));
  if (!lock) return std::unexpected(lock.error());
  if (auto r = log_setup(options.log_file, options.log_level); !r) return r;
  dp::log_libbpf();
  remove_stale_sockets(*lock, options.rundir);
  raise_limits();
  if (auto r = drop_privileges(); !r) return r;

  const auto schema = read_schema(options.schema);
  if (!schema) return std::unexpected(schema.error());
  const auto db = ovsdb::Database::open(*schema, options.db);
  if (!db) return std::unexpected(db.error());
  Service service(options, **db, starter, sockets);
  return service.run();
}

int run(const Options& options, Starter& starter) {
  const auto r = serve(options, starter);
  if (r) return 0;
  starter.failed(r.error().text);
  return 1;
}

int clean_up(const Options& options) {
  Result<std::string> done = std::string{};
  if (auto r = log_setup(options.log_file, options.log_level); !r) done = std::unexpected(r.error());
  if (done) done = remove_left_overs(options);
  if (done) {
    fmt::print("{}", *done);
    return 0;
  }
  fmt::print(stderr, "vswitchd: {}\n", done.error().text);
  return 1;
}

int main(int argc, char** argv) {
  const auto options = parse_options(argc, argv);
  if (!options) {
    fmt::print(stderr, "vswitchd: {}\n", options.error().text);
    return 1;
  }
  if (options->help || options->version) {
    fmt::print("{}", options->help ? help_text() : std::string("vswitchd (Heddle) " HEDDLE_VERSION "\n"));
    return 0;
  }
  if (options->cleanup) return clean_up(*options);
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGHUP, SIG_IGN);   // until the service waits for it
  std::signal(SIGXFSZ, SIG_IGN);  // a file size limit is an error like a full disk
  if (!options->detach) {
    Starter starter;
    return run(*options, starter);
  }
  const auto status = detach([&](Starter& starter) { return run(*options, starter); });
  if (status) return *status;
  fmt::print(stderr, "vswitchd: {}\n", status.error().text);
  return 1;
}

}  // namespace
}  // namespace heddle::vswitchd

int main(int argc, char** argv) { return heddle::vswitchd::main(argc, argv); }
