// SPDX-License-Identifier: Apache-2.0
// Tunnel ports, the devices and sockets under them, and the kernel's news.
#include <sys/epoll.h>
#include <sys/timerfd.h>

#include <algorithm>
#include <cerrno>

#include "base/log.h"
#include "datapath/user/socket_underlay.h"
#include "datapath/user/user_datapath_impl.h"

namespace heddle::dp {
namespace {

// Routes may change thousands of times a second (a full Internet table): paths are asked for again at most this often.
constexpr auto kPathDelay = std::chrono::milliseconds(50);
// How often the kernel is made to check neighbours; its own timer for reachable ones is about as long.
constexpr auto kProbe = std::chrono::seconds(30);

// Outer IP, UDP and VXLAN headers and the inner Ethernet header: what a guest's packet has less room than the
// underlay's.
unsigned guest_overhead(bool v6) { return (v6 ? 40U : 20U) + 8 + 8 + 14; }

timespec to_timespec(std::chrono::milliseconds t) { return {t.count() / 1000, t.count() % 1000 * 1'000'000}; }

}  // namespace

Result<> UserDatapath::add_tunnel(PortEntry& p) {
  const TunnelSpec& v = p.spec.tunnel;
  if (auto ok = open_socket(v.vxlan().dst_port, v.v6); !ok) return ok;
  tunnels_->add_port(p.no, v);
  if (v.remote) {
    auto path = tunnels_->acquire(p.no, *v.remote);
    if (!path) {
      remove_tunnel(p);
      return std::unexpected(path.error());
    }
    p.path = *path;
  }
  serve_egress_devices();
  update_filters();
  arm_timer();
  return {};
}

void UserDatapath::remove_tunnel(PortEntry& p) {
  tunnels_->remove_port(p.no);
  const auto key = std::pair{p.spec.tunnel.vxlan().dst_port, p.spec.tunnel.v6};
  const bool used = std::any_of(ports_.begin(), ports_.end(), [&](const auto& other) {
    const PortSpec& s = other.second.spec;
    return other.first != p.no && s.is_tunnel() && std::pair{s.tunnel.vxlan().dst_port, s.tunnel.v6} == key;
  });
  if (!used) {
    if (const auto it = sockets_.find(key); it != sockets_.end()) {
      draft_->remove_io(it->second.slot);
      sockets_.erase(it);
    }
  }
  serve_egress_devices();
  update_filters();
}

Result<> UserDatapath::set_flood(PortEntry& p, std::span<const IpAddr> remotes) {
  if (!p.spec.multipoint())
    return fail(Errc::invalid, "a flood list needs a multipoint tunnel port (options:remote_ip=flow)");
  if (remotes.size() > limits::kFloodList)
    return fail(Errc::limit, "flood list of " + std::to_string(remotes.size()) + " remotes: at most " +
                                 std::to_string(limits::kFloodList));
  std::vector<std::uint32_t> next;
  for (const IpAddr& remote : remotes) {
    auto path = tunnels_->acquire(p.no, remote);
    if (!path) {
      for (const std::uint32_t n : next) tunnels_->release(n);
      return std::unexpected(path.error());
    }
    next.push_back(*path);
  }
  std::swap(p.flood, next);
  put_conf(p);
  draft_->publish();
  for (const std::uint32_t n : next) tunnels_->release(n);
  serve_egress_devices();
  return {};
}

PortState UserDatapath::tunnel_state(const PortEntry& p) const {
  PortState s;
  s.admin_up = true;
  s.details = {{"tunnel", "vxlan"}};
  std::vector<std::uint32_t> paths = p.flood;
  if (p.path != 0) paths = {p.path};
  s.present = p.spec.tunnel.remote == std::nullopt;
  for (const std::uint32_t n : paths) {
    const Tunnels::View view = tunnels_->view(n);
    if (!view.usable) {
      if (p.path != 0) s.error = view.problem;
      continue;
    }
    s.present = true;
    const unsigned overhead = guest_overhead(p.spec.tunnel.v6);
    const unsigned mtu = view.mtu > overhead ? view.mtu - overhead : 0;
    s.mtu = s.mtu == 0 ? mtu : std::min(s.mtu, mtu);
    if (n != paths.front()) continue;
    auto link = kernel_->link(view.ifindex);
    s.details.emplace_back("tunnel_egress_iface", link ? link->name : std::to_string(view.ifindex));
    s.details.emplace_back("local_ip", view.local.to_string());
    s.details.emplace_back("underlay_io", view.afxdp ? "afxdp" : "socket");
    if (const auto why = no_afxdp_.find(view.ifindex); why != no_afxdp_.end())
      s.details.emplace_back("underlay_note", why->second);
  }
  s.link_up = s.present;
  return s;
}

Result<> UserDatapath::open_socket(std::uint16_t udp_port, bool v6) {
  if (sockets_.contains({udp_port, v6})) return {};
  auto io = SocketUnderlay::open(udp_port, v6);
  if (!io) return std::unexpected(io.error());
  Underlay u;
  u.name = "udp:" + std::to_string(udp_port) + (v6 ? ":ipv6" : "");
  u.shared = std::make_unique<PortShared>(options_.workers);
  u.io = std::move(*io);
  auto slot = draft_->add_io(u.io, PortNo::none, u.shared.get());
  if (!slot) return std::unexpected(slot.error());
  u.slot = *slot;
  tunnels_->set_socket(udp_port, v6, u.slot);
  sockets_[{udp_port, v6}] = std::move(u);
  draft_->publish();
  return {};
}

// Opens AF_XDP on devices that tunnels leave by, and closes it on those they left.
void UserDatapath::serve_egress_devices() {
  const std::set<int> wanted = tunnels_->egress_devices();
  std::vector<int> unused;
  for (const auto& [ifindex, u] : underlays_) {
    if (!wanted.contains(ifindex)) unused.push_back(ifindex);
  }
  for (const int ifindex : unused) close_underlay(ifindex);
  std::erase_if(no_afxdp_, [&](const auto& e) { return !wanted.contains(e.first); });

  for (const int ifindex : wanted) {
    if (!underlays_.contains(ifindex) && !no_afxdp_.contains(ifindex)) open_underlay(ifindex);
  }
}

// no_afxdp_ says why it did not.
void UserDatapath::open_underlay(int ifindex) {
  auto link = kernel_->link(ifindex);
  if (!link) return;
  if (by_name_.contains(link->name)) {
    no_afxdp_[ifindex] = link->name + " is a port of a bridge";
    return;
  }
  if (link->name == "lo" || link->kind == "bridge" || link->kind == "bond" || link->kind == "vlan") {
    no_afxdp_[ifindex] = "no AF_XDP on a device of kind " + (link->kind.empty() ? "loopback" : link->kind);
    return;
  }
  AfxdpConfig config;
  config.device = link->name;
  config.ifindex = ifindex;
  config.mtu = link->mtu;
  config.underlay = true;
  config.fill = fill_share();
  if (auto info = netlink::ethtool_info(link->name))
    config.queues = std::clamp<unsigned>(info->rx_queues, 1, limits::kQueuesPerPort);
  auto io = AfxdpPort::open(*xsks_, programs_, config);
  if (!io) {
    if (std::exchange(no_afxdp_[ifindex], io.error().text) != io.error().text)
      spdlog::warn("underlay {}: {}; tunnels through it take the slower way through the host", link->name,
                   io.error().text);
    if (io.error().code == Errc::exists) retry_.add_underlay(ifindex);
    return;
  }
  no_afxdp_.erase(ifindex);
  Underlay u;
  u.name = link->name;
  u.shared = std::make_unique<PortShared>(options_.workers);
  u.afxdp = io->get();
  u.io = std::move(*io);
  u.fill = config.fill * config.queues;
  if (config.fill > 0) u.sharing = config.queues;
  auto slot = draft_->add_io(u.io, PortNo::none, u.shared.get());
  if (!slot) return;
  u.slot = *slot;
  filled_ += u.fill;
  queues_ += u.sharing;
  underlays_[ifindex] = std::move(u);
  draft_->publish();
  update_filters();
  tunnels_->set_device(ifindex, *slot, link->mac);
  spdlog::info("underlay {}: AF_XDP takes the tunnels' UDP ports, all else stays with the host", link->name);
}

void UserDatapath::close_underlay(int ifindex) {
  const auto it = underlays_.find(ifindex);
  if (it == underlays_.end()) return;
  tunnels_->set_device(ifindex, kNoIo, {});
  Underlay& u = it->second;
  draft_->remove_io(u.slot);
  filled_ -= u.fill;
  queues_ -= u.sharing;
  underlays_.erase(it);
}

void UserDatapath::update_filters() {
  if (underlays_.empty()) return;
  std::set<std::uint16_t> udp_ports;
  for (const auto& [no, p] : ports_) {
    if (p.spec.is_tunnel()) udp_ports.insert(p.spec.tunnel.vxlan().dst_port);
  }
  std::set<IpAddr> local;
  if (auto addresses = kernel_->addresses()) {
    for (const auto& a : *addresses) local.insert(a.addr);
  }
  for (auto& [ifindex, u] : underlays_) {
    u.afxdp->set_tunnel_ports(udp_ports);
    u.afxdp->set_local_addresses(local);
  }
}

void UserDatapath::on_link(const netlink::Link& link, std::set<PortNo>& changed) {
  for (auto& [no, p] : ports_) {
    if (!has_device(p)) continue;
    const bool ours = p.link.index == link.index && p.link.index != 0;
    if (ours && p.spec.name != link.name) {
      close_device(p, "network device " + p.spec.name + " was renamed to " + link.name);
      changed.insert(no);
    } else if (ours) {
      if (p.link == link) continue;
      see_link(p, link);
      changed.insert(no);
    } else if (p.spec.name == link.name) {
      close_device(p, "replaced");
      open_device(p);
      put_conf(p);
      draft_->publish_addition(batching());
      changed.insert(no);
    }
  }
  if (const auto u = underlays_.find(link.index); u != underlays_.end())
    tunnels_->set_device(link.index, u->second.slot, link.mac);
}

void UserDatapath::on_link_gone(const netlink::Link& link, std::set<PortNo>& changed) {
  for (auto& [no, p] : ports_) {
    if (p.link.index != link.index || p.link.index == 0) continue;
    close_device(p, "network device " + p.spec.name + " is gone: it is taken up again as soon as it appears");
    spdlog::warn("port {}: {}", p.spec.name, p.error);
    if (p.spec.kind != PortKind::netdev) {
      open_device(p);  // our own device: make it anew
      put_conf(p);
      draft_->publish_addition(batching());
    }
    changed.insert(no);
  }
  close_underlay(link.index);
  no_afxdp_.erase(link.index);
}

// After news were lost.
void UserDatapath::reread_links(std::set<PortNo>& changed) {
  auto links = kernel_->links();
  if (!links) return;
  std::set<int> there;
  for (const auto& link : *links) there.insert(link.index);
  std::vector<netlink::Link> gone;
  for (const auto& [no, p] : ports_) {
    if (p.link.index != 0 && !there.contains(p.link.index)) gone.push_back(p.link);
  }
  for (const auto& [ifindex, u] : underlays_) {
    if (there.contains(ifindex)) continue;
    netlink::Link link;
    link.index = ifindex;
    gone.push_back(link);
  }
  for (const auto& link : gone) on_link_gone(link, changed);
  for (const auto& link : *links) on_link(link, changed);
}

void UserDatapath::arm_timer() {
  itimerspec when{};
  if (paths_dirty_) {
    when.it_value = to_timespec(kPathDelay);
  } else if (!tunnels_->empty()) {
    when.it_value = to_timespec(kProbe);
  }
  timerfd_settime(timer_.get(), 0, &when, nullptr);
}

void UserDatapath::refresh_paths(std::set<PortNo>& changed) {
  update_filters();
  const bool different = tunnels_->refresh();
  serve_egress_devices();
  if (!different) return;
  for (const auto& [no, p] : ports_) {
    if (p.spec.is_tunnel()) changed.insert(no);
  }
}

void UserDatapath::run_control(const std::function<void(PortNo)>& changed) {
  using Kind = netlink::Monitor::Event::Kind;
  std::set<PortNo> touched;
  bool paths_changed = false;
  std::optional<Batch> batch(std::in_place, ports());
  monitor_->drain([&](const netlink::Monitor::Event& e) {
    switch (e.kind) {
      case Kind::link_new:
        on_link(e.link, touched);
        paths_changed = true;
        break;
      case Kind::link_gone:
        on_link_gone(e.link, touched);
        paths_changed = true;
        break;
      case Kind::neighbour:
        tunnels_->refresh(e.neighbour);
        break;
      case Kind::traffic:
        break;
      case Kind::address:
      case Kind::route:
        paths_changed = true;
        break;
      case Kind::overrun:
        reread_links(touched);
        paths_changed = true;
        break;
    }
  });
  std::uint64_t expired = 0;
  const bool timer = read(timer_.get(), &expired, sizeof expired) == sizeof expired;
  if (timer && std::exchange(paths_dirty_, false)) {
    refresh_paths(touched);
    arm_timer();
  } else if (timer) {
    tunnels_->probe_stale();
    arm_timer();
  }
  if (paths_changed && !paths_dirty_ && !tunnels_->empty()) {
    paths_dirty_ = true;
    arm_timer();
  }
  take_again(touched);
  batch.reset();
  patched_.clear();
  touched.merge(std::exchange(met_, {}));
  for (const PortNo no : touched) changed(no);
}

std::vector<UnderlayCounters> UserDatapath::underlay_counters() const {
  std::vector<UnderlayCounters> out;
  const auto add = [&](const Underlay& u) {
    UnderlayCounters c;
    c.name = u.name;
    for (const auto& w : u.shared->worker) w.counters.add_to(c.counters);
    c.counters.drops[static_cast<std::size_t>(Drop::rx_queue_full)] += u.io->rx_lost();
    out.push_back(std::move(c));
  };
  for (const auto& [ifindex, u] : underlays_) add(u);
  for (const auto& [key, u] : sockets_) add(u);
  return out;
}

}  // namespace heddle::dp
