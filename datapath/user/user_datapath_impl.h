// SPDX-License-Identifier: Apache-2.0
// The control side of the user-space datapath. Not for inclusion outside user_datapath*.cc.
#pragma once

#include <map>
#include <mutex>
#include <set>

#include "datapath/user/afxdp_port.h"
#include "datapath/user/config_draft.h"
#include "datapath/user/fdb_table.h"
#include "datapath/user/device_retry.h"
#include "datapath/user/tunnels.h"
#include "datapath/user/user_datapath.h"
#include "datapath/user/worker.h"
#include "netlink/ethtool.h"
#include "netlink/monitor.h"
#include "netlink/netlink.h"

namespace heddle::dp {

class UserDatapath final : public Datapath, private Ports, private Bridges, private Stations {
 public:
  explicit UserDatapath(const UserDatapathOptions& options);
  ~UserDatapath() override;
  Result<> start();

  Ports& ports() override { return *this; }
  Bridges& bridges() override { return *this; }
  Stations& stations() override { return *this; }

  Result<BridgeId> add(const std::string& name) override;
  void remove(BridgeId bridge) override;
  Result<> set(BridgeId bridge, const BridgePolicy& policy) override;
  [[nodiscard]] MirrorCounters mirror_counters(BridgeId bridge, unsigned slot) const override;
  [[nodiscard]] const KindSet& kinds() const override;
  Result<PortNo> apply(const PortConfig& config) override;
  Result<> remove(PortNo no) override;
  [[nodiscard]] std::map<std::uint32_t, QueueCounters> queue_counters(PortNo no) const override;
  [[nodiscard]] PortState state(PortNo no) const override;
  [[nodiscard]] PortCounters counters(PortNo no) const override;
  [[nodiscard]] std::vector<UnderlayCounters> underlay_counters() const override;
  [[nodiscard]] int control_fd() const override { return control_.get(); }
  void run_control(const std::function<void(PortNo)>& changed) override;
  void clean_up() override;

  Result<> set_capacity(BridgeId bridge, std::size_t entries) override;
  Result<> put(const FdbKey& key, const FdbTarget& target) override;
  void remove(const FdbKey& key) override;
  void usage(std::span<FdbUse> rows) const override;
  std::size_t poll(std::span<LearnEvent> events) override;
  [[nodiscard]] int event_fd() const override { return learned_.fd(); }

 private:
  struct PortEntry {
    PortNo no = PortNo::none;
    PortSpec spec;
    PortPolicy policy;
    std::vector<IpAddr> flood_list;
    std::optional<QosSpec> qos_asked;
    std::string qos_error;
    std::unique_ptr<PortShared> shared;
    std::shared_ptr<PortIo> io;
    std::uint32_t slot = kNoIo;
    netlink::Link link;  // index 0: there is no such device
    netlink::EthtoolInfo ethtool;
    std::string error;
    std::uint64_t rx_lost_before = 0;  // by devices this port had earlier
    std::uint32_t path = 0;
    std::vector<std::uint32_t> flood;
    std::shared_ptr<const QosConf> qos;
    std::size_t filled = 0;  // buffers promised to its fill rings
    unsigned sharing = 0;    // its queues whose sockets share the packet memory
  };
  struct Underlay {
    std::string name;
    std::unique_ptr<PortShared> shared;
    std::shared_ptr<PortIo> io;
    AfxdpPort* afxdp = nullptr;  // null: a socket
    std::uint32_t slot = kNoIo;
    std::size_t fill = 0;
    unsigned sharing = 0;
  };

  Result<> begin();
  void batch_closed() override;

