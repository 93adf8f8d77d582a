// SPDX-License-Identifier: Apache-2.0
#include "vswitchd/service.h"

#include <fmt/format.h>
#include <pthread.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <csignal>
#include <optional>
#include <set>
#include <thread>

#include "base/clock.h"
#include "base/log.h"
#include "base/log_control.h"
#include "netlink/netlink.h"
#include "ovsdb/rpc_server.h"
#include "ovsdb/server.h"
#include "vswitchd/control.h"
#include "vswitchd/datapaths.h"
#include "vswitchd/loop.h"
#include "vswitchd/overlay_service.h"
#include "vswitchd/reconcile.h"
#include "vswitchd/remotes.h"

namespace heddle::vswitchd {
namespace {

namespace asio = boost::asio;

DeviceSetter device_setter(netlink::Netlink& netlink) {
  return [&netlink](int ifindex, std::optional<MacAddr> mac, std::optional<unsigned> mtu) -> Result<> {
    if (mac)
      if (auto r = netlink.set_mac(ifindex, *mac); !r) return r;
    if (mtu)
      if (auto r = netlink.set_mtu(ifindex, *mtu); !r) return r;
    return {};
  };
}

}  // namespace

// class-size: the objects of the whole daemon, in the order in which they are made
class Service::Parts {
 public:
  Parts(const Options& options, ovsdb::Database& database, Starter& starter, KeptSockets& sockets)
      : options_(options),
        db_(database),
        starter_(starter),
        sockets_(sockets),
        signals_(io_, SIGTERM, SIGINT, SIGHUP),
        control_({[this] { clean_up(); }, [this] { asio::post(io_, [this] { io_.stop(); }); }}),
        database_server_(io_, database) {}
  ~Parts() {
    if (maker_.joinable()) maker_.join();
  }
  Parts(const Parts&) = delete;
  Parts& operator=(const Parts&) = delete;

  Result<> run() {
    wait_for_signals();
    if (auto r = listen(); !r) return r;
    maker_ = std::thread([this] {
      pthread_setname_np(pthread_self(), "start");
      made_ = Datapaths::make(options_, time_, [this](int socket) { sockets_.keep(socket); });
      asio::post(io_, [this] { end_on_failure(apply()); });
    });
    io_.run();
    if (outcome_) spdlog::info("vswitchd ends");
    return outcome_;
  }

 private:
  void wait_for_signals() {
    signals_.async_wait([this](const boost::system::error_code& error, int number) {
      if (error) return;
      if (number != SIGHUP) {
        spdlog::info("ending on signal {}", number);
        return io_.stop();
      }
      if (auto r = log_reopen(); !r) spdlog::error("{}; the log goes on in the former file", r.error().text);
      wait_for_signals();
    });
  }

  // Whoever connects finds a database with its first row, as if the switch had been there before.
  Result<> listen() {
    insert_root(db_);
    auto socket = ovsdb::JsonRpcServer::listen(io_, options_.rundir + "/db.sock", database_server_);
    if (!socket) return std::unexpected(socket.error());
    database_socket_ = std::move(*socket);
    auto remotes = ManagerRemotes::start(io_, db_, database_server_, options_.remotes);
    if (!remotes) return std::unexpected(remotes.error());
    remotes_ = std::move(*remotes);
    control_.set_clients([this] { return clients(); });
    control_.add_to(commands_);
    socket = ovsdb::JsonRpcServer::listen(io_, fmt::format("{}/vswitchd.{}.ctl", options_.rundir, getpid()), commands_);
    if (!socket) return std::unexpected(socket.error());
    control_socket_ = std::move(*socket);
    return {};
  }

  Clients clients() {
    Clients all{.doors = {}, .held = database_server_.memory().held() + commands_.memory().held()};
    all.doors.push_back({"db.sock", database_socket_->sessions(), database_socket_->counters()});
    for (const auto& [target, status] : remotes_->statuses())
      all.doors.push_back({target, status.sessions, status.counters});
    all.doors.push_back({"control socket", control_socket_->sessions(), control_socket_->counters()});
    return all;
  }

  // The datapaths have been made: gives them their first configuration.
  Result<> apply() {
    maker_.join();
    if (!made_) return std::unexpected(made_.error());
    datapaths_ = std::move(*made_);
    auto netlink = netlink::Netlink::open();
    if (!netlink) return std::unexpected(netlink.error());
    netlink_ = std::move(*netlink);
    if (auto r = datapaths_->start(); !r) return r;
    reconciler_.emplace(db_, datapaths_->switches(), device_setter(*netlink_), datapaths_->offer());
    overlay_.emplace(io_, db_, options_.remotes, options_.evpn_dir, datapaths_->for_overlay(),
                     [this](const std::set<std::string>& ports) { loop_->look_again(ports); });
    reconciler_->set_overlay([this](const DesiredPort& port) { return overlay_->part_of(port); },
                             [this](const Desired& desired) { overlay_->configure(desired); });
    control_.set_vteps([this](const std::optional<std::string>& bridge) { return overlay_->show(bridge); });
    loop_.emplace(io_, *reconciler_, datapaths_->datapaths());
    loop_->start([this] { end_on_failure(be_ready()); });
    return {};
  }

  Result<> be_ready() {
    datapaths_->settle();
    sockets_.drop_former();
    auto pidfile = PidFile::write(options_.pidfile);
    if (!pidfile) return std::unexpected(pidfile.error());
    pidfile_.emplace(std::move(*pidfile));
    spdlog::info("vswitchd {} serves on {}", HEDDLE_VERSION, options_.rundir);
    starter_.serving();
    control_.begin(datapaths_->switches());
    return {};
  }

  void end_on_failure(const Result<>& r) {
    if (r) return;
    outcome_ = r;
    io_.stop();
  }

  void clean_up() {
    loop_->end();
    overlay_->end();
    overlay_.reset();
    datapaths_->clean_up();
    spdlog::info("forwarding ended, nothing of it is left");
  }

  const Options& options_;
  ovsdb::Database& db_;
  Starter& starter_;
  KeptSockets& sockets_;
  const SteadyTime time_{};
  Result<> outcome_{};

  std::unique_ptr<netlink::Netlink> netlink_;
  Result<std::unique_ptr<Datapaths>> made_{};  // written by maker_
  std::unique_ptr<Datapaths> datapaths_;
  std::optional<Reconciler> reconciler_;

  asio::io_context io_{1};
  asio::signal_set signals_;
  std::optional<OverlayService> overlay_;
  std::optional<Loop> loop_;
  Control control_;
  ovsdb::RpcMethods commands_;
  ovsdb::OvsdbServer database_server_;
  std::unique_ptr<ovsdb::JsonRpcServer> database_socket_;
  std::unique_ptr<ManagerRemotes> remotes_;
  std::unique_ptr<ovsdb::JsonRpcServer> control_socket_;
  std::optional<PidFile> pidfile_;
  std::thread maker_;
};

Service::Service(const Options& options, ovsdb::Database& database, Starter& starter, KeptSockets& sockets)
    : parts_(std::make_unique<Parts>(options, database, starter, sockets)) {}

Service::~Service() = default;

Result<> Service::run() { return parts_->run(); }

}  // namespace heddle::vswitchd
