// SPDX-License-Identifier: Apache-2.0
#include "datapath/user/path_resolver.h"

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "base/rcu.h"
#include "datapath/user/socket_underlay.h"

namespace heddle::dp {
namespace {

bool same(const TunnelPath& a, const TunnelPath& b) {
  return a.port == b.port && a.remote == b.remote && a.usable == b.usable && a.mtu == b.mtu && a.io == b.io &&
         a.head.bytes == b.head.bytes && a.head.len == b.head.len && a.devices == b.devices;
}

using State = netlink::Neighbour::State;
bool known(const netlink::Neighbour& n) {
  return n.mac && n.state != State::failed && n.state != State::incomplete && n.state != State::none;
}

struct OuterMacs {
  MacAddr to;
  MacAddr from;
};

// One for each protocol of a TunnelSpec.
packet::EncapTemplate outer_headers(const Vxlan& vxlan, const OuterMacs& macs, const TunnelSpec& tunnel,
                                    const IpAddr& local, const IpAddr& remote) {
  return packet::make_encap_template(macs.to, macs.from, local, remote, vxlan.dst_port, vxlan.vni, tunnel.tos,
                                     tunnel.ttl, tunnel.df);
}

}  // namespace

PathResolver::~PathResolver() {
  entries_.for_each(
      [this](std::uint32_t number, const Entry& /*e*/, unsigned /*users*/) { delete paths_.replace(number, nullptr); });
}

void PathResolver::set_socket(std::uint16_t udp_port, bool v6, std::uint32_t io) {
  const std::lock_guard lock(mutex_);
  sockets_[{udp_port, v6}] = io;
}

void PathResolver::set_device(int ifindex, std::uint32_t io, const MacAddr& mac) {
  const std::lock_guard lock(mutex_);
  if (io == kNoIo) {
    devices_.erase(ifindex);
  } else {
    devices_[ifindex] = {io, mac};
  }
  entries_.for_each([&](std::uint32_t number, Entry& e, unsigned /*users*/) {
    if (e.view.route.ifindex == ifindex) resolve(number, e);
  });
}

void PathResolver::add_port(PortNo port, const TunnelSpec& spec) {
  const std::lock_guard lock(mutex_);
  ports_[port] = spec;
}

void PathResolver::remove_port(PortNo port) {
  const std::lock_guard lock(mutex_);
  ports_.erase(port);
  Removed removed;
  entries_.drop([&](const Entry& e) { return e.key.first == port; },
                [&](std::uint32_t number, const Entry& /*e*/) { forget(number, removed); });
  if (!removed.empty()) rcu_synchronize();
}

// Takes the path out of the workers' sight. They may still use it until the next grace period, before which the number
// must not become another path's.
void PathResolver::forget(std::uint32_t number, Removed& removed) {
  if (const TunnelPath* path = paths_.replace(number, nullptr)) removed.emplace_back(path);
}

Result<std::uint32_t> PathResolver::acquire(PortNo port, const IpAddr& remote) {
  const std::lock_guard lock(mutex_);
  const auto spec = ports_.find(port);
  if (spec == ports_.end()) return fail(Errc::not_found, "no tunnel port " + std::to_string(static_cast<int>(port)));
  Removed removed;
  const auto acquired =
      entries_.acquire({port, remote}, [&](std::uint32_t number, const Entry& /*e*/) { forget(number, removed); });
  if (!removed.empty()) rcu_synchronize();
  if (!acquired) return std::unexpected(acquired.error());
  if (acquired->fresh) {
    acquired->entry->spec = spec->second;
    resolve(acquired->number, *acquired->entry);
  }
  return acquired->number;
}

void PathResolver::release(std::uint32_t path) {
  const std::lock_guard lock(mutex_);
  entries_.release(path);
}

bool PathResolver::resolve(std::uint32_t number, Entry& e, Ask ask) {
  auto next = std::make_unique<TunnelPath>();
  next->port = e.key.first;
  next->remote = e.key.second;
  e.stale = false;
  const Route before = std::exchange(e.view, {ask_route(kernel_, next->remote, e.spec.local), false}).route;
  if (before.ifindex != e.view.route.ifindex || before.next_hop != e.view.route.next_hop) e.mtu = 0;
  if (e.mtu != 0) e.view.route.mtu = std::min(e.view.route.mtu, e.mtu);
  if (e.view.route.usable) {
    next->usable = true;
    next->mtu = e.view.route.mtu;
    next->devices = e.view.route.devices;
    choose_way_out(e, *next, ask);
  }
  return publish(number, std::move(next));
}

void PathResolver::choose_way_out(Entry& e, TunnelPath& path, Ask ask) {
  const Route& route = e.view.route;
  OuterMacs macs;
  path.io = sockets_.at({e.spec.vxlan().dst_port, path.remote.is_v6()});
  if (path.remote.is_multicast()) {
    macs = {path.remote.group_mac(), egress_mark(route.ifindex)};
    if (const auto device = devices_.find(route.ifindex); device != devices_.end()) {
      macs.from = device->second.mac;
      path.io = device->second.io;
      e.view.afxdp = true;
    }
  } else if (const auto device = devices_.find(route.ifindex); device != devices_.end()) {
    const auto neighbour = kernel_.neighbour(route.ifindex, route.next_hop);
    if (neighbour && *neighbour && known(**neighbour)) {
      macs = {*(*neighbour)->mac, device->second.mac};
      path.io = device->second.io;
      e.view.afxdp = true;
      e.stale = (*neighbour)->state == State::stale;
    } else if (ask == Ask::yes) {
      // The answer comes as news; until then the socket serves.
      (void)kernel_.use_neighbour(route.ifindex, route.next_hop);
    }
  }
  path.head =
      std::visit([&](const auto& protocol) { return outer_headers(protocol, macs, e.spec, route.local, path.remote); },
                 e.spec.protocol);
}

bool PathResolver::publish(std::uint32_t number, std::unique_ptr<TunnelPath> next) {
  const TunnelPath* now = paths_.at(number);
  if (now != nullptr && same(*now, *next)) return false;
  spdlog::debug("tunnel path {} to {}: {}", number, next->remote.to_string(),
                next->usable ? "by slot " + std::to_string(next->io) : "unusable");
  const std::unique_ptr<const TunnelPath> old(paths_.replace(number, next.release()));
  if (old) rcu_synchronize();
  return true;
}

bool PathResolver::refresh() {
  const std::lock_guard lock(mutex_);
  bool changed = false;
  entries_.for_each([&](std::uint32_t number, Entry& e, unsigned /*users*/) { changed |= resolve(number, e); });
  return changed;
}

// An entry that has just gone is not asked for at once, which refresh() does soon: `ip neigh flush` would find it again
// in each of its rounds, and give up.
bool PathResolver::refresh(const netlink::Neighbour& neighbour) {
  const std::lock_guard lock(mutex_);
  bool concerned = false;
  entries_.for_each([&](std::uint32_t number, Entry& e, unsigned /*users*/) {
    if (e.view.route.ifindex != neighbour.ifindex || e.view.route.next_hop != neighbour.addr) return;
    concerned = true;
    resolve(number, e, Ask::no);
  });
  return concerned && !known(neighbour);
}

std::set<PortNo> PathResolver::note(const packet::TooBig& error, TimePoint now) {
  const std::lock_guard lock(mutex_);
  std::set<PortNo> concerned;
  entries_.for_each([&](std::uint32_t number, Entry& e, unsigned /*users*/) {
    const Route& route = e.view.route;
    if (e.key.second != error.dst || !route.usable || route.local != error.src) return;
    if (e.spec.vxlan().dst_port != error.dst_port || error.mtu >= route.mtu) return;
    e.mtu = error.mtu;
    e.mtu_until = now + kMtuTime;
    spdlog::info("tunnel to {}: a router on the way takes packets of {} bytes at most", error.dst.to_string(),
                 error.mtu);
    if (resolve(number, e)) concerned.insert(e.key.first);
  });
  return concerned;
}

std::set<PortNo> PathResolver::forget_old_mtus(TimePoint now) {
  const std::lock_guard lock(mutex_);
  std::set<PortNo> concerned;
  entries_.for_each([&](std::uint32_t number, Entry& e, unsigned /*users*/) {
    if (e.mtu == 0 || now < e.mtu_until) return;
    e.mtu = 0;
    if (resolve(number, e)) concerned.insert(e.key.first);
  });
  return concerned;
}

void PathResolver::probe_stale() {
  const std::lock_guard lock(mutex_);
  entries_.for_each([this](std::uint32_t /*number*/, const Entry& e, unsigned users) {
    if (e.stale && users > 0) (void)kernel_.use_neighbour(e.view.route.ifindex, e.view.route.next_hop);
  });
}

std::set<int> PathResolver::egress_devices() const {
  const std::lock_guard lock(mutex_);
  std::set<int> out;
  entries_.for_each([&](std::uint32_t /*number*/, const Entry& e, unsigned /*users*/) {
    if (e.view.route.ifindex != 0) out.insert(e.view.route.ifindex);
  });
  return out;
}

std::set<int> PathResolver::leading_devices() const {
  const std::lock_guard lock(mutex_);
  std::set<int> out;
  entries_.for_each([&](std::uint32_t /*number*/, const Entry& e, unsigned users) {
    if (users > 0) out.insert(e.view.route.devices.begin(), e.view.route.devices.end());
  });
  return out;
}

bool PathResolver::idle() const {
  const std::lock_guard lock(mutex_);
  return ports_.empty();
}

PathResolver::View PathResolver::view(std::uint32_t path) const {
  const std::lock_guard lock(mutex_);
  const Entry* e = entries_.find(path);
  return e == nullptr ? View{} : e->view;
}

}  // namespace heddle::dp
