// SPDX-License-Identifier: Apache-2.0
#include "datapath/kernel/tunnel_ports.h"

#include <linux/bpf.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/log.h"
#include "datapath/control/counted_numbers.h"
#include "datapath/control/route.h"

namespace heddle::dp {
namespace {

constexpr __u32 kV6 = 1U << 24;  // in hd_vni.vni

__u32 form_of(const TunnelSpec& v) {
  if (v.remote) return v.local ? 1U : 2U;
  return v.local ? 4U : 8U;
}

hd_tunnel key_of(const TunnelSpec& v, int device) {
  hd_tunnel key{};
  key.net.device = static_cast<__u32>(device);
  key.net.vni = v.vxlan().vni | (v.v6 ? kV6 : 0);
  copy_address(key.remote, v.remote);
  copy_address(key.local, v.local);
  return key;
}

std::optional<hd_group> group_of(const TunnelSpec& v, const hd_vni& net) {
  if (!v.group) return std::nullopt;
  hd_group key{};
  key.net = net;
  copy_address(key.group, v.group);
  return key;
}

bool same(const hd_tunnel& a, const hd_tunnel& b) { return std::memcmp(&a, &b, sizeof a) == 0; }
bool same(const hd_vni& a, const hd_vni& b) { return a.device == b.device && a.vni == b.vni; }

}  // namespace

void TunnelPorts::write_vni(const hd_vni& net) {
  __u32 forms = 0;
  for (const auto& [no, tunnel] : in_force_)
    if (same(tunnel.key.net, net)) forms |= tunnel.form;
  if (forms == 0)
    programs_.vnis.erase(net);
  else if (auto ok = programs_.vnis.put(net, forms); !ok)
    spdlog::error("{}", ok.error().text);
}

void TunnelPorts::write_fields(const PortEntry& p, int device, hd_port& next) const {
  const TunnelSpec& v = p.spec().tunnel;
  constexpr __u32 ours = HD_UP | HD_TUNNEL | HD_MULTIPOINT | HD_SPLIT_HORIZON | HD_TOS_INHERIT | HD_TTL_INHERIT;
  next.flags &= ~ours;
  next.flags |= HD_UP | HD_TUNNEL;
  if (p.multipoint()) next.flags |= HD_MULTIPOINT;
  if (v.split_horizon) next.flags |= HD_SPLIT_HORIZON;
  if (v.tos_inherit) next.flags |= HD_TOS_INHERIT;
  if (v.ttl_inherit) next.flags |= HD_TTL_INHERIT;
  next.ifindex = static_cast<__u32>(device);
  next.mtu = 0;
  next.tos = v.tos;
  next.ttl = v.ttl;
  next.vni = v.vxlan().vni;
  next.remote = p.tunnel.remote;
  next.tunnel_flags = 0;
  if (v.df) next.tunnel_flags |= BPF_F_DONT_FRAGMENT;
  if (!v.csum) next.tunnel_flags |= BPF_F_ZERO_CSUM_TX;
}

Result<> TunnelPorts::put(PortEntry& p) {
  const TunnelSpec& v = p.spec().tunnel;
  const auto device = devices_.acquire(v.vxlan().dst_port, p.no);
  if (!device) return std::unexpected(device.error());
  const hd_tunnel key = key_of(v, *device);
  const InForce next{key, form_of(v), group_of(v, key.net)};
  for (const auto& [no, other] : in_force_)
    if (const PortEntry* q = ports_.find(no); no != p.no && same_end_point(q->spec().tunnel, v))
      return fail(Errc::exists, same_end_point_text(q->name()));
  hd_port conf = p.conf;
  write_fields(p, *device, conf);
  if (auto ok = table_.write(p, conf); !ok) return ok;
  if (auto ok = programs_.tunnels.put(next.key, static_cast<__u32>(p.no)); !ok) return ok;
  if (next.group)
    if (auto ok = programs_.groups.put(*next.group, static_cast<__u32>(p.no)); !ok) return ok;
  in_force_[p.no] = next;
  write_vni(next.key.net);
  return {};
}

Result<> TunnelPorts::add(PortEntry& p) {
  const TunnelSpec& v = p.spec().tunnel;
  if (v.remote) {
    const auto remote = remotes_.acquire({*v.remote, v.local});
    if (!remote) return std::unexpected(remote.error());
    p.tunnel.remote = *remote;
  }
  if (auto ok = put(p); !ok) {
    if (p.tunnel.remote != 0) remotes_.release(std::exchange(p.tunnel.remote, 0));
    devices_.release(v.vxlan().dst_port, p.no);
    return ok;
  }
  fdb_.add_port(p.no, {p.multipoint(), p.tunnel.remote, v.local});
  return {};
}

void TunnelPorts::remove(PortEntry& p) {
  if (const auto it = in_force_.find(p.no); it != in_force_.end()) {
    const InForce gone = it->second;
    const auto no = static_cast<__u32>(p.no);
    if (programs_.tunnels.get(gone.key) == no) programs_.tunnels.erase(gone.key);
    if (gone.group && programs_.groups.get(*gone.group) == no) programs_.groups.erase(*gone.group);
    in_force_.erase(it);
    write_vni(gone.key.net);
  }
  devices_.release(p.spec().tunnel.vxlan().dst_port, p.no);
  if (p.tunnel.remote != 0) remotes_.release(std::exchange(p.tunnel.remote, 0));
  release(std::exchange(p.tunnel.flood, {}));
  follow_group(p);
}

// The host is a member on the device by which the group's packets leave.
void TunnelPorts::follow_group(const PortEntry& p) {
  const auto before = groups_.of(p.no);
  std::optional<GroupMemberships::Member> member;
  if (const auto& group = p.spec().tunnel.group; group && !p.tunnel.flood.empty()) {
    const Route route = remotes_.route(p.tunnel.flood.front());
    if (route.usable) member = {*group, route.ifindex};
  }
  groups_.set(p.no, member);
  if (member) group_routes_.put(*member);
  if (before && before != member && !groups_.has(*before)) group_routes_.remove(*before);
}

void TunnelPorts::follow_groups() {
  for (const auto& [no, p] : ports_)
    if (p.is_tunnel() && p.spec().tunnel.group) follow_group(p);
  groups_.retry();
}

void TunnelPorts::release(const std::vector<std::uint32_t>& remotes) {
  for (const std::uint32_t n : remotes) remotes_.release(n);
}

Result<> TunnelPorts::set_flood(PortEntry& p, const std::vector<IpAddr>& remotes, std::vector<std::uint32_t>& before) {
  if (!p.multipoint())
    return fail(Errc::invalid, "a flood list needs a multipoint tunnel port (options:remote_ip=flow)");
  if (remotes.size() > limits::kFloodList)
    return fail(Errc::limit, "flood list of " + std::to_string(remotes.size()) + " remotes: at most " +
                                 std::to_string(limits::kFloodList));
  auto next = acquire_all(
      remotes,
      [&](const IpAddr& remote) {
        return remotes_.acquire({remote, p.spec().tunnel.local});
      },
      [this](std::uint32_t n) { remotes_.release(n); });
  if (!next) return std::unexpected(next.error());
  before = std::exchange(p.tunnel.flood, std::move(*next));
  follow_group(p);
  return {};
}

PortState TunnelPorts::state(const PortEntry& p, netlink::Netlink& kernel) const {
  PortState s;
  s.admin_up = true;
  s.error = p.tunnel.error;
  s.details = {{"tunnel", p.spec().traits().type},
               {"tunnel_device", VxlanDevices::device_name(p.spec().tunnel.vxlan().dst_port)}};
  std::vector<std::uint32_t> remotes = p.tunnel.flood;
  if (p.tunnel.remote != 0) remotes = {p.tunnel.remote};
  s.present = p.multipoint();
  std::vector<Route> routes;
  routes.reserve(remotes.size());
  for (const std::uint32_t n : remotes) routes.push_back(remotes_.route(n));
  add_routes_state(s, kernel, p.spec(), routes);
  groups_.add_state(p.no, s);
  s.link_up = s.present;
  return s;
}

void TunnelPorts::on_link_gone(const netlink::Link& link, std::set<PortNo>& changed) {
  guard_.on_link_gone(link.index);
  groups_.on_link_gone(link.index);
  const auto udp_port = devices_.on_link_gone(link);
  if (!udp_port) return;
  std::erase_if(in_force_, [&](const auto& t) { return t.second.key.net.device == static_cast<__u32>(link.index); });
  for (auto& [no, p] : ports_) {
    if (!p.is_tunnel() || p.spec().tunnel.vxlan().dst_port != *udp_port) continue;
    const auto ok = put(p);
    p.tunnel.error = ok ? "" : ok.error().text;
    changed.insert(no);
  }
  drop_stale();
}

void TunnelPorts::try_again(PortEntry& p) {
  groups_.retry();
  if (p.tunnel.error.empty()) return;
  const auto ok = put(p);
  p.tunnel.error = ok ? "" : ok.error().text;
}

void TunnelPorts::drop_stale() {
  programs_.tunnels.for_each([&](const hd_tunnel& key, __u32 port) {
    const auto it = in_force_.find(static_cast<PortNo>(port));
    if (it == in_force_.end() || !same(it->second.key, key)) programs_.tunnels.erase(key);
  });
  programs_.groups.for_each([&](const hd_group& key, __u32 port) {
    const auto it = in_force_.find(static_cast<PortNo>(port));
    const bool known =
        it != in_force_.end() && it->second.group && std::memcmp(&*it->second.group, &key, sizeof key) == 0;
    if (!known) programs_.groups.erase(key);
  });
  programs_.vnis.for_each([&](const hd_vni& net, __u32 /*forms*/) { write_vni(net); });
}

}  // namespace heddle::dp
