// SPDX-License-Identifier: Apache-2.0
// The routes by which the kernel sends to tunnels' IPv6 multicast groups: it looks for the device in table local alone,
// and would else take the first one that does multicast. They outlive the daemon, as forwarding does; the metric tells
// them from those of another daemon.
//
// Owner: TunnelPorts. Control thread. Errors are logged.
#pragma once

#include <cstdint>
#include <set>
#include <string_view>

#include "datapath/control/group_memberships.h"
#include "netlink/netlink.h"

namespace heddle::dp {

class GroupRoutes {
 public:
  using Member = GroupMemberships::Member;
  // `owner`: as in KernelDatapathOptions.
  GroupRoutes(netlink::Netlink& kernel, std::string_view owner);

  // Adds the route if it is not there: the kernel removes it when the device goes down. Nothing for IPv4.
  void put(const Member& member);
  void remove(const Member& member);
  // Removes those of an earlier life that `keep` has not.
  void remove_others(const GroupMemberships& keep);

 private:
  [[nodiscard]] netlink::GroupRoute route(const Member& member) const;

  netlink::Netlink& kernel_;
  std::uint32_t metric_;
};

}  // namespace heddle::dp
