// SPDX-License-Identifier: Apache-2.0
#include "datapath/user/port_kinds.h"

#include <algorithm>
#include <array>

#include "base/log.h"
#include "base/shell_word.h"
#include "datapath/control/netdev.h"
#include "datapath/user/afxdp_port.h"
#include "datapath/user/tap_port.h"

namespace heddle::dp {

struct PortKinds::Row {
  PortKind kind;
  Result<> (PortKinds::*open)(const PortSpec& spec, OpenDevice& device);  // null: no device of its own
  void (*discard)(const std::string& device);  // null: the device is not ours, or goes by itself
};

const PortKinds::Row* PortKinds::row_of(PortKind kind) {
  static constexpr std::array kRows{
      Row{PortKind::netdev, &PortKinds::open_netdev, nullptr},
      Row{PortKind::tap, &PortKinds::open_tap, nullptr},
      Row{PortKind::internal, &PortKinds::open_tap, &TapPort::remove},
      Row{PortKind::vxlan, nullptr, nullptr},
      Row{PortKind::patch, nullptr, nullptr},
  };
  const auto* row = std::ranges::find(kRows, kind, &Row::kind);
  return row == kRows.end() ? nullptr : row;
}

PortKinds::PortKinds(netlink::Netlink& kernel, WorkerGroup& workers, XdpPrograms& programs, UnderlayDevices& underlays,
                     std::string owner)
    : kernel_(kernel), workers_(workers), programs_(programs), underlays_(underlays), owner_(std::move(owner)) {}

const KindSet& PortKinds::all() {
  static const KindSet kinds = [] {
    KindSet out;
    for (const PortKind kind : all_kinds())
      if (row_of(kind) != nullptr) out.insert(kind);
    return out;
  }();
  return kinds;
}

Result<> PortKinds::open(const PortSpec& spec, OpenDevice& device) {
  const Row* row = row_of(spec.kind);
  if (row == nullptr || row->open == nullptr)
    return fail(Errc::unsupported, std::string("a ") + spec.traits().noun + " has no device here");
  if (auto ok = (this->*row->open)(spec, device); !ok) return ok;
  // Its state is another since it was set up.
  if (auto link = kernel_.link(device.link.index)) device.link = std::move(*link);
  return {};
}

void PortKinds::discard(const PortSpec& spec) {
  const Row* row = row_of(spec.kind);
  if (row != nullptr && row->discard != nullptr) row->discard(spec.name);
}

bool PortKinds::has_other_queues(const PortSpec& spec, const PortIo& io) {
  if (spec.traits().made_by_us) return false;
  const auto info = netlink::ethtool_info(spec.name);
  return info && std::max(info->rx_queues, 1U) != io.queues();
}

netlink::Link PortKinds::look_elsewhere(const PortIo& io) const {
  const auto place = io.place();
  if (!place || !place->netns) return {};
  const auto nsid = kernel_.namespace_id(place->netns.get());
  if (!nsid) return {};
  const auto link = kernel_.peer(*nsid, place->name);
  return link && *link ? **link : netlink::Link{};
}

Result<> PortKinds::open_netdev(const PortSpec& spec, OpenDevice& device) {
  const std::string& name = spec.name;
  auto link = find_netdev(kernel_, name, owner_);
  if (!link) return std::unexpected(link.error());
  // As a bridge port the device is wholly ours; tunnels that left by it go through the host's stack from now on.
  underlays_.give_up(link->index);
  if (auto info = netlink::ethtool_info(name)) device.ethtool = *info;
  if (device.ethtool.rx_queues > limits::kQueuesPerPort)
    return fail(Errc::unsupported, "network device " + name + " has " + std::to_string(device.ethtool.rx_queues) +
                                       " receive queues; lower them to " + std::to_string(limits::kQueuesPerPort) +
                                       " (ethtool -L " + shell_word(name) + ")");
  AfxdpConfig config;
  config.device = name;
  config.ifindex = link->index;
  config.mtu = std::max(link->mtu, spec.mtu.value_or(0));  // mtu_request is set afterwards
  config.queues = std::max(device.ethtool.rx_queues, 1U);
  config.promiscuous = &promiscuous_;
  config.virtual_device = link->kind == "veth" || link->kind == "tun";
  // Devices of hosts are few, and carry the frames of all guests.
  PacketShares& shares = workers_.shares();
  device.share = config.virtual_device ? shares.take_if_few(config.queues) : shares.take(config.queues);
  config.fill = device.share.fill();
  if (!link->admin_up)
    if (auto ok = kernel_.set_up(link->index, true); !ok) return ok;
  auto io = AfxdpPort::open(workers_.sockets(), programs_, config);
  if (!io) return std::unexpected(io.error());
  device.io = std::move(*io);
  device.link = *link;
  return {};
}

// A device of that name which is no tap may be one that this daemon made for another datapath, in a former life: the
// bridge has moved over to this one since.
Result<std::unique_ptr<PortIo>> PortKinds::make_tap(const PortSpec& spec) {
  const TapConfig config{spec.name, spec.traits().outlives};
  auto tap = TapPort::open(config);
  if (tap || tap.error().code != Errc::exists || owner_.empty()) return tap;
  const auto link = kernel_.link(spec.name);
  if (!link || link->alias != owner_ || link->kind == "tun") return tap;
  spdlog::warn("port {}: the {} device of that name that another datapath left is removed, with its IP addresses",
               spec.name, link->kind);
  if (auto r = kernel_.remove_link(link->index); !r) return std::unexpected(r.error());
  return TapPort::open(config);
}

Result<> PortKinds::open_tap(const PortSpec& spec, OpenDevice& device) {
  auto tap = make_tap(spec);
  if (!tap) return std::unexpected(tap.error());
  const auto link = kernel_.link(spec.name);
  if (!link) return std::unexpected(link.error());
  if (spec.traits().outlives && !owner_.empty() && link->alias != owner_)
    if (auto ok = kernel_.set_alias(link->index, owner_); !ok) return ok;
  if (spec.mac && link->mac != *spec.mac)
    if (auto ok = kernel_.set_mac(link->index, *spec.mac); !ok) return ok;
  if (spec.mtu && link->mtu != *spec.mtu)
    if (auto ok = kernel_.set_mtu(link->index, *spec.mtu); !ok) return ok;
  (void)kernel_.set_up(link->index, true);
  if (auto info = netlink::ethtool_info(spec.name)) device.ethtool = *info;
  device.io = std::move(*tap);
  device.link = *link;
  return {};
}

}  // namespace heddle::dp
