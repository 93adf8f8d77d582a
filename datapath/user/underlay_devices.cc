// SPDX-License-Identifier: Apache-2.0
#include "datapath/user/underlay_devices.h"

#include <algorithm>

#include "base/log.h"
#include "datapath/user/socket_underlay.h"
#include "netlink/ethtool.h"

namespace heddle::dp {

UnderlayDevices::UnderlayDevices(netlink::Netlink& kernel, WorkerGroup& workers, PathResolver& paths,
                                 XdpPrograms& programs, DeviceRetry& retry, IsPort is_port,
                                 GroupMemberships::Keep keep_socket)
    : kernel_(kernel),
      workers_(workers),
      paths_(paths),
      programs_(programs),
      retry_(retry),
      is_port_(std::move(is_port)),
      groups_(std::move(keep_socket)) {}

// The caller publishes.
Result<UnderlayDevices::Way> UnderlayDevices::make_way(std::string name, std::shared_ptr<PortIo> io) {
  Way way{std::move(name), std::make_unique<PortShared>(workers_.size()), std::move(io), kNoIo};
  const auto slot = workers_.draft().add_io(way.io, PortNo::none, way.shared.get());
  if (!slot) return std::unexpected(slot.error());
  way.slot = *slot;
  return way;
}

Result<> UnderlayDevices::add_user(std::uint16_t udp_port, bool v6) {
  const SocketKey key{udp_port, v6};
  if (const auto it = sockets_.find(key); it != sockets_.end()) {
    ++it->second.users;
    return {};
  }
  auto io = SocketUnderlay::open(udp_port, v6);
  if (!io) return std::unexpected(io.error());
  auto way = make_way("udp:" + std::to_string(udp_port) + (v6 ? ":ipv6" : ""), std::move(*io));
  if (!way) return std::unexpected(way.error());
  paths_.set_socket(udp_port, v6, way->slot);
  sockets_[key] = {std::move(*way), 1};
  workers_.draft().publish();
  return {};
}

void UnderlayDevices::drop_user(std::uint16_t udp_port, bool v6) {
  const auto it = sockets_.find({udp_port, v6});
  if (it == sockets_.end() || --it->second.users > 0) return;
  workers_.draft().remove_io(it->second.way.slot);
  sockets_.erase(it);
}

void UnderlayDevices::serve() {
  const std::set<int> wanted = paths_.egress_devices();
  std::vector<int> unused;
  for (const auto& [ifindex, device] : devices_)
    if (!wanted.contains(ifindex)) unused.push_back(ifindex);
  for (const int ifindex : unused) give_up(ifindex);
  std::erase_if(no_afxdp_, [&](const auto& e) { return !wanted.contains(e.first); });
  for (const int ifindex : wanted)
    if (!devices_.contains(ifindex) && !no_afxdp_.contains(ifindex)) open(ifindex);
}

void UnderlayDevices::try_again(int ifindex) {
  if (!devices_.contains(ifindex) && paths_.egress_devices().contains(ifindex)) open(ifindex);
}

// Empty: it may do AF_XDP.
std::string UnderlayDevices::unfit(const netlink::Link& link) const {
  if (is_port_(link.name)) return link.name + " is a port of a bridge";
  if (link.name == "lo" || link.kind == "bridge" || link.kind == "bond" || link.kind == "vlan")
    return "no AF_XDP on a device of kind " + (link.kind.empty() ? "loopback" : link.kind);
  return {};
}

// no_afxdp_ has the reason when the device stays closed.
void UnderlayDevices::open(int ifindex) {
  const auto link = kernel_.link(ifindex);
  if (!link) return;
  if (std::string why = unfit(*link); !why.empty()) {
    no_afxdp_[ifindex] = std::move(why);
    return;
  }
  AfxdpConfig config;
  config.device = link->name;
  config.ifindex = ifindex;
  config.mtu = link->mtu;
  config.underlay = true;
  config.queues = queues_of(link->name);
  Device device;
  device.share = workers_.shares().take(config.queues);
  config.fill = device.share.fill();
  auto io = AfxdpPort::open(workers_.sockets(), programs_, config);
  if (!io) {
    if (std::exchange(no_afxdp_[ifindex], io.error().text) != io.error().text)
      spdlog::warn("underlay {}: {}; tunnels through it take the slower way through the host", link->name,
                   io.error().text);
    if (io.error().code == Errc::exists) retry_.add_underlay(ifindex);
    return;
  }
  no_afxdp_.erase(ifindex);
  device.afxdp = io->get();
  auto way = make_way(link->name, std::move(*io));
  if (!way) return;
  const std::uint32_t slot = way->slot;
  device.way = std::move(*way);
  devices_[ifindex] = std::move(device);
  workers_.draft().publish();
  update_filters();
  paths_.set_device(ifindex, slot, link->mac);
  spdlog::info("underlay {}: AF_XDP takes the tunnels' UDP ports, all else stays with the host", link->name);
}

void UnderlayDevices::give_up(int ifindex) {
  const auto it = devices_.find(ifindex);
  if (it == devices_.end()) return;
  paths_.set_device(ifindex, kNoIo, {});
  workers_.draft().remove_io(it->second.way.slot);
  devices_.erase(it);
}

void UnderlayDevices::update_filters() {
  if (devices_.empty()) return;
  std::set<std::uint16_t> udp_ports;
  for (const auto& [key, socket] : sockets_) udp_ports.insert(key.first);
  std::set<IpAddr> local;
  if (const auto addresses = kernel_.addresses())
    for (const auto& a : *addresses) local.insert(a.addr);
  for (auto& [ifindex, device] : devices_) {
    device.afxdp->set_tunnel_ports(udp_ports);
    std::set<IpAddr> all = groups_.groups_on(ifindex);
    all.insert(local.begin(), local.end());
    device.afxdp->set_local_addresses(all);
  }
}

unsigned UnderlayDevices::queues_of(const std::string& device) {
  const auto info = netlink::ethtool_info(device);
  return info ? std::clamp<unsigned>(info->rx_queues, 1, limits::kQueuesPerPort) : 1;
}

void UnderlayDevices::on_link(const netlink::Link& link) {
  const auto it = devices_.find(link.index);
  if (it == devices_.end()) return;
  if (queues_of(link.name) != it->second.way.io->queues()) {
    spdlog::info("underlay {}: it has another number of queues", link.name);
    give_up(link.index);
    open(link.index);
  } else {
    paths_.set_device(link.index, it->second.way.slot, link.mac);
  }
}

void UnderlayDevices::on_link_gone(int ifindex) {
  give_up(ifindex);
  no_afxdp_.erase(ifindex);
}

std::vector<netlink::Link> UnderlayDevices::held_links() const {
  std::vector<netlink::Link> out;
  for (const auto& [ifindex, device] : devices_) {
    out.emplace_back();
    out.back().index = ifindex;
  }
  return out;
}

std::string UnderlayDevices::why_not(int ifindex) const {
  const auto it = no_afxdp_.find(ifindex);
  return it == no_afxdp_.end() ? "" : it->second;
}

UnderlayCounters UnderlayDevices::counters_of(const Way& way) {
  UnderlayCounters c;
  c.name = way.name;
  for (const auto& w : way.shared->worker) w.counters.add_to(c.counters);
  c.counters.drops[static_cast<std::size_t>(Drop::rx_queue_full)] += way.io->rx_lost();
  return c;
}

std::vector<UnderlayCounters> UnderlayDevices::counters() const {
  std::vector<UnderlayCounters> out;
  out.reserve(devices_.size() + sockets_.size());
  for (const auto& [ifindex, device] : devices_) out.push_back(counters_of(device.way));
  for (const auto& [key, socket] : sockets_) out.push_back(counters_of(socket.way));
  return out;
}

}  // namespace heddle::dp
