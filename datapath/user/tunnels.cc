// SPDX-License-Identifier: Apache-2.0
#include "datapath/user/tunnels.h"

#include <cstring>

#include "base/log.h"
#include "base/rcu.h"

namespace heddle::dp {
namespace {

bool same(const TunnelPath& a, const TunnelPath& b) {
  return a.port == b.port && a.remote == b.remote && a.usable == b.usable && a.mtu == b.mtu && a.io == b.io &&
         a.head.bytes == b.head.bytes && a.head.len == b.head.len;
}

using State = netlink::Neighbour::State;
bool known(const netlink::Neighbour& n) {
  return n.mac && n.state != State::failed && n.state != State::incomplete && n.state != State::none;
}

}  // namespace

Tunnels::~Tunnels() {
  for (const auto& [number, e] : entries_) delete paths_.replace(number, nullptr);
}

void Tunnels::set_socket(std::uint16_t udp_port, bool v6, std::uint32_t io) {
  const std::lock_guard lock(mutex_);
  sockets_[{udp_port, v6}] = io;
}

void Tunnels::set_device(int ifindex, std::uint32_t io, const MacAddr& mac) {
  const std::lock_guard lock(mutex_);
  if (io == kNoIo) {
    devices_.erase(ifindex);
  } else {
    devices_[ifindex] = {io, mac};
  }
  for (auto& [number, e] : entries_) {
    if (e.view.ifindex == ifindex) resolve(number, e);
  }
}

void Tunnels::add_port(PortNo port, const TunnelSpec& spec) {
  const std::lock_guard lock(mutex_);
  ports_[port] = spec;
}

void Tunnels::remove_port(PortNo port) {
  const std::lock_guard lock(mutex_);
  ports_.erase(port);
  std::vector<std::uint32_t> gone;
  for (const auto& [number, e] : entries_) {
    if (e.port == port) gone.push_back(number);
  }
  for (const std::uint32_t number : gone) forget(number);
}

void Tunnels::forget(std::uint32_t number) {
  const auto it = entries_.find(number);
  numbers_.erase({it->second.port, it->second.remote});
  entries_.erase(it);
  if (const TunnelPath* old = paths_.replace(number, nullptr)) {
    rcu_synchronize();
    delete old;
  }
  free_.push_back(number);
}

// Learned remotes that no FDB entry leads to any more are kept until their numbers are needed.
void Tunnels::purge() {
  std::vector<std::uint32_t> gone;
  for (const auto& [number, e] : entries_) {
    if (e.refs == 0) gone.push_back(number);
  }
  for (const std::uint32_t number : gone) forget(number);
}

Result<std::uint32_t> Tunnels::acquire(PortNo port, const IpAddr& remote) {
  const std::lock_guard lock(mutex_);
  const auto spec = ports_.find(port);
  if (spec == ports_.end()) return fail(Errc::not_found, "no tunnel port " + std::to_string(static_cast<int>(port)));
  if (const auto it = numbers_.find({port, remote}); it != numbers_.end()) {
    ++entries_[it->second].refs;
    return it->second;
  }
  if (free_.empty() && next_ == limits::kTunnelRemotes) purge();
  std::uint32_t number = 0;
  if (!free_.empty()) {
    number = free_.back();
    free_.pop_back();
  } else if (next_ < limits::kTunnelRemotes) {
    number = next_++;
  } else {
    return fail(Errc::limit, "more than " + std::to_string(limits::kTunnelRemotes - 1) + " remote VTEPs");
  }
  Entry& e = entries_[number];
  e.port = port;
  e.spec = spec->second;
  e.remote = remote;
  e.refs = 1;
  numbers_[{port, remote}] = number;
  resolve(number, e);
  return number;
}

void Tunnels::release(std::uint32_t path) {
  const std::lock_guard lock(mutex_);
  const auto it = entries_.find(path);
  if (it != entries_.end() && it->second.refs > 0) --it->second.refs;
}

bool Tunnels::resolve(std::uint32_t number, Entry& e) {
  auto next = std::make_unique<TunnelPath>();
  next->port = e.port;
  next->remote = e.remote;
  View view;
  MacAddr to;
  MacAddr from;
  e.stale = false;
  const auto route = kernel_.route(e.remote, e.spec.local);
  if (!route) {
    view.problem = route.error().text;
  } else if (route->unreachable) {
    view.problem = "no route to " + e.remote.to_string();
  } else if (route->local) {
    view.problem = e.remote.to_string() + " is an address of this host";
  } else {
    view.local = e.spec.local.value_or(route->source);
    view.ifindex = route->ifindex;
    view.mtu = route->mtu;
    if (view.local.is_any()) view.problem = "no local address to reach " + e.remote.to_string() + " from";
  }
  if (view.problem.empty()) {
    view.usable = next->usable = true;
    next->mtu = view.mtu;
    next->io = sockets_.at({e.spec.vxlan().dst_port, e.remote.is_v6()});
    e.next_hop = route->gateway.value_or(e.remote);
    const auto device = devices_.find(view.ifindex);
    if (device != devices_.end()) {
      const auto neighbour = kernel_.neighbour(view.ifindex, e.next_hop);
      if (neighbour && *neighbour && known(**neighbour)) {
        to = *(*neighbour)->mac;
        from = device->second.mac;
        next->io = device->second.io;
        view.afxdp = true;
        e.stale = (*neighbour)->state == State::stale;
      } else {
        (void)kernel_.use_neighbour(view.ifindex,
                                    e.next_hop);  // the answer comes as news; until then the socket serves
      }
    }
    next->head = packet::make_encap_template(to, from, view.local, e.remote, e.spec.vxlan().dst_port,
                                             e.spec.vxlan().vni, e.spec.tos, e.spec.ttl, e.spec.df);
  }
  e.view = view;
  return publish(number, std::move(next));
}

bool Tunnels::publish(std::uint32_t number, std::unique_ptr<TunnelPath> next) {
  const TunnelPath* now = paths_.at(number);
  if (now != nullptr && same(*now, *next)) return false;
  spdlog::debug("tunnel path {} to {}: {}", number, next->remote.to_string(),
                next->usable ? "by slot " + std::to_string(next->io) : "unusable");
  const std::unique_ptr<const TunnelPath> old(paths_.replace(number, next.release()));
  if (old) rcu_synchronize();
  return true;
}

bool Tunnels::refresh() {
  const std::lock_guard lock(mutex_);
  bool changed = false;
  for (auto& [number, e] : entries_) changed |= resolve(number, e);
  return changed;
}

bool Tunnels::refresh(const netlink::Neighbour& neighbour) {
  const std::lock_guard lock(mutex_);
  bool changed = false;
  for (auto& [number, e] : entries_) {
    if (e.view.ifindex == neighbour.ifindex && e.next_hop == neighbour.addr) changed |= resolve(number, e);
  }
  return changed;
}

void Tunnels::probe_stale() {
  const std::lock_guard lock(mutex_);
  for (const auto& [number, e] : entries_) {
    if (e.stale && e.refs > 0) (void)kernel_.use_neighbour(e.view.ifindex, e.next_hop);
  }
}

std::set<int> Tunnels::egress_devices() const {
  const std::lock_guard lock(mutex_);
  std::set<int> out;
  for (const auto& [number, e] : entries_) {
    if (e.view.ifindex != 0) out.insert(e.view.ifindex);
  }
  return out;
}

bool Tunnels::empty() const {
  const std::lock_guard lock(mutex_);
  return entries_.empty();
}

Tunnels::View Tunnels::view(std::uint32_t path) const {
  const std::lock_guard lock(mutex_);
  const auto it = entries_.find(path);
  return it == entries_.end() ? View{} : it->second.view;
}

}  // namespace heddle::dp
