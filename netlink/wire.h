// SPDX-License-Identifier: Apache-2.0
// Inside netlink/ only: kernel messages to values, each attribute held against its type and length before it is read.
// A message that lacks what makes it meaningful gives nothing.
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

// Answers, for messages of AF_UNSPEC (links) or AF_INET and AF_INET6 (all others). The bridge's own messages, which
// share types and groups with these, give nothing: an AF_BRIDGE RTM_DELLINK means "left the bridge", not "gone".
std::optional<Link> link(nlmsghdr* message);
std::optional<LinkStatistics> statistics(nlmsghdr* message);
std::optional<Address> address(nlmsghdr* message);
std::optional<Neighbour> neighbour(nlmsghdr* message);
// Route::mtu is 0 when the message has no such metric.
std::optional<Route> route(nlmsghdr* message);
// TCA_KIND of a qdisc message; empty when it has none.
std::string qdisc_kind(nlmsghdr* message);
// TCA_STATS2 of a class message.
std::optional<ClassStatistics> class_statistics(nlmsghdr* message);

inline unsigned char family(const IpAddr& a) { return a.is_v6() ? AF_INET6 : AF_INET; }
inline bool put(nl_msg* m, int type, const IpAddr& a) {
  return nla_put(m, type, static_cast<int>(a.size()), a.data()) == 0;
}

}  // namespace heddle::netlink::wire
