// SPDX-License-Identifier: Apache-2.0
#include "datapath/user/user_tunnels.h"

#include <algorithm>
#include <utility>

#include "datapath/control/route.h"

namespace heddle::dp {

Result<> UserTunnels::add(PortNo no, const PortSpec& spec) {
  const TunnelSpec& tunnel = spec.tunnel;
  for (const auto& [other, known] : tunnels_)
    if (same_end_point(known.spec.tunnel, tunnel)) return fail(Errc::exists, same_end_point_text(known.spec.name));
  if (auto ok = underlays_.add_user(tunnel.vxlan().dst_port, tunnel.v6); !ok) return ok;
  paths_.add_port(no, tunnel);
  Tunnel& added = tunnels_[no] = {spec, 0, {}};
  if (tunnel.remote) {
    const auto path = paths_.acquire(no, *tunnel.remote);
    if (!path) {
      remove(no);
      return std::unexpected(path.error());
    }
    added.path = *path;
  }
  underlays_.serve();
  underlays_.update_filters();
  trust_.refresh();
  news_.start_checks();
  return {};
}

void UserTunnels::remove(PortNo no) {
  const auto it = tunnels_.find(no);
  if (it == tunnels_.end()) return;
  const TunnelSpec tunnel = it->second.spec.tunnel;
  tunnels_.erase(it);
  underlays_.groups().set(no, std::nullopt);
  paths_.remove_port(no);
  underlays_.drop_user(tunnel.vxlan().dst_port, tunnel.v6);
  underlays_.serve();
  underlays_.update_filters();
  trust_.refresh();
}

Result<std::vector<std::uint32_t>> UserTunnels::set_flood(PortNo no, std::span<const IpAddr> remotes) {
  const auto it = tunnels_.find(no);
  if (it == tunnels_.end() || !it->second.spec.multipoint())
    return fail(Errc::invalid, "a flood list needs a multipoint tunnel port (options:remote_ip=flow)");
  if (remotes.size() > limits::kFloodList)
    return fail(Errc::limit, "flood list of " + std::to_string(remotes.size()) + " remotes: at most " +
                                 std::to_string(limits::kFloodList));
  auto next = acquire_all(
      remotes, [&](const IpAddr& remote) { return paths_.acquire(no, remote); },
      [this](std::uint32_t path) { paths_.release(path); });
  if (!next) return next;
  trust_.refresh();
  auto former = std::exchange(it->second.flood, std::move(*next));
  if (it->second.spec.tunnel.group) {
    follow_group(no, it->second);
    underlays_.serve();
    underlays_.update_filters();
  }
  return former;
}

// The host is a member on the device by which the group's packets leave.
void UserTunnels::follow_group(PortNo no, const Tunnel& tunnel) {
  const auto& group = tunnel.spec.tunnel.group;
  if (!group) return;
  std::optional<GroupMemberships::Member> member;
  if (!tunnel.flood.empty()) {
    const Route route = paths_.view(tunnel.flood.front()).route;
    if (route.usable) member = {*group, route.ifindex};
  }
  underlays_.groups().set(no, member);
}

void UserTunnels::release(const std::vector<std::uint32_t>& paths) {
  for (const std::uint32_t path : paths) paths_.release(path);
  underlays_.serve();
}

const UserTunnels::Tunnel* UserTunnels::find(PortNo no) const {
  const auto it = tunnels_.find(no);
  return it == tunnels_.end() ? nullptr : &it->second;
}

void UserTunnels::add_state(PortNo no, PortState& state) const {
  const Tunnel* tunnel = find(no);
  if (tunnel == nullptr) return;
  state.admin_up = true;
  state.details.emplace_back("tunnel", tunnel->spec.traits().type);
  state.present = tunnel->spec.multipoint();
  std::vector<std::uint32_t> paths = tunnel->flood;
  if (tunnel->path != 0) paths = {tunnel->path};
  std::vector<PathResolver::View> views;
  std::vector<Route> routes;
  for (const std::uint32_t number : paths) {
    views.push_back(paths_.view(number));
    routes.push_back(views.back().route);
  }
  add_routes_state(state, kernel_, tunnel->spec, routes);
  underlays_.groups().add_state(no, state);
  const auto first = std::ranges::find_if(views, [](const auto& view) { return view.route.usable; });
  if (first != views.end()) {
    state.details.emplace_back("underlay_io", first->afxdp ? "afxdp" : "socket");
    if (std::string why = underlays_.why_not(first->route.ifindex); !why.empty())
      state.details.emplace_back("underlay_note", std::move(why));
  }
  state.link_up = state.present;
}

void UserTunnels::refresh(std::set<PortNo>& changed) {
  const bool different = paths_.refresh();
  for (const auto& [no, tunnel] : tunnels_) follow_group(no, tunnel);
  underlays_.groups().retry();
  underlays_.serve();
  underlays_.update_filters();
  trust_.refresh();
  if (!different) return;
  for (const auto& [no, tunnel] : tunnels_) changed.insert(no);
}

}  // namespace heddle::dp
