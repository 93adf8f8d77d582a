// SPDX-License-Identifier: Apache-2.0
// The kernel's news: devices, addresses and routes that change.
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>

#include "base/log.h"
#include "datapath/kernel/kernel_datapath_impl.h"

namespace heddle::dp {
namespace {

// Routes may change thousands of times a second (a full Internet table): they are asked for again at most this often.
constexpr auto kRouteDelay = std::chrono::milliseconds(50);
// Path MTUs that the kernel learns from ICMP, and addresses of devices in other namespaces, change without news.
constexpr auto kCheck = std::chrono::seconds(10);
constexpr std::size_t kStationsAtOnce = 64;

timespec to_timespec(std::chrono::milliseconds t) { return {t.count() / 1000, t.count() % 1000 * 1'000'000}; }

}  // namespace

void KernelDatapath::arm_timer() {
  itimerspec when{};
  if (routes_changed_)
    when.it_value = to_timespec(kRouteDelay);
  else if (!ports_.empty())
    when.it_value = to_timespec(kCheck);
  timerfd_settime(timer_.get(), 0, &when, nullptr);
}

// An internal port's device may leave for another namespace and come back; the other end tells where it is. Asked for
// anew: the news of a pair just made does not name the peer yet.
void KernelDatapath::on_internal(PortEntry& p, std::set<PortNo>& changed) {
  auto back = kernel_->link(p.back.index);
  if (!back) return;  // its going is news of its own
  auto near = kernel_->link(p.spec.name);
  const bool moved = !near || near->index != back->link || back->link_netns.has_value();
  const netlink::Link& now = moved ? *back : *near;
  if (moved == p.moved && *back == p.back && now == p.link) return;
  if (moved != p.moved)
    spdlog::info("port {}: its device {}", p.spec.name, moved ? "is in another namespace now" : "is back");
  p.moved = moved;
  p.back = *back;
  see_link(p, now);
  changed.insert(p.no);
}

// Ours to keep up: nobody else has a use for it.
void KernelDatapath::on_vxlan(const netlink::Link& link) {
  for (auto& [udp_port, device] : vxlan_) {
    if (device.link.index != link.index) continue;
    const auto now = kernel_->link(link.index);  // the news may be from before we set it up
    if (now) device.link = *now;
    if (!now || now->admin_up) return;
    spdlog::warn("underlay: device {} was set down: it is set up again", link.name);
    if (auto ok = kernel_->set_up(link.index, true); !ok) spdlog::error("underlay: {}", ok.error().text);
  }
}

// A device that is not the port's any more is let go of, before another port takes it up.
void KernelDatapath::on_renamed(const netlink::Link& link, std::set<PortNo>& changed) {
  for (auto& [no, p] : ports_) {
    if (p.tunnel() || p.internal() || p.hook.ifindex() != link.index || p.device() == link.name) continue;
    close_device(p, "network device " + p.spec.name + " was renamed to " + link.name);
    spdlog::warn("port {}: {}", p.spec.name, p.error);
    remember(p);
    changed.insert(no);
  }
}

void KernelDatapath::on_link(const netlink::Link& link, std::set<PortNo>& changed) {
  on_vxlan(link);
  on_renamed(link, changed);
  for (auto& [no, p] : ports_) {
    if (p.tunnel()) continue;
    const bool hooked = p.hook.ifindex() != 0;
    if (p.internal() && hooked && (link.index == p.back.index || link.name == p.spec.name)) {
      on_internal(p, changed);
    } else if (hooked && p.link.index == link.index && link.master != 0) {
      close_device(p, "network device " + link.name + " was given to another: release it (ip link set dev " +
                          link.name + " nomaster)");
      spdlog::warn("port {}: {}", p.spec.name, p.error);
      remember(p);
      changed.insert(no);
    } else if (hooked && p.link.index == link.index) {
      if (p.link == link) continue;
      see_link(p, link);
      changed.insert(no);
    } else if (p.device() == link.name && (hooked || link.master == 0)) {
      close_device(p, "replaced");
      open_device(p);
      remember(p);
      changed.insert(no);
    } else if (hooked && link.link == p.link.index && (p.conf.flags & HD_PEER) != 0) {
      // The far end of the port's veth is in our namespace now: no handing over any more.
      if (auto now = kernel_->link(p.link.index)) see_link(p, *now);
    }
  }
}

void KernelDatapath::on_link_gone(const netlink::Link& link, std::set<PortNo>& changed) {
  for (auto& [no, p] : ports_) {
    if (p.internal() && link.index == p.link.index && link.index != p.back.index) {
      // Moved or removed; in the second case the other end goes with it.
      on_internal(p, changed);
      continue;
    }
    if (p.hook.ifindex() != link.index) continue;
    close_device(p, "network device " + p.spec.name + " is gone: it is taken up again as soon as it appears");
    spdlog::warn("port {}: {}", p.spec.name, p.error);
    if (p.internal() || p.patch()) open_device(p);  // our own device: make it anew
    remember(p);
    changed.insert(no);
  }
  const auto device = std::ranges::find_if(vxlan_, [&](const auto& v) { return v.second.link.index == link.index; });
  if (device == vxlan_.end()) return;
  spdlog::warn("underlay: device {} was removed: it is made anew", device->second.link.name);
  device->second.hook.detach(*pins_, *kernel_);
  const std::uint16_t udp_port = device->first;
  vxlan_.erase(device);
  for (auto& [no, p] : ports_) {
    if (!p.tunnel() || p.spec.tunnel.vxlan().dst_port != udp_port) continue;
    const auto ok = put_tunnel(p);
    p.error = ok ? "" : ok.error().text;
    changed.insert(no);
  }
  programs_->strays.erase(static_cast<__u32>(link.index));
  programs_->tunnels.for_each([&](const hd_tunnel& key, __u32 /*port*/) {
    if (key.net.device == static_cast<__u32>(link.index)) programs_->tunnels.erase(key);
  });
  programs_->vnis.for_each([&](const hd_vni& key, __u32 /*forms*/) {
    if (key.device == static_cast<__u32>(link.index)) programs_->vnis.erase(key);
  });
}

// After news were lost.
void KernelDatapath::reread_links(std::set<PortNo>& changed) {
  auto links = kernel_->links();
  if (!links) return;
  std::set<int> there;
  for (const auto& link : *links) there.insert(link.index);
  std::vector<netlink::Link> gone;
  for (const auto& [no, p] : ports_)
    if (p.hook.ifindex() != 0 && !there.contains(p.hook.ifindex())) gone.push_back(p.internal() ? p.back : p.link);
  for (const auto& [port, device] : vxlan_)
    if (!there.contains(device.link.index)) gone.push_back(device.link);
  for (const auto& link : gone) on_link_gone(link, changed);
  for (const auto& link : *links) on_link(link, changed);
}

// A queue or filter at a port's device came or went: see watched().
void KernelDatapath::on_traffic(int ifindex, std::set<PortNo>& changed) {
  for (auto& [no, p] : ports_) {
    if (p.tunnel() || p.hook.ifindex() == 0 || way_out(p).index != ifindex) continue;
    const auto before = p.conf.flags;
    const netlink::Link was = way_out(p);
    see_way_out(p);
    on_qdisc(p);
    // What the link's own news would tell may be seen here first, and is no news then.
    if (p.conf.flags != before || way_out(p) != was) changed.insert(no);
  }
}

// A few at a time: a thousand ports at rest must not cost anything that shows.
void KernelDatapath::refresh_stations(std::set<PortNo>& changed) {
  auto it = ports_.upper_bound(last_refreshed_);
  const std::size_t most = std::min(kStationsAtOnce, ports_.size());
  for (std::size_t n = 0; n < most; ++n, ++it) {
    if (it == ports_.end()) it = ports_.begin();
    PortEntry& p = it->second;
    last_refreshed_ = p.no;
    if (p.tunnel() || p.hook.ifindex() == 0 || (p.internal() && !p.moved)) continue;
    netlink::Link& out = p.internal() ? p.back : p.link;
    if (out.kind != "veth") continue;
    if (auto now = kernel_->link(out.index); now && *now != out) {
      out = *now;
      changed.insert(p.no);
    }
    write_device(p);
  }
}

void KernelDatapath::refresh_remotes(std::set<PortNo>& changed) {
  if (!remotes_->refresh()) return;
  for (const auto& [no, p] : ports_)
    if (p.tunnel()) changed.insert(no);
}

void KernelDatapath::run_control(const std::function<void(PortNo)>& changed) {
  using Kind = netlink::Monitor::Event::Kind;
  std::set<PortNo> touched;
  bool routes = false;
  monitor_->drain([&](const netlink::Monitor::Event& e) {
    switch (e.kind) {
      case Kind::link_new:
        on_link(e.link, touched);
        routes = true;
        break;
      case Kind::link_gone:
        on_link_gone(e.link, touched);
        routes = true;
        break;
      case Kind::neighbour:
        break;
      case Kind::traffic:
        on_traffic(e.ifindex, touched);
        break;
      case Kind::address:
      case Kind::route:
        routes = true;
        break;
      case Kind::overrun:
        reread_links(touched);
        routes = true;
        break;
    }
  });
  std::uint64_t expired = 0;
  if (read(timer_.get(), &expired, sizeof expired) == sizeof expired) {
    if (!std::exchange(routes_changed_, false)) {
      refresh_stations(touched);
      retry_tunnels(touched);
      floods_->sweep();
    }
    refresh_remotes(touched);
    arm_timer();
  }
  if (routes && !routes_changed_ && !remotes_->empty()) {
    routes_changed_ = true;
    arm_timer();
  }
  for (const PortNo no : touched) changed(no);
}

}  // namespace heddle::dp
