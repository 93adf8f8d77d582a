// Builds the parts of the daemon, hands them to one another, and runs them.
#include <fmt/format.h>
#include <malloc.h>
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
#include "datapath/bpf_log.h"
#include "netlink/netlink.h"
#include "ovsdb/database.h"
#include "ovsdb/rpc_server.h"
#include "ovsdb/server.h"
#include "vswitchd/cleanup.h"
#include "vswitchd/control.h"
#include "vswitchd/daemon.h"
#include "vswitchd/datapaths.h"
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
  Loop(asio::io_context& io, Reconciler& reconciler, const std::map<std::string, dp::Datapath*>& datapaths)
      : io_(io), reconciler_(reconciler), signals_(io, SIGTERM, SIGINT), timer_(io), rest_(io) {
    for (const auto& [type, datapath] : datapaths)
      sources_.push_back({type, *datapath, asio::posix::stream_descriptor(io, datapath->control_fd())});
  }
  ~Loop() {
    for (Source& source : sources_) source.news.release();  // the datapath owns the descriptor
  }
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  void start() {
    signals_.async_wait([this](const boost::system::error_code& error, int number) {
      if (error) return;
      spdlog::info("ending on signal {}", number);
      io_.stop();
    });
    reconciler_.watch([this] { want(); });
    for (Source& source : sources_) wait_for_devices(source);
    wait_for_statistics();
  }
  // From now on nothing asks switches or datapaths.
  void end() {
    ended_ = true;
    timer_.cancel();
    rest_.cancel();
    for (Source& source : sources_) source.news.cancel();
  }

 private:
  struct Source {
    std::string type;
    dp::Datapath& datapath;
    asio::posix::stream_descriptor news;
  };

  // At once when somebody waits for it, or when it is quick. With thousands of ports it is not: then it rests for as
  // long as it took, so that a client that sends one transaction after the other has its turn.
  void want() {
    const bool at_once = took_ < std::chrono::milliseconds(10) || reconciler_.awaited();
    if (at_once && !std::exchange(posted_, true)) return asio::post(io_, [this] { reconcile(); });
    if (at_once || std::exchange(resting_, true)) return;
    rest_.expires_after(std::min<Duration>(took_, std::chrono::seconds(1)));
    rest_.async_wait([this](const boost::system::error_code& /*stopped*/) {
      if (std::exchange(resting_, false)) reconcile();
    });
  }
  void reconcile() {
    posted_ = resting_ = false;
    rest_.cancel();
    if (ended_) return;
    const TimePoint begin = Clock::now();
    reconciler_.run();
    took_ = Clock::now() - begin;
  }
  void wait_for_devices(Source& source) {
    source.news.async_wait(asio::posix::stream_descriptor::wait_read,
                           [this, &source](const boost::system::error_code& error) {
                             if (error || ended_) return;
                             reconciler_.run_control(source.type, source.datapath);
                             wait_for_devices(source);
                           });
  }
  void wait_for_statistics() {
    timer_.expires_after(reconciler_.statistics_interval());
    timer_.async_wait([this](const boost::system::error_code& error) {
      if (error || ended_) return;
      reconciler_.refresh_statistics();
      give_back_memory();
      wait_for_statistics();
    });
  }
  // What a large answer or transaction took and left: malloc keeps it.
  void give_back_memory() {
    constexpr std::size_t worth = 16U << 20;
    const std::size_t free = mallinfo2().fordblks;
    if (free > unused_ + worth) malloc_trim(0);
    unused_ = free > unused_ + worth ? mallinfo2().fordblks : std::min(unused_, free);
  }

  asio::io_context& io_;
  Reconciler& reconciler_;
  std::vector<Source> sources_;
  asio::signal_set signals_;
  asio::steady_timer timer_;
  asio::steady_timer rest_;
  Duration took_{};         // the last reconcile()
  std::size_t unused_ = 0;  // bytes of the heap that are free, by the last look
  bool posted_ = false;
  bool resting_ = false;
  bool ended_ = false;
};

Result<> serve(const Options& options, Starter& starter) {
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
  const auto netlink = netlink::Netlink::open();
  if (!netlink) return std::unexpected(netlink.error());
  const SteadyTime time;
  const auto datapaths = Datapaths::make(options, time);
  if (!datapaths) return std::unexpected(datapaths.error());
  if (auto r = (*datapaths)->start(); !r) return r;
  Reconciler reconciler(**db, (*datapaths)->switches(), device_setter(**netlink), (*datapaths)->offer());

  asio::io_context io(1);
  ovsdb::OvsdbServer database_server(io, **db);
  const auto database_socket = ovsdb::JsonRpcServer::listen(io, options.rundir + "/db.sock", database_server);
  if (!database_socket) return std::unexpected(database_socket.error());
  const auto remotes = ManagerRemotes::start(io, **db, database_server, options.remotes);
  if (!remotes) return std::unexpected(remotes.error());
  Loop loop(io, reconciler, (*datapaths)->datapaths());
  const auto clean_up = [&] {
    loop.end();
    (*datapaths)->clean_up();
    spdlog::info("forwarding ended, nothing of it is left");
  };
  Control control((*datapaths)->switches(), {clean_up, [&io] { asio::post(io, [&io] { io.stop(); }); }});
  ovsdb::RpcMethods commands;
  control.add_to(commands);
  const auto control_socket =
      ovsdb::JsonRpcServer::listen(io, fmt::format("{}/vswitchd.{}.ctl", options.rundir, getpid()), commands);
  if (!control_socket) return std::unexpected(control_socket.error());

  reconciler.run();
  (*datapaths)->settle();
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
