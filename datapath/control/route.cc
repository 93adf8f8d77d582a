// SPDX-License-Identifier: Apache-2.0
#include "datapath/control/route.h"

#include <algorithm>

namespace heddle::dp {

Route ask_route(netlink::Netlink& kernel, const IpAddr& remote, const std::optional<IpAddr>& local) {
  Route out;
  const auto route = kernel.route(remote, local);
  if (!route && local && route.error().code == Errc::invalid) {
    out.problem = "local_ip " + local->to_string() + " is not an address of this host";
  } else if (!route) {
    out.problem = route.error().text;
  } else if (route->unreachable) {
    out.problem = "no route to " + remote.to_string();
  } else if (route->local) {
    out.problem = "remote_ip " + remote.to_string() + " is an address of this host";
  } else {
    out.mtu = route->mtu;
    out.local = local.value_or(route->source);
    out.ifindex = route->ifindex;
    out.next_hop = route->gateway.value_or(remote);
    if (out.local.is_any()) out.problem = "no local address to reach " + remote.to_string() + " from";
  }
  out.usable = out.problem.empty();
  return out;
}

// Outer IP, UDP and VXLAN headers and the inner Ethernet header are the difference.
unsigned guest_mtu(const TunnelSpec& tunnel, unsigned underlay_mtu) {
  constexpr unsigned kUdp = 8;
  constexpr unsigned kVxlan = 8;
  constexpr unsigned kEthernet = 14;
  const unsigned overhead = (tunnel.v6 ? 40U : 20U) + kUdp + kVxlan + kEthernet;
  return underlay_mtu > overhead ? underlay_mtu - overhead : 0;
}

void add_route_state(PortState& state, netlink::Netlink& kernel, const PortSpec& port, const Route& route, bool first) {
  if (!route.usable) {
    if (!port.multipoint() && state.error.empty()) state.error = route.problem;
    return;
  }
  state.present = true;
  const unsigned mtu = guest_mtu(port.tunnel, route.mtu);
  state.mtu = state.mtu == 0 ? mtu : std::min(state.mtu, mtu);
  if (!first) return;
  const auto link = kernel.link(route.ifindex);
  state.details.emplace_back("tunnel_egress_iface", link ? link->name : std::to_string(route.ifindex));
  state.details.emplace_back("local_ip", route.local.to_string());
}

}  // namespace heddle::dp
