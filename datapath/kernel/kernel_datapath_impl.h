// SPDX-License-Identifier: Apache-2.0
// The control side of the kernel datapath. Not for inclusion outside kernel_datapath*.cc.
#pragma once

#include <atomic>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "datapath/kernel/events.h"
#include "datapath/kernel/fdb_tables.h"
#include "datapath/kernel/flood_sets.h"
#include "datapath/kernel/hook.h"
#include "datapath/kernel/kernel_datapath.h"
#include "datapath/kernel/pins.h"
#include "datapath/kernel/programs.h"
#include "datapath/kernel/remotes.h"
#include "netlink/ethtool.h"
#include "netlink/monitor.h"
#include "netlink/netlink.h"

namespace heddle::dp {

// The other end of an internal port's pair. Interface names have 15 characters: a hash stands for the port's.
std::string back_name(const std::string& port);
// The device of patch port `port` whose other end is patch port `peer`: for the same reason a hash of both.
std::string patch_name(const std::string& port, const std::string& peer);

class KernelDatapath final : public Datapath, private Ports, private Bridges, private Stations {
 public:
  explicit KernelDatapath(const KernelDatapathOptions& options);
  ~KernelDatapath() override;
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
  void settle() override;
  void clean_up() override;

  Result<> set_capacity(BridgeId bridge, std::size_t entries) override;
  Result<> put(const FdbKey& key, const FdbTarget& target) override;
  void remove(const FdbKey& key) override;
  void usage(std::span<FdbUse> rows) const override;
  std::size_t poll(std::span<LearnEvent> events) override;
  [[nodiscard]] int event_fd() const override { return events_->fd(); }

 private:
  struct PortEntry {
    PortNo no = PortNo::none;
    PortSpec spec;
    PortPolicy policy;
    std::vector<IpAddr> flood_list;
    hd_port conf{};      // what the programs have
    netlink::Link link;  // the device that bears the port's name; index 0: there is none
    netlink::Link back;  // internal ports: the other end of its pair
    bool moved = false;  // internal ports: the device is in another namespace now; `link` is `back` then
    Hook hook;
    netlink::EthtoolInfo ethtool;
    std::string error;
    std::optional<QosSpec> qos;        // asked for
    bool shaped = false;               // and in force, at the device
    std::string qos_error;             // why not, where there is a device
    std::uint64_t shaped_before = 0;   // frames that queues dropped which are gone
    std::uint32_t remote = 0;          // point-to-point tunnel
    std::vector<std::uint32_t> flood;  // multipoint tunnel
    [[nodiscard]] bool tunnel() const { return spec.is_tunnel(); }
    [[nodiscard]] bool multipoint() const { return spec.multipoint(); }
    [[nodiscard]] bool patch() const { return spec.traits().has_peer; }
    // The name by which its device is known.
    [[nodiscard]] std::string device() const { return patch() ? patch_name(spec.name, spec.peer) : spec.name; }
    [[nodiscard]] bool internal() const { return spec.traits().made_by_us; }
  };
  struct VxlanDevice {
    netlink::Link link;
    Hook hook;
  };
  // Of a former life, by name, until it is asked for or settle() removes it.
  struct Former {
    PortNo no = PortNo::none;
    PortKind kind = PortKind::netdev;
    int ifindex = 0;
    bool made_clsact = false;
  };

  // Ports: kernel_datapath_ports.cc
  Result<PortNo> add_port(const PortSpec& spec);
  Result<> set_port(PortNo no, const PortPolicy& policy);
  Result<> set_flood(PortEntry& p, std::span<const IpAddr> remotes);
  void set_qos(PortEntry& p, const std::optional<QosSpec>& qos);
  Result<> configure(PortEntry& p, const PortConfig& config);
  PortEntry* find(PortNo no);
  [[nodiscard]] const PortEntry* find(PortNo no) const;
  Result<PortNo> free_number();
  Result<> write_conf(PortEntry& p, const hd_port& next);
  void write_device(PortEntry& p);
  void remember(const PortEntry& p);
  void flood(BridgeId bridge);
  void flood_soon(BridgeId bridge);
  void begin_number(PortNo no);
  Result<> put_policer(PortNo no, const Policing& policing);

  // Bridge policies: kernel_datapath_policy.cc
  void apply_bridge(const PortEntry& p, hd_port& next) const;
  Result<> rewrite_ports(BridgeId bridge);
  Result<> put_mirrors(BridgeId bridge, const BridgePolicy& policy);
  void forget_policy(BridgeId bridge);