  // Ports
  Result<PortNo> add_port(const PortSpec& spec);
  Result<> set_port(PortNo no, const PortPolicy& policy);
  Result<> set_flood(PortEntry& p, std::span<const IpAddr> remotes);
  void set_qos(PortEntry& p, const std::optional<QosSpec>& qos);
  Result<> configure(PortEntry& p, const PortConfig& config);
  PortEntry* find(PortNo no);
  [[nodiscard]] const PortEntry* find(PortNo no) const;
  Result<PortNo> free_number();
  void put_conf(const PortEntry& p);
  Result<> add_tunnel(PortEntry& p);
  void remove_tunnel(PortEntry& p);
  void open_device(PortEntry& p);
  Result<> open_netdev(PortEntry& p);
  Result<> open_tap(PortEntry& p);
  Result<std::unique_ptr<PortIo>> make_tap(const PortSpec& spec);
  void close_device(PortEntry& p, const std::string& why);
  void see_link(PortEntry& p, const netlink::Link& link);
  [[nodiscard]] std::size_t fill_share() const;
  [[nodiscard]] PortState tunnel_state(const PortEntry& p) const;
  // Patch ports
  static bool has_device(const PortEntry& p) { return p.spec.traits().has_device; }
  [[nodiscard]] PortNo peer_of(const PortEntry& p) const;
  void meet_peer(const PortEntry& p);
  [[nodiscard]] PortState patch_state(const PortEntry& p) const;

  // Underlay
  Result<> open_socket(std::uint16_t udp_port, bool v6);
  void serve_egress_devices();
  void open_underlay(int ifindex);
  void close_underlay(int ifindex);
  void update_filters();

  // News
  void on_link(const netlink::Link& link, std::set<PortNo>& changed);
  void on_link_gone(const netlink::Link& link, std::set<PortNo>& changed);
  void take_again(std::set<PortNo>& changed);
  void reread_links(std::set<PortNo>& changed);
  void refresh_paths(std::set<PortNo>& changed);
  void arm_timer();

  FdbTable* fdb(BridgeId bridge) const;
  void release_path(FdbValue value);
  void replace_fdb(BridgeId bridge, std::unique_ptr<FdbTable> next);
  [[nodiscard]] std::uint32_t now() const;

  UserDatapathOptions options_;
  TimePoint start_;
  // None before begin():
  std::unique_ptr<FramePool> pool_;
  std::unique_ptr<XskFactory> xsks_;
  Promiscuous promiscuous_;
  XdpPrograms programs_;
  std::unique_ptr<netlink::Netlink> kernel_;         // control
  std::unique_ptr<netlink::Netlink> kernel_routes_;  // under the mutex of tunnels_
  std::unique_ptr<netlink::Monitor> monitor_;
  Fd control_, timer_;
  DeviceRetry retry_;
  Signal patched_;            // raised when `met_` has something
  std::set<PortNo> met_;      // patch ports whose peer came or went
  bool paths_dirty_ = false;  // a route or address changed; the timer runs
  std::unique_ptr<Tunnels> tunnels_;
  Signal learned_;
  std::array<BridgeShared, limits::kBridges> bridges_;
  RcuPtr<Config> config_;
  std::unique_ptr<Mailboxes> mail_;
  std::map<std::string, BridgeId> bridge_ids_;
  std::map<BridgeId, std::shared_ptr<const BridgeRules>> rules_;  // of bridges that have any
  std::map<PortNo, PortEntry> ports_;
  std::map<std::string, PortNo> by_name_;
  std::map<int, Underlay> underlays_;                           // by ifindex
  std::map<int, std::string> no_afxdp_;                         // why not
  std::map<std::pair<std::uint16_t, bool>, Underlay> sockets_;  // by UDP port and family
  std::size_t filled_ = 0;                                      // buffers promised to fill rings
  unsigned queues_ = 0;                                         // whose sockets share the packet memory
  std::uint16_t last_number_ = 0;

  // What control and handler share: the FDB's tables, and which ports there are.
  mutable std::mutex fdb_mutex_;
  struct KnownPort {
    std::uint32_t path = 0;  // of a point-to-point tunnel
    bool multipoint = false;
  };
  std::map<PortNo, KnownPort> known_ports_;
  std::map<PortNo, PortShared*> learners_;
  std::size_t event_cursor_ = 0;

  std::vector<std::unique_ptr<Worker>> workers_;
  std::unique_ptr<ConfigDraft> draft_;
};

}  // namespace heddle::dp
