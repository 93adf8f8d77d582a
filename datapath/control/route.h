// SPDX-License-Identifier: Apache-2.0
// The kernel's answer to "how do packets reach this remote VTEP": for both providers, in one form and in the same
// words. Control and handler thread, one caller at a time for each Netlink.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/addr.h"
#include "datapath/port.h"
#include "netlink/netlink.h"

namespace heddle::dp {

struct Route {
  bool usable = false;
  unsigned mtu = 0;          // of the outer IP packet, bytes
  IpAddr local;              // outer source address
  int ifindex = 0;           // of the device that packets leave by
  std::vector<int> devices;  // that lead there, all of an ECMP route, in ascending order; empty: not known
  IpAddr next_hop;
  std::string problem;  // why the route is not usable, with the address; empty when it is
  bool operator==(const Route&) const = default;
};

// `local` none: the route decides. To a multicast group a packet leaves by the device that has the local address, as
// the kernel does it for IPv4; a gateway has no part in it.
Route ask_route(netlink::Netlink& kernel, const IpAddr& remote, const std::optional<IpAddr>& local);

// The largest guest packet (its IP header included) that a tunnel carries without outer fragments; 0: none.
unsigned guest_mtu(const TunnelSpec& tunnel, unsigned underlay_mtu);

// Why a tunnel port is refused: see same_end_point().
std::string same_end_point_text(const std::string& other);

// Adds the routes to a tunnel port's remotes to its state: presence, MTU of guests, the details of the first usable
// route. Without a usable route the state has an error; the remotes that cannot be reached beside others are a detail,
// "unreachable".
void add_routes_state(PortState& state, netlink::Netlink& kernel, const PortSpec& port, std::span<const Route> routes);

}  // namespace heddle::dp
