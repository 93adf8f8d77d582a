// SPDX-License-Identifier: Apache-2.0
#include "datapath/control/route.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <vector>

namespace heddle::dp {
namespace {

std::string foreign_text(const IpAddr& local) {
  return "local_ip " + local.to_string() + " is not an address of this host";
}

// With a route's question the kernel checks an IPv4 source only.
bool is_foreign_v6(netlink::Netlink& kernel, const std::optional<IpAddr>& local) {
  if (!local || !local->is_v6()) return false;
  const auto own = kernel.route(*local, std::nullopt);
  return own && !own->local;
}

// The device of an IPv6 source address; or, without one, an address of the device that the kernel would choose that
// other hosts can answer to. The kernel itself would take the device of the first route for multicast, and any source.
void choose_v6_source(netlink::Netlink& kernel, const std::optional<IpAddr>& local, Route& out) {
  const auto addresses = kernel.addresses();
  if (!addresses) {
    out.problem = addresses.error().text;
    return;
  }
  for (const auto& a : *addresses) {
    const bool fits = local ? a.addr == *local : a.ifindex == out.ifindex && !a.addr.is_link_local_v6();
    if (!fits || !a.addr.is_v6() || a.tentative) continue;
    out.ifindex = a.ifindex;
    out.local = a.addr;
    return;
  }
  out.problem = local ? foreign_text(*local) : "the device towards the group has no address that remotes can answer to";
}

Route ask_group_route(netlink::Netlink& kernel, const IpAddr& group, const std::optional<IpAddr>& local) {
  Route out;
  out.next_hop = group;
  const bool by_address = local && local->is_v6();
  const auto route = by_address ? Result<netlink::Route>{} : kernel.route(group, local);
  if (!route) {
    out.problem = local && route.error().code == Errc::invalid ? foreign_text(*local) : route.error().text;
  } else if (!by_address && (route->unreachable || route->ifindex == 0)) {
    out.problem = "no route to group " + group.to_string();
  } else {
    out.ifindex = route->ifindex;
    out.local = route->source;
    if (group.is_v6()) choose_v6_source(kernel, local, out);
  }
  if (!out.problem.empty()) {
    if (!local) out.problem += ": set options:local_ip to an address of the device that leads to the underlay";
    return out;
  }
  const auto link = kernel.link(out.ifindex);
  if (!link) {
    out.problem = link.error().text;
  } else if (!link->admin_up) {
    out.problem = "device " + link->name + ", which leads to group " + group.to_string() + ", is down";
  } else {
    out.mtu = link->mtu;
    out.devices = {out.ifindex};
    out.usable = true;
  }
  return out;
}

}  // namespace

Route ask_route(netlink::Netlink& kernel, const IpAddr& remote, const std::optional<IpAddr>& local) {
  if (remote.is_multicast()) return ask_group_route(kernel, remote, local);
  Route out;
  const auto route = kernel.route(remote, local);
  if (!route && local && route.error().code == Errc::invalid) {
    out.problem = foreign_text(*local);
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
  if (out.problem.empty() && is_foreign_v6(kernel, local)) out.problem = foreign_text(*local);
  out.usable = out.problem.empty();
  if (out.usable)
    if (auto devices = kernel.route_devices(remote, local)) out.devices = std::move(*devices);
  return out;
}

std::string same_end_point_text(const std::string& other) {
  return "port " + other + " is a tunnel with the same end points and key: change options:key or an address";
}

// Outer IP, UDP and VXLAN headers and the inner Ethernet header are the difference.
unsigned guest_mtu(const TunnelSpec& tunnel, unsigned underlay_mtu) {
  constexpr unsigned kUdp = 8;
  constexpr unsigned kVxlan = 8;
  constexpr unsigned kEthernet = 14;
  const unsigned overhead = (tunnel.v6 ? 40U : 20U) + kUdp + kVxlan + kEthernet;
  return underlay_mtu > overhead ? underlay_mtu - overhead : 0;
}

void add_routes_state(PortState& state, netlink::Netlink& kernel, const PortSpec& port, std::span<const Route> routes) {
  std::vector<std::string> problems;
  const Route* first = nullptr;
  for (const Route& route : routes) {
    if (!route.usable) {
      problems.push_back(route.problem);
      continue;
    }
    if (first == nullptr) first = &route;
    const unsigned mtu = guest_mtu(port.tunnel, route.mtu);
    state.mtu = state.mtu == 0 ? mtu : std::min(state.mtu, mtu);
  }
  if (first != nullptr) {
    state.present = true;
    const auto link = kernel.link(first->ifindex);
    state.details.emplace_back("tunnel_egress_iface", link ? link->name : std::to_string(first->ifindex));
    state.details.emplace_back("local_ip", first->local.to_string());
  }
  if (problems.empty()) return;
  if (first == nullptr && state.error.empty()) state.error = problems.front();
  if (!port.multipoint()) return;
  constexpr std::size_t most = 4;
  const std::size_t shown = std::min(problems.size(), most);
  std::string text =
      fmt::format("{}", fmt::join(problems.begin(), problems.begin() + static_cast<std::ptrdiff_t>(shown), "; "));
  if (problems.size() > shown) text += fmt::format("; and {} more", problems.size() - shown);
  state.details.emplace_back("unreachable", std::move(text));
}

}  // namespace heddle::dp
