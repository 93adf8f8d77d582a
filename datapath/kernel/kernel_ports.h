// SPDX-License-Identifier: Apache-2.0
// Ports of the kernel datapath: the Ports facet, and the flood sets of their bridges. Devices, tunnels, and the
// elements that the programs read are the concern of classes of their own.
//
// Owner: KernelDatapath. Control thread.
#pragma once

#include <set>
#include <string>

#include "datapath/control/port_registry.h"
#include "datapath/datapath.h"
#include "datapath/kernel/bridge_floods.h"
#include "datapath/kernel/bridge_policies.h"
#include "datapath/kernel/port_devices.h"
#include "datapath/kernel/port_table.h"
#include "datapath/kernel/resting_numbers.h"
#include "datapath/kernel/take_over.h"
#include "datapath/kernel/tunnel_ports.h"

namespace heddle::dp {

class KernelPorts final : public Ports {
 public:
  // Parts that live as long as the datapath.
  struct Parts {
    const OwnDevices& own;
    const Pins& pins;
    const Programs& programs;
    RemoteVteps& remotes;
    FdbTables& fdb;
    Events& events;
    TakeOver& former;
    const TimeSource& time;
    GroupMemberships::Keep keep_socket;
  };
  explicit KernelPorts(const Parts& parts);

  [[nodiscard]] const KindSet& kinds() const override;
  Result<PortNo> apply(const PortConfig& config) override;
  Result<> remove(PortNo no) override;
  [[nodiscard]] PortState state(PortNo no) const override;
  [[nodiscard]] PortCounters counters(PortNo no) const override;
  [[nodiscard]] std::map<std::uint32_t, QueueCounters> queue_counters(PortNo no) const override;
  [[nodiscard]] std::vector<UnderlayCounters> underlay_counters() const override {
    return tunnels_.devices().counters();
  }

  // --- for the other parts of the provider ---
  // The bridge's policy is another: writes its ports' flags and makes its flood sets anew.
  Result<> on_bridge_policy(BridgeId bridge);
  // The bridge has no members any more.
  void on_bridge_removed(BridgeId bridge);
  [[nodiscard]] BridgePolicies& policies() { return policies_; }
  // The port's device is not to be had any more.
  void lose_device(PortEntry& p, const std::string& why);
  // Takes up the device that the port has now: another one, or one that could not be had before.
  void replace_device(PortEntry& p);
  // Ends a take-over, before the bridges' part: ports of a former life, and what is left of them, go.
  void settle();
  [[nodiscard]] BridgeFloods& floods() { return floods_; }
  [[nodiscard]] PortRegistry<PortEntry>& registry() { return ports_; }
  [[nodiscard]] PortDevices& devices() { return devices_; }
  [[nodiscard]] TunnelPorts& tunnels() { return tunnels_; }

 private:
  void batch_closed() override;
  Result<PortEntry*> add(const PortSpec& spec);
  void forget(PortEntry& p);
  Result<> configure(PortEntry& p, const PortConfig& config);
  Result<> set_policy(PortEntry& p, const PortPolicy& policy);
  Result<> set_flood(PortEntry& p, const std::vector<IpAddr>& remotes);
  void set_qos(PortEntry& p, const std::optional<QosSpec>& qos);
  void write_bridge_flags(const PortEntry& p, hd_port& next) const;

  Parts parts_;
  PortRegistry<PortEntry> ports_;
  BridgePolicies policies_;
  PortTable table_;
  PortDevices devices_;
  TunnelPorts tunnels_;
  BridgeFloods floods_;
  RestingNumbers resting_;
};

}  // namespace heddle::dp
