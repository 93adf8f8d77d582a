// SPDX-License-Identifier: Apache-2.0
// The user datapath's parts, wired together, and the kernel's news handed to those that they concern.
#include "datapath/user/user_datapath.h"

#include <memory>
#include <set>
#include <utility>

#include "datapath/control/kernel_news.h"
#include "datapath/user/device_retry.h"
#include "datapath/user/ingress_trust.h"
#include "datapath/user/patch_peers.h"
#include "datapath/user/path_resolver.h"
#include "datapath/user/port_kinds.h"
#include "datapath/user/underlay_devices.h"
#include "datapath/user/user_bridges.h"
#include "datapath/user/user_port_devices.h"
#include "datapath/user/user_ports.h"
#include "datapath/user/user_stations.h"
#include "datapath/user/user_tunnels.h"
#include "datapath/user/worker_group.h"
#include "datapath/user/xdp_programs.h"

namespace heddle::dp {
namespace {

// How often the kernel is made to check neighbours; its own timer for reachable ones is about as long.
constexpr auto kProbe = std::chrono::seconds(30);

struct KernelAccess {
  std::unique_ptr<netlink::Netlink> control;
  std::unique_ptr<netlink::Netlink> paths;  // under the mutex of PathResolver
  std::unique_ptr<KernelNews> news;
};

class UserDatapath final : public Datapath, private NewsListener {
 public:
  UserDatapath(const UserDatapathOptions& options, KernelAccess kernel, TimePoint epoch);
  ~UserDatapath() override { workers_.stop(); }  // before the objects that they use go
  UserDatapath(const UserDatapath&) = delete;
  UserDatapath& operator=(const UserDatapath&) = delete;
  // Before any other call.
  Result<> watch();

  Ports& ports() override { return ports_; }
  Bridges& bridges() override { return bridges_; }
  Stations& stations() override { return stations_; }
  [[nodiscard]] int control_fd() const override { return kernel_.news->fd(); }
  void run_control(const std::function<void(PortNo)>& changed) override;
  void clean_up() override { ports_.remove_all(); }

 private:
  void on_link(const netlink::Link& link) override;
  void on_link_gone(const netlink::Link& link) override;
  bool on_neighbour(const netlink::Neighbour& neighbour) override { return paths_.refresh(neighbour); }
  bool on_too_big(const packet::TooBig& error) override;
  [[nodiscard]] std::vector<netlink::Link> held_links() const override;

  KernelAccess kernel_;
  DeviceRetry retry_;
  PathResolver paths_;
  UserStations stations_;
  WorkerGroup workers_;
  XdpPrograms programs_;
  UnderlayDevices underlays_;
  PortKinds kinds_;
  UserPortDevices devices_;
  IngressTrust trust_;
  UserTunnels tunnels_;
  PatchPeers peers_;
  UserBridges bridges_;
  UserPorts ports_;
  std::set<PortNo> touched_;  // ports whose state is another: for run_control() to tell
};

UserDatapath::UserDatapath(const UserDatapathOptions& options, KernelAccess kernel, TimePoint epoch)
    : kernel_(std::move(kernel)),
      paths_(*kernel_.paths),
      stations_(paths_, epoch),
      workers_({options.workers, options.frames}, paths_.paths(), stations_.learned(), epoch),
      underlays_(
          *kernel_.control, workers_, paths_, programs_, retry_,
          [this](const std::string& device) { return devices_.has(device); }, options.keep_socket),
      kinds_(*kernel_.control, workers_, programs_, underlays_, options.owner),
      devices_(workers_, kinds_, retry_),
      trust_(*kernel_.control, workers_, paths_, devices_),
      tunnels_(*kernel_.control, *kernel_.news, paths_, underlays_, trust_),
      bridges_(workers_, stations_, [this](BridgeId bridge) { ports_.take_rules(bridge); }),
      ports_({workers_, stations_, bridges_, devices_, tunnels_, peers_, underlays_}) {}

Result<> UserDatapath::watch() {
  if (auto ok = retry_.open(); !ok) return ok;
  for (const int fd : {retry_.fd(), peers_.fd()})
    if (auto ok = kernel_.news->add(fd); !ok) return ok;
  return {};
}

void UserDatapath::on_link(const netlink::Link& link) {
  devices_.on_link(link, touched_);
  underlays_.on_link(link);
  trust_.on_link(link);
}

void UserDatapath::on_link_gone(const netlink::Link& link) {
  devices_.on_link_gone(link, touched_);
  underlays_.on_link_gone(link.index);
  tunnels_.on_link_gone(link.index);
  trust_.on_link_gone(link.index);
}

bool UserDatapath::on_too_big(const packet::TooBig& error) {
  touched_.merge(paths_.note(error, Clock::now()));
  return false;
}

std::vector<netlink::Link> UserDatapath::held_links() const {
  std::vector<netlink::Link> links = devices_.held_links();
  for (netlink::Link& link : underlays_.held_links()) links.push_back(std::move(link));
  return links;
}

void UserDatapath::run_control(const std::function<void(PortNo)>& changed) {
  {
    const Ports::Batch batch(ports_);
    const bool tunnels = !paths_.idle();
    const KernelNews::Due due = kernel_.news->take(*kernel_.control, *this, tunnels, true);
    if (due.routes) tunnels_.refresh(touched_);
    if (due.check) {
      devices_.check_queues(touched_);
      paths_.probe_stale();
      touched_.merge(paths_.forget_old_mtus(Clock::now()));
    }
    retry_.retry(
        [this](PortNo no) {
          if (devices_.try_again(no)) touched_.insert(no);
        },
        [this](int ifindex) { underlays_.try_again(ifindex); });
  }
  touched_.merge(peers_.take_changed());
  for (const PortNo no : std::exchange(touched_, {})) changed(no);
}

}  // namespace

Result<std::unique_ptr<Datapath>> make_user_datapath(const UserDatapathOptions& options) {
  if (auto ok = WorkerGroup::check({options.workers, options.frames}); !ok) return std::unexpected(ok.error());
  auto control = netlink::Netlink::open();
  if (!control) return std::unexpected(control.error());
  auto paths = netlink::Netlink::open();
  if (!paths) return std::unexpected(paths.error());
  auto news = KernelNews::open(kProbe);
  if (!news) return std::unexpected(news.error());
  auto dp = std::make_unique<UserDatapath>(
      options, KernelAccess{std::move(*control), std::move(*paths), std::move(*news)}, Clock::now());
  if (auto ok = dp->watch(); !ok) return std::unexpected(ok.error());
  return dp;
}

}  // namespace heddle::dp
