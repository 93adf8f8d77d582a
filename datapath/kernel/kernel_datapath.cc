// SPDX-License-Identifier: Apache-2.0
#include "datapath/kernel/kernel_datapath.h"

#include "base/log.h"
#include "datapath/control/kernel_news.h"
#include "datapath/kernel/events.h"
#include "datapath/kernel/fdb_tables.h"
#include "datapath/kernel/kernel_bridges.h"
#include "datapath/kernel/kernel_ports.h"
#include "datapath/kernel/kernel_stations.h"
#include "datapath/kernel/own_devices.h"
#include "datapath/kernel/pins.h"
#include "datapath/kernel/port_news.h"
#include "datapath/kernel/programs.h"
#include "datapath/kernel/remote_vteps.h"
#include "datapath/kernel/take_over.h"

namespace heddle::dp {
namespace {

// Path MTUs that the kernel learns from ICMP, and addresses of devices in other namespaces, change without news.
constexpr auto kCheck = std::chrono::seconds(10);

// The parts, made in this order and taken down in the reverse one. Each knows those above it.
class KernelDatapath final : public Datapath {
 public:
  explicit KernelDatapath(const KernelDatapathOptions& options) : options_(options) {}
  Result<> start();

  Ports& ports() override { return *ports_; }
  Bridges& bridges() override { return *bridges_; }
  Stations& stations() override { return *stations_; }
  [[nodiscard]] int control_fd() const override { return news_->fd(); }
  void run_control(const std::function<void(PortNo)>& changed) override;
  void settle() override;
  void clean_up() override;

 private:
  void take_over_hooks();

  KernelDatapathOptions options_;
  std::unique_ptr<netlink::Netlink> kernel_;         // control
  std::unique_ptr<netlink::Netlink> kernel_routes_;  // under the mutex of remotes_
  std::unique_ptr<KernelNews> news_;
  std::unique_ptr<Pins> pins_;
  std::unique_ptr<Programs> programs_;
  std::unique_ptr<TakeOver> former_;
  std::unique_ptr<RemoteVteps> remotes_;
  std::unique_ptr<FdbTables> fdb_;
  std::unique_ptr<Events> events_;
  std::unique_ptr<OwnDevices> own_;
  std::unique_ptr<KernelPorts> ports_;
  std::unique_ptr<KernelBridges> bridges_;
  std::unique_ptr<KernelStations> stations_;
  std::unique_ptr<PortNews> port_news_;
};

Result<> KernelDatapath::start() {
  auto kernel = netlink::Netlink::open();
  auto routes = netlink::Netlink::open();
  auto news = KernelNews::open(kCheck);
  if (!kernel) return std::unexpected(kernel.error());
  if (!routes) return std::unexpected(routes.error());
  if (!news) return std::unexpected(news.error());
  kernel_ = std::move(*kernel);
  kernel_routes_ = std::move(*routes);
  news_ = std::move(*news);
  pins_ = std::make_unique<Pins>(options_.bpffs, options_.owner, HD_LAYOUT);
  if (pins_->path().empty())
    spdlog::warn("kernel datapath: {}: forwarding will stop when the daemon ends or is restarted", pins_->why());
  auto programs = Programs::load(*pins_);
  if (!programs) return std::unexpected(programs.error());
  programs_ = std::move(*programs);
  if (!pins_->other_layouts().empty())
    spdlog::warn(
        "kernel datapath: the maps that an earlier version left have another layout: its programs go on with them "
        "until "
        "new ones stand beside; learned addresses are forgotten then");
  former_ = std::make_unique<TakeOver>(*programs_);
  remotes_ = std::make_unique<RemoteVteps>(*programs_, *kernel_routes_);
  fdb_ = std::make_unique<FdbTables>(*programs_, *pins_, *remotes_);
  auto events = Events::open(*programs_, [this](PortNo no) { return ports_->devices().answer_device(no); });
  if (!events) return std::unexpected(events.error());
  events_ = std::move(*events);
  own_ = std::make_unique<OwnDevices>(*kernel_, options_.owner);
  static const SteadyTime steady;
  const TimeSource& time = options_.time != nullptr ? *options_.time : steady;
  ports_ = std::make_unique<KernelPorts>(
      KernelPorts::Parts{*own_, *pins_, *programs_, *remotes_, *fdb_, *events_, *former_, time, options_.keep_socket});
  bridges_ = std::make_unique<KernelBridges>(*programs_, *fdb_, *ports_, *former_);
  stations_ = std::make_unique<KernelStations>(*fdb_, *events_);
  port_news_ = std::make_unique<PortNews>(*ports_);
  news_->start_checks();
  return {};
}

void KernelDatapath::run_control(const std::function<void(PortNo)>& changed) {
  const auto due = news_->take(*kernel_, *port_news_, ports_->tunnels().any(), true);
  if (due.check) port_news_->check();
  if ((due.check || due.routes) && remotes_->refresh()) port_news_->routes_changed();
  if (due.routes) {
    ports_->tunnels().follow_groups();
    ports_->tunnels().guard().addresses_changed();
    ports_->tunnels().guard().update();
  }
  for (const PortNo no : port_news_->take_changed()) changed(no);
}

// The maps have everything that the programs read: those of another layout go. See Hook::take_over().
void KernelDatapath::take_over_hooks() {
  for (auto& [no, p] : ports_->registry())
    if (auto ok = p.device.hook.take_over(*pins_); !ok) spdlog::error("port {}: {}", p.name(), ok.error().text);
  ports_->tunnels().take_over_hooks();
}

void KernelDatapath::settle() {
  if (former_->ended()) return;
  former_->end();
  ports_->settle();
  bridges_->settle();
  take_over_hooks();
  auto known = fdb_->settle();
  remotes_->drop_unused();
  if (!known.empty()) spdlog::info("kernel datapath: {} stations are known from before", known.size());
  events_->adopt(std::move(known), [this](const FdbKey& key) { return !fdb_->unconfirmed(key); });
  pins_->remove_other_layouts();
}

void KernelDatapath::clean_up() {
  settle();
  while (!ports_->registry().empty()) (void)ports_->remove(ports_->registry().begin()->first);
  own_->remove_others({}, {});
  ports_->devices().drop_left_overs({});
  ports_->tunnels().drop_stale();
  ports_->tunnels().drop_stale_routes();
  own_->remove_unfinished();  // a daemon that was killed while it made a device had not marked it yet
  pins_->remove_all();
}

}  // namespace

Result<std::unique_ptr<Datapath>> make_kernel_datapath(const KernelDatapathOptions& options) {
  auto dp = std::make_unique<KernelDatapath>(options);
  if (auto ok = dp->start(); !ok) return std::unexpected(ok.error());
  return dp;
}

}  // namespace heddle::dp