  // Devices: kernel_datapath_devices.cc
  void open_device(PortEntry& p);
  Result<> open_netdev(PortEntry& p);
  Result<> open_internal(PortEntry& p);
  Result<> attach(PortEntry& p, const netlink::Link& hooked, bool made_clsact);
  Result<> make_pair(const std::string& name, const std::string& back, const PortSpec& spec);
  [[nodiscard]] bool may_adopt(const netlink::Link& link) const;
  [[nodiscard]] bool watched(const netlink::Link& device) const;
  void close_device(PortEntry& p, const std::string& why);
  void see_link(PortEntry& p, const netlink::Link& link);
  void remove_internal(const std::string& name, const std::string& back);
  [[nodiscard]] std::optional<MacAddr> station(const netlink::Link& veth) const;
  void silence(const std::string& device) const;

  // Patch ports: kernel_datapath_patch.cc
  static Result<> check_patch(const PortSpec& spec);
  Result<> make_patch(const std::string& near, const std::string& far, const std::string& port);
  Result<> open_patch(PortEntry& p);
  [[nodiscard]] bool peer_is_here(const PortEntry& p) const;
  void remove_patch(const PortEntry& p);
  void shut(int ifindex) const;
  [[nodiscard]] PortState patch_state(const PortEntry& p) const;

  // QoS: kernel_datapath_qos.cc
  static netlink::Link& way_out(PortEntry& p);
  void see_way_out(PortEntry& p);
  [[nodiscard]] bool has_our_qdisc(int ifindex) const;
  void drop_qdisc(int ifindex) const;
  void lift_qos(PortEntry& p);
  Result<> add_qdisc(const PortEntry& p, const netlink::Link& out) const;
  Result<> shape(PortEntry& p);
  Result<> apply_qos(PortEntry& p);
  [[nodiscard]] std::uint64_t shaped_drops(const PortEntry& p) const;
  void on_qdisc(PortEntry& p);
  void settle_qos();

  // Tunnels: kernel_datapath_tunnels.cc
  Result<> add_tunnel(PortEntry& p);
  void remove_tunnel(PortEntry& p);
  Result<VxlanDevice*> vxlan_device(std::uint16_t udp_port);
  void release_vxlan_device(std::uint16_t udp_port);
  Result<> put_tunnel(PortEntry& p);
  void retry_tunnels(std::set<PortNo>& changed);
  void write_vni(const hd_vni& net);
  [[nodiscard]] hd_tunnel tunnel_key(const PortEntry& p) const;
  [[nodiscard]] PortState tunnel_state(const PortEntry& p) const;

  // News: kernel_datapath_news.cc
  void on_link(const netlink::Link& link, std::set<PortNo>& changed);
  void on_internal(PortEntry& p, std::set<PortNo>& changed);
  void on_link_gone(const netlink::Link& link, std::set<PortNo>& changed);
  void on_vxlan(const netlink::Link& link);
  void on_renamed(const netlink::Link& link, std::set<PortNo>& changed);
  void reread_links(std::set<PortNo>& changed);
  void on_traffic(int ifindex, std::set<PortNo>& changed);
  void refresh_stations(std::set<PortNo>& changed);
  void refresh_remotes(std::set<PortNo>& changed);
  void arm_timer();

  // A former life's: kernel_datapath.cc
  void recall();
  void forget_ports();
  void take_off(const Former& former);
  void free_device(int ifindex, bool made_clsact) const;
  [[nodiscard]] bool made_clsact_before(int ifindex) const;
  void forget_bridges();
  void batch_closed() override;
  void forget_devices();
  void forget_filters(const std::set<int>& ours);

  KernelDatapathOptions options_;
  SteadyTime steady_;
  std::unique_ptr<Pins> pins_;
  std::unique_ptr<netlink::Netlink> kernel_;         // control
  std::unique_ptr<netlink::Netlink> kernel_routes_;  // under the mutex of remotes_
  std::unique_ptr<netlink::Monitor> monitor_;
  std::unique_ptr<Programs> programs_;
  std::unique_ptr<Remotes> remotes_;
  std::unique_ptr<FdbTables> fdb_;
  std::unique_ptr<FloodSets> floods_;
  std::unique_ptr<Events> events_;
  Fd control_, timer_;
  bool routes_changed_ = false;  // and the timer runs for it
  bool settled_ = false;
  std::set<BridgeId> to_flood_;  // by batch_closed()
  TimePoint slow_hooks_{};       // when all that were attached by tcx have been paid for: see attach()
  std::map<PortNo, PortEntry> ports_;
  std::map<std::string, PortNo> by_name_;
  std::map<std::string, Former> former_ports_;
  std::map<std::string, BridgeId> bridges_, former_bridges_;
  std::map<BridgeId, BridgePolicy> policies_;   // of bridges that set_bridge() was called for
  std::map<std::uint16_t, VxlanDevice> vxlan_;  // by UDP port
  std::uint16_t last_number_ = 0;
  PortNo last_refreshed_ = PortNo::none;
  std::array<std::atomic<int>, limits::kPorts> answer_device_{};  // read by the handler
};

}  // namespace heddle::dp
