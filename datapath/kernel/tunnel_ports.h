// SPDX-License-Identifier: Apache-2.0
// Tunnel ports of the kernel datapath: what the programs need for both directions (`tunnels`, `vnis`, the tunnel fields
// of `ports`), the remotes they lead to, and the multicast groups of which they make the host a member.
//
// Owner: KernelPorts. Control thread.
#pragma once

#include <map>
#include <set>

#include "datapath/control/group_memberships.h"
#include "datapath/control/port_registry.h"
#include "datapath/kernel/fdb_tables.h"
#include "datapath/kernel/group_routes.h"
#include "datapath/kernel/port_entry.h"
#include "datapath/kernel/port_table.h"
#include "datapath/kernel/remote_vteps.h"
#include "datapath/kernel/sender_guard.h"
#include "datapath/kernel/vxlan_devices.h"
#include "packet/too_big.h"

namespace heddle::dp {

class TunnelPorts {
 public:
  TunnelPorts(const Programs& programs, const OwnDevices& own, RemoteVteps& remotes, FdbTables& fdb, PortTable& table,
              VxlanDevices devices, PortRegistry<PortEntry>& ports, GroupMemberships::Keep keep_socket)
      : programs_(programs),
        remotes_(remotes),
        fdb_(fdb),
        table_(table),
        devices_(std::move(devices)),
        ports_(ports),
        guard_(programs, own.kernel(), remotes, ports),
        groups_(std::move(keep_socket)),
        group_routes_(own.kernel(), own.owner()) {}

  // The port is in the registry already. Errc::exists: another port has the same end points and key, or a foreign
  // device is in the way; Errc::limit.
  Result<> add(PortEntry& p);
  void remove(PortEntry& p);
  // Errc::invalid: the port is no multipoint tunnel; Errc::limit. `before` gets the numbers of the old list, for
  // release() when the flood sets without them stand.
  Result<> set_flood(PortEntry& p, const std::vector<IpAddr>& remotes, std::vector<std::uint32_t>& before);
  void release(const std::vector<std::uint32_t>& remotes);
  [[nodiscard]] PortState state(const PortEntry& p, netlink::Netlink& kernel) const;

  void on_link(const netlink::Link& link) {
    devices_.on_link(link);
    guard_.on_link(link);
  }
  // Makes a vxlan device that is gone anew. Adds the ports whose state is another to `changed`.
  void on_link_gone(const netlink::Link& link, std::set<PortNo>& changed);
  // Does nothing for a tunnel that is in force.
  void try_again(PortEntry& p);
  // Routes, addresses or devices are others.
  void follow_groups();
  // Whether the error is news about the way to a remote: most errors come again and again.
  [[nodiscard]] bool concerns(const packet::TooBig& error) const {
    return remotes_.takes_more_than(error.mtu, error.dst);
  }
  // Ends a take-over: elements of `tunnels`, `groups` and `vnis` that are no port's go; and routes to groups.
  void drop_stale();
  void drop_stale_routes() { group_routes_.remove_others(groups_); }
  // Ends it for good: see VxlanDevices.
  void take_over_hooks() { devices_.take_over_hooks(); }
  [[nodiscard]] const VxlanDevices& devices() const { return devices_; }
  [[nodiscard]] SenderGuard& guard() { return guard_; }
  [[nodiscard]] bool any() const { return !in_force_.empty(); }

 private:
  struct InForce {
    hd_tunnel key;
    __u32 form;                     // the bit of `vnis` for a key of this form
    std::optional<hd_group> group;  // of a port with a multicast group
  };
  void follow_group(const PortEntry& p);
  Result<> put(PortEntry& p);
  void write_fields(const PortEntry& p, int device, hd_port& next) const;
  void write_vni(const hd_vni& net);

  const Programs& programs_;
  RemoteVteps& remotes_;
  FdbTables& fdb_;
  PortTable& table_;
  VxlanDevices devices_;
  PortRegistry<PortEntry>& ports_;
  SenderGuard guard_;
  GroupMemberships groups_;
  GroupRoutes group_routes_;
  std::map<PortNo, InForce> in_force_;
};

}  // namespace heddle::dp
