// SPDX-License-Identifier: Apache-2.0
// Inside netlink/ only: decodes kernel messages into values. Type and length of each attribute are checked before it is
// read; a message without its required attributes gives nothing. Pure functions; any thread.
#pragma once

#include <netlink/msg.h>
#include <sys/socket.h>

#include <memory>
#include <optional>
#include <string>

#include "base/addr.h"
#include "netlink/types.h"

namespace heddle::netlink::wire {

struct MsgFree {
  void operator()(nl_msg* m) const { nlmsg_free(m); }
};
using Msg = std::unique_ptr<nl_msg, MsgFree>;

// Decodes messages of AF_UNSPEC (links) or of AF_INET and AF_INET6 (addresses, neighbours, routes). AF_BRIDGE messages,
// which share types and groups with these, give nothing: an AF_BRIDGE RTM_DELLINK means that a port left its bridge,
// not that a device was removed.
std::optional<Link> link(nlmsghdr* message);
std::optional<LinkStatistics> statistics(nlmsghdr* message);
std::optional<Address> address(nlmsghdr* message);
std::optional<Neighbour> neighbour(nlmsghdr* message);
// Route::mtu is 0 when the message has no such metric.
std::optional<Route> route(nlmsghdr* message);
// Of all next hops of a route of a routing table, in ascending order.
std::vector<int> route_devices(nlmsghdr* message);
std::optional<GroupRoute> group_route(nlmsghdr* message);
// TCA_KIND of a qdisc message; empty when missing.
std::string qdisc_kind(nlmsghdr* message);
// TCA_STATS2 of a class message.
std::optional<ClassStatistics> class_statistics(nlmsghdr* message);

// rtm_protocol of our routes: free in /etc/iproute2/rt_protos.
inline constexpr unsigned char kRouteProtocol = 72;

inline unsigned char family(const IpAddr& a) { return a.is_v6() ? AF_INET6 : AF_INET; }
inline bool put(nl_msg* m, int type, const IpAddr& a) {
  return nla_put(m, type, static_cast<int>(a.size()), a.data()) == 0;
}

}  // namespace heddle::netlink::wire
