// Builds the parts of the daemon, hands them to one another, and runs them.
#include <fmt/format.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "base/clock.h"
#include "base/log.h"
#include "datapath/user/user_datapath.h"
#include "netlink/netlink.h"
#include "ofproto-lite/handler.h"
#include "ofproto-lite/switch.h"
#include "ovsdb/database.h"
#include "ovsdb/rpc_server.h"
#include "ovsdb/server.h"
#include "vswitchd/control.h"
#include "vswitchd/daemon.h"
#include "vswitchd/options.h"
#include "vswitchd/reconcile.h"
#include "vswitchd/remotes.h"
#include "vswitchd/schema.h"

namespace heddle::vswitchd {
namespace {

namespace asio = boost::asio;

Result<std::string> read_schema(const std::string& file) {
  if (file.empty()) return std::string(builtin_schema());
  std::ifstream in(file);
  if (!in) return fail_errno(errno, "--schema " + file);
  return std::string(std::istreambuf_iterator<char>(in), {});
}

DeviceSetter device_setter(netlink::Netlink& netlink) {
  return [&netlink](int ifindex, std::optional<MacAddr> mac, std::optional<unsigned> mtu) -> Result<> {
    if (mac)
      if (auto r = netlink.set_mac(ifindex, *mac); !r) return r;
    if (mtu)
      if (auto r = netlink.set_mtu(ifindex, *mtu); !r) return r;
    return {};
  };
}

// The io_context's standing orders: reconcile when asked, take note of devices, refresh counters, end on a signal.
class Loop {
 public:
  Loop(asio::io_context& io, Reconciler& reconciler, dp::Datapath& datapath)
      : io_(io),
        reconciler_(reconciler),
        datapath_(datapath),
        signals_(io, SIGTERM, SIGINT),
        timer_(io),
        devices_(io, datapath.control_fd()) {}
  ~Loop() { devices_.release(); }  // the datapath owns the descriptor
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  void start() {
    signals_.async_wait([this](const boost::system::error_code& error, int number) {
      if (error) return;
      spdlog::info("ending on signal {}", number);
      io_.stop();
    });
    reconciler_.watch([this] {
      if (!std::exchange(wanted_, true)) asio::post(io_, [this] { reconcile(); });
    });
    wait_for_devices();
    wait_for_statistics();
  }

 private:
  void reconcile() {
    wanted_ = false;
    reconciler_.run();
  }
  void wait_for_devices() {
    devices_.async_wait(asio::posix::stream_descriptor::wait_read, [this](const boost::system::error_code& error) {
      if (error) return;
      reconciler_.run_control("user", datapath_);
      wait_for_devices();
    });
  }
  void wait_for_statistics() {
    timer_.expires_after(reconciler_.statistics_interval());
    timer_.async_wait([this](const boost::system::error_code& error) {
      if (error) return;
      reconciler_.refresh_statistics();
      wait_for_statistics();
    });
  }

  asio::io_context& io_;
  Reconciler& reconciler_;
  dp::Datapath& datapath_;
  asio::signal_set signals_;
  asio::steady_timer timer_;
  asio::posix::stream_descriptor devices_;
  bool wanted_ = false;
};

Result<> serve(const Options& options, Starter& starter) {
  if (auto r = make_directory(options.rundir, 0755); !r) return r;
  if (auto r = make_directory(std::filesystem::path(options.db).parent_path(), 0700); !r) return r;
  const auto lock = RunLock::take(options.rundir, std::chrono::seconds(5));
  if (!lock) return std::unexpected(lock.error());
  if (auto r = log_setup(options.log_file, options.log_level); !r) return r;
  remove_stale_sockets(*lock, options.rundir);
  raise_limits();
  if (auto r = drop_privileges(); !r) return r;

  const auto schema = read_schema(options.schema);
  if (!schema) return std::unexpected(schema.error());
  const auto db = ovsdb::Database::open(*schema, options.db);
  if (!db) return std::unexpected(db.error());
  const auto netlink = netlink::Netlink::open();
  if (!netlink) return std::unexpected(netlink.error());
  const SteadyTime time;
  const auto datapath = dp::make_user_datapath({options.workers, options.frames, &time});
  if (!datapath) return std::unexpected(datapath.error());
  ofproto::Handler handler(**datapath, time);
  ofproto::Switch user_switch(**datapath, handler);
  if (auto r = handler.start(); !r) return r;
  const std::map<std::string, ofproto::Switch*> switches{{"user", &user_switch}};
  Reconciler reconciler(**db, switches, device_setter(**netlink));

  asio::io_context io(1);
  ovsdb::OvsdbServer database_server(io, **db);
  const auto database_socket = ovsdb::JsonRpcServer::listen(io, options.rundir + "/db.sock", database_server);
  if (!database_socket) return std::unexpected(database_socket.error());
  const auto remotes = ManagerRemotes::start(io, **db, database_server, options.remotes);
  if (!remotes) return std::unexpected(remotes.error());
  Control control(switches, [&io] { asio::post(io, [&io] { io.stop(); }); });
  ovsdb::RpcMethods commands;
  control.add_to(commands);
  const auto control_socket =
      ovsdb::JsonRpcServer::listen(io, fmt::format("{}/vswitchd.{}.ctl", options.rundir, getpid()), commands);
  if (!control_socket) return std::unexpected(control_socket.error());

  Loop loop(io, reconciler, **datapath);
  reconciler.run();
  loop.start();
  const auto pidfile = PidFile::write(options.pidfile);
  if (!pidfile) return std::unexpected(pidfile.error());
  spdlog::info("vswitchd {} serves on {}", HEDDLE_VERSION, options.rundir);
  starter.serving();
  io.run();
  spdlog::info("vswitchd ends");
  return {};
}

int run(const Options& options, Starter& starter) {
  const auto r = serve(options, starter);
  if (r) return 0;
  starter.failed(r.error().text);
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
  std::signal(SIGPIPE, SIG_IGN);
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
