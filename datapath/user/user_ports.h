// SPDX-License-Identifier: Apache-2.0
// Ports of the user datapath: their numbers and configurations, and how these reach the workers. The parts of a port
// that depend on its kind are kept by others: its device (UserPortDevices), its paths (UserTunnels), its peer
// (PatchPeers).
//
// Owner: UserDatapath. Control thread. Errors: those of Ports; apply() fails also when the workers cannot start.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "datapath/control/port_registry.h"
#include "datapath/datapath.h"
#include "datapath/user/patch_peers.h"
#include "datapath/user/user_bridges.h"
#include "datapath/user/user_port_devices.h"
#include "datapath/user/user_stations.h"
#include "datapath/user/user_tunnels.h"
#include "datapath/user/worker_group.h"

namespace heddle::dp {

class UserPorts final : public Ports {
 public:
  struct Parts {
    WorkerGroup& workers;
    UserStations& stations;
    const UserBridges& bridges;
    UserPortDevices& devices;
    UserTunnels& tunnels;
    PatchPeers& peers;
    const UnderlayDevices& underlays;
  };
  explicit UserPorts(const Parts& parts) : parts_(parts) {}

  [[nodiscard]] const KindSet& kinds() const override { return PortKinds::all(); }
  Result<PortNo> apply(const PortConfig& config) override;
  Result<> remove(PortNo no) override;
  [[nodiscard]] PortState state(PortNo no) const override;
  [[nodiscard]] PortCounters counters(PortNo no) const override;
  [[nodiscard]] std::map<std::uint32_t, QueueCounters> queue_counters(PortNo no) const override;
  [[nodiscard]] std::vector<UnderlayCounters> underlay_counters() const override { return parts_.underlays.counters(); }

  void remove_all();
  // The rules of a bridge are others: they go into the configuration of its ports.
  void take_rules(BridgeId bridge);

 private:
  struct Port {
    PortNo no = PortNo::none;
    PortConfig config;
    std::unique_ptr<PortShared> shared;
    std::shared_ptr<const QosConf> qos;  // in force
    std::string qos_error;               // why config.qos is not
  };
  void batch_closed() override;
  Result<PortNo> add(const PortSpec& spec);
  Result<> configure(Port& p, const PortConfig& config);
  Result<> set_policy(Port& p, const PortPolicy& policy);
  Result<> set_flood(Port& p, const std::vector<IpAddr>& remotes);
  void set_qos(Port& p, const std::optional<QosSpec>& qos);
  void write(const Port& p);
  void write_peer(PortNo peer);

  Parts parts_;
  PortRegistry<Port> ports_;
};

}  // namespace heddle::dp
