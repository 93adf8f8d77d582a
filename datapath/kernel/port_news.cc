// SPDX-License-Identifier: Apache-2.0
#include "datapath/kernel/port_news.h"

#include <algorithm>

#include "base/log.h"
#include "datapath/control/netdev.h"

namespace heddle::dp {
namespace {

constexpr std::size_t kAtOnce = 64;

}  // namespace

void PortNews::lose(PortEntry& p, const std::string& why) {
  ports_.lose_device(p, why);
  spdlog::warn("port {}: {}", p.name(), p.device.error);
  changed_.insert(p.no);
}

// A device that is not the port's any more is let go of, before another port takes it up.
void PortNews::on_renamed(const netlink::Link& link) {
  for (auto& [no, p] : ports_.registry()) {
    if (p.is_tunnel() || p.is_pair() || p.device.hook.ifindex() != link.index) continue;
    if (PortDevices::device_name(p.spec()) != link.name) lose(p, renamed_text(p.name(), link.name));
  }
}

void PortNews::on_link_of(PortEntry& p, const netlink::Link& link) {
  DeviceState& d = p.device;
  if (p.is_pair() && d.attached() && (link.index == d.back.index || link.name == p.name())) {
    // Asked for anew: the news of a pair just made does not name the peer yet.
    if (ports_.devices().look_at_pair(p)) changed_.insert(p.no);
  } else if (d.attached() && d.link.index == link.index && link.master != 0) {
    lose(p, enslaved_text(link.name, "another"));
  } else if (d.attached() && d.link.index == link.index) {
    if (d.link == link) return;
    ports_.devices().see_link(p, link);
    changed_.insert(p.no);
  } else if (PortDevices::device_name(p.spec()) == link.name && (d.attached() || link.master == 0)) {
    ports_.replace_device(p);
    changed_.insert(p.no);
  } else if (d.attached() && link.link == d.link.index && (p.conf.flags & HD_PEER) != 0) {
    // The far end of the port's veth is in our namespace now: no handing over any more.
    ports_.devices().refresh(p);
  }
}

void PortNews::on_link(const netlink::Link& link) {
  ports_.tunnels().on_link(link);
  on_renamed(link);
  for (auto& [no, p] : ports_.registry())
    if (!p.is_tunnel()) on_link_of(p, link);
}

void PortNews::on_link_gone(const netlink::Link& link) {
  for (auto& [no, p] : ports_.registry()) {
    if (p.is_tunnel()) continue;
    if (p.is_pair() && link.index == p.device.link.index && link.index != p.device.back.index) {
      // The host's end moved, or was removed; in the second case the other end goes with it.
      if (ports_.devices().look_at_pair(p)) changed_.insert(no);
    } else if (p.device.hook.ifindex() == link.index) {
      lose(p, gone_text(p.name()));
      if (!p.is_pair() && !p.is_patch()) continue;
      ports_.replace_device(p);  // our own device: make it anew
    }
  }
  ports_.tunnels().on_link_gone(link, changed_);
}

void PortNews::on_traffic(int ifindex) {
  for (auto& [no, p] : ports_.registry())
    if (!p.is_tunnel() && p.device.attached() && p.way_out().index == ifindex && ports_.devices().on_traffic(p))
      changed_.insert(no);
}

std::vector<netlink::Link> PortNews::held_links() const {
  std::vector<netlink::Link> out = ports_.tunnels().devices().links();
  for (const auto& [no, p] : ports_.registry())
    if (p.device.attached()) out.push_back(p.way_out());
  return out;
}

void PortNews::check() {
  auto& ports = ports_.registry();
  auto it = ports.after(last_checked_);
  for (std::size_t n = std::min(kAtOnce, ports.size()); n > 0; --n, ++it) {
    if (it == ports.end()) it = ports.begin();
    last_checked_ = it->first;
    if (!it->second.is_tunnel() && ports_.devices().refresh(it->second)) changed_.insert(it->first);
  }
  ports_.floods().sweep();
}

void PortNews::routes_changed() {
  for (const auto& [no, p] : ports_.registry())
    if (p.is_tunnel()) changed_.insert(no);
}

}  // namespace heddle::dp
