// SPDX-License-Identifier: Apache-2.0
// Tunnel ports and the vxlan devices under them.
#include <algorithm>
#include <cstring>

#include "base/log.h"
#include "datapath/kernel/kernel_datapath_impl.h"

namespace heddle::dp {
namespace {

constexpr __u32 kV6 = 1U << 24;  // in hd_vni.vni

// Outer IP, UDP and VXLAN headers and the inner Ethernet header: what a guest's packet has less room than the
// underlay's.
unsigned guest_overhead(bool v6) { return (v6 ? 40U : 20U) + 8 + 8 + 14; }

std::string device_name(std::uint16_t udp_port) { return "hdvx" + std::to_string(udp_port); }

// Which bit of hd_vni's value stands for a key like this.
__u32 form(const TunnelSpec& v) {
  if (v.remote) return v.local ? 1U : 2U;
  return v.local ? 4U : 8U;
}

}  // namespace

Result<KernelDatapath::VxlanDevice*> KernelDatapath::vxlan_device(std::uint16_t udp_port) {
  if (const auto it = vxlan_.find(udp_port); it != vxlan_.end()) return &it->second;
  const std::string name = device_name(udp_port);
  auto link = kernel_->link(name);
  if (link && link->kind == "vxlan" && may_adopt(*link) && kernel_->set_alias(link->index, options_.owner))
    link = kernel_->link(name);
  if (link && (link->alias != options_.owner || link->kind != "vxlan"))
    return fail(Errc::exists, "network device " + name +
                                  " exists and was not made by the switch: remove it (ip link del " + name + ")");
  const bool fresh = !link;
  if (fresh) {
    netlink::VxlanDeviceSpec spec;
    spec.name = name;
    spec.udp_port = udp_port;
    spec.alias = options_.owner;
    link = kernel_->add_vxlan(spec);
    if (!link) return std::unexpected(link.error());
  }
  silence(name);
  // The program comes first: what it does not take would reach the host's own stack.
  Result<> ok{};
  const auto index = static_cast<__u32>(link->index);
  if (!programs_->strays.get(index)) ok = programs_->strays.put(index, {});
  Result<Hook> hook = fail(Errc::system, "");
  if (ok) hook = Hook::attach(*pins_, *kernel_, {link->index, name, false, true}, programs_->tunnel_ingress());
  if (ok && hook) ok = kernel_->set_up(link->index, true);
  if (!ok || !hook) {
    if (fresh) (void)kernel_->remove_link(link->index);
    return std::unexpected(ok ? hook.error() : ok.error());
  }
  if (auto up = kernel_->link(link->index)) link = up;
  VxlanDevice& device = vxlan_[udp_port];
  device = {*link, std::move(*hook)};
  spdlog::info("underlay: device {} takes VXLAN at UDP port {}", name, udp_port);
  return &device;
}

void KernelDatapath::release_vxlan_device(std::uint16_t udp_port) {
  const bool used = std::ranges::any_of(
      ports_, [&](const auto& e) { return e.second.tunnel() && e.second.spec.tunnel.vxlan().dst_port == udp_port; });
  const auto it = vxlan_.find(udp_port);
  if (used || it == vxlan_.end()) return;
  (void)kernel_->remove_link(it->second.link.index);
  it->second.hook.detach(*pins_, *kernel_);
  programs_->strays.erase(static_cast<__u32>(it->second.link.index));
  vxlan_.erase(it);
}

hd_tunnel KernelDatapath::tunnel_key(const PortEntry& p) const {
  const TunnelSpec& v = p.spec.tunnel;
  hd_tunnel key{};
  if (const auto device = vxlan_.find(v.vxlan().dst_port); device != vxlan_.end())
    key.net.device = static_cast<__u32>(device->second.link.index);
  key.net.vni = v.vxlan().vni | (v.v6 ? kV6 : 0);
  copy_address(key.remote, v.remote);
  copy_address(key.local, v.local);
  return key;
}

void KernelDatapath::write_vni(const hd_vni& net) {
  __u32 forms = 0;
  for (const auto& [no, p] : ports_) {
    if (!p.tunnel()) continue;
    const hd_vni other = tunnel_key(p).net;
    if (other.device == net.device && other.vni == net.vni) forms |= form(p.spec.tunnel);
  }
  if (forms == 0)
    programs_->vnis.erase(net);
  else if (auto ok = programs_->vnis.put(net, forms); !ok)
    spdlog::error("{}", ok.error().text);
}

// Writes what the programs need for both directions. The port is in ports_ already.
Result<> KernelDatapath::put_tunnel(PortEntry& p) {
  const TunnelSpec& v = p.spec.tunnel;
  const auto device = vxlan_device(v.vxlan().dst_port);
  if (!device) return std::unexpected(device.error());
  const hd_tunnel key = tunnel_key(p);
  const auto other = programs_->tunnels.get(key);
  if (other && *other != static_cast<__u32>(p.no) && find(static_cast<PortNo>(*other)) != nullptr)
    return fail(Errc::exists, "port " + find(static_cast<PortNo>(*other))->spec.name +
                                  " is a tunnel with the same end points and key: change options:key or an address");
  hd_port next = p.conf;
  constexpr __u32 ours = HD_UP | HD_TUNNEL | HD_MULTIPOINT | HD_SPLIT_HORIZON | HD_TOS_INHERIT | HD_TTL_INHERIT;
  next.flags &= ~ours;
  next.flags |= HD_UP | HD_TUNNEL;
  if (p.multipoint()) next.flags |= HD_MULTIPOINT;
  if (v.split_horizon) next.flags |= HD_SPLIT_HORIZON;
  if (v.tos_inherit) next.flags |= HD_TOS_INHERIT;
  if (v.ttl_inherit) next.flags |= HD_TTL_INHERIT;
  next.ifindex = static_cast<__u32>((*device)->link.index);
  next.mtu = 0;
  next.tos = v.tos;
  next.ttl = v.ttl;
  next.vni = v.vxlan().vni;
  next.remote = p.remote;
  next.tunnel_flags = 0;
  if (v.df) next.tunnel_flags |= BPF_F_DONT_FRAGMENT;
  if (!v.csum) next.tunnel_flags |= BPF_F_ZERO_CSUM_TX;
  if (auto ok = write_conf(p, next); !ok) return ok;
  if (auto ok = programs_->tunnels.put(key, static_cast<__u32>(p.no)); !ok) return ok;
  write_vni(key.net);
  return {};
}

Result<> KernelDatapath::add_tunnel(PortEntry& p) {
  const TunnelSpec& v = p.spec.tunnel;
  if (v.remote) {
    const auto remote = remotes_->acquire({*v.remote, v.local});
    if (!remote) return std::unexpected(remote.error());
    p.remote = *remote;
  }
  if (auto ok = put_tunnel(p); !ok) {
    if (p.remote != 0) remotes_->release(std::exchange(p.remote, 0));
    p.spec.kind = PortKind::netdev;  // no user of the device any more
    release_vxlan_device(v.vxlan().dst_port);
    return ok;
  }
  fdb_->add_port(p.no, {p.multipoint(), p.remote, v.local});
  return {};
}

void KernelDatapath::remove_tunnel(PortEntry& p) {
  const hd_tunnel key = tunnel_key(p);
  if (programs_->tunnels.get(key) == static_cast<__u32>(p.no)) programs_->tunnels.erase(key);
  const std::uint16_t udp_port = p.spec.tunnel.vxlan().dst_port;
  p.spec.kind = PortKind::netdev;  // no user of network and device any more
  write_vni(key.net);
  release_vxlan_device(udp_port);
  if (p.remote != 0) remotes_->release(std::exchange(p.remote, 0));
  for (const std::uint32_t n : std::exchange(p.flood, {})) remotes_->release(n);
}

// What failed when a device had to be made anew may work now.
void KernelDatapath::retry_tunnels(std::set<PortNo>& changed) {
  for (auto& [no, p] : ports_) {
    if (!p.tunnel() || p.error.empty()) continue;
    const auto ok = put_tunnel(p);
    p.error = ok ? "" : ok.error().text;
    if (ok) changed.insert(no);
  }
}

PortState KernelDatapath::tunnel_state(const PortEntry& p) const {
  PortState s;
  s.admin_up = true;
  s.error = p.error;
  s.details = {{"tunnel", "vxlan"}, {"tunnel_device", device_name(p.spec.tunnel.vxlan().dst_port)}};
  std::vector<std::uint32_t> remotes = p.flood;
  if (p.remote != 0) remotes = {p.remote};
  s.present = p.multipoint();
  for (const std::uint32_t n : remotes) {
    const Remotes::View view = remotes_->view(n);
    if (!view.usable) {
      if (p.remote != 0 && s.error.empty()) s.error = view.problem;
      continue;
    }
    s.present = true;
    const unsigned overhead = guest_overhead(p.spec.tunnel.v6);
    const unsigned mtu = view.mtu > overhead ? view.mtu - overhead : 0;
    s.mtu = s.mtu == 0 ? mtu : std::min(s.mtu, mtu);
    if (n != remotes.front()) continue;
    auto link = kernel_->link(view.ifindex);
    s.details.emplace_back("tunnel_egress_iface", link ? link->name : std::to_string(view.ifindex));
    s.details.emplace_back("local_ip", view.local.to_string());
  }
  s.link_up = s.present;
  return s;
}

std::vector<UnderlayCounters> KernelDatapath::underlay_counters() const {
  std::vector<UnderlayCounters> out;
  for (const auto& [udp_port, device] : vxlan_) {
    UnderlayCounters c;
    c.name = device.link.name;
    if (const auto drops = programs_->strays.get(static_cast<__u32>(device.link.index)))
      std::copy_n(drops->count, kDropCount, c.counters.drops.begin());
    if (const auto stats = kernel_->statistics(device.link.index)) {
      c.counters.rx_packets = stats->rx_packets;
      c.counters.rx_bytes = stats->rx_bytes;
      c.counters.tx_packets = stats->tx_packets;
      c.counters.tx_bytes = stats->tx_bytes;
      // vxlan counts as a frame error what RFC 6040 makes it drop.
      c.counters.drops[static_cast<std::size_t>(Drop::ecn_invalid)] += stats->rx_frame_errors;
      c.counters.drops[static_cast<std::size_t>(Drop::tx_error)] += stats->tx_lost;
    }
    out.push_back(std::move(c));
  }
  return out;
}

}  // namespace heddle::dp
