// SPDX-License-Identifier: Apache-2.0
#include "overlay/evpn/shadow_kernel.h"

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "netlink/namespace.h"

namespace heddle::overlay::evpn {

using netlink::BridgeFdb;
using netlink::FdbEntry;

namespace {

class Silent final : public ShadowFdb::Listener {
  void remote_mac(Vni /*vni*/, const MacAddr& /*mac*/, const std::optional<IpAddr>& /*vtep*/) override {}
  void remote_member(Vni /*vni*/, const IpAddr& /*vtep*/, bool /*here*/) override {}
};

// What a VTEP can have: zebra passes on what its neighbors say.
bool is_sound(const FdbEntry& entry) {
  return !entry.mac.is_multicast() && (!entry.dst || (!entry.dst->is_any() && !entry.dst->is_multicast()));
}

// The entry of a network's vxlan device.
void apply(ShadowFdb& to, Vni vni, const FdbEntry& entry, bool gone) {
  if (!entry.dst) return;
  if (entry.mac.is_zero() && gone)
    to.no_member(vni, *entry.dst);
  else if (entry.mac.is_zero())
    to.member(vni, *entry.dst);
  else if (gone)
    to.not_at_vtep(vni, entry.mac, *entry.dst);
  else
    to.at_vtep(vni, entry.mac, *entry.dst);
}

}  // namespace

ShadowKernel::ShadowKernel(boost::asio::io_context& io, std::unique_ptr<ShadowDevices> devices,
                           std::unique_ptr<BridgeFdb> fdb, ShadowFdb& remotes, Listener& listener)
    : devices_(std::move(devices)),
      fdb_(std::move(fdb)),
      remotes_(remotes),
      listener_(listener),
      news_(io, fdb_->fd()) {}

ShadowKernel::~ShadowKernel() { news_.release(); }

Result<std::unique_ptr<ShadowKernel>> ShadowKernel::open(boost::asio::io_context& io, int netns, std::uint16_t udp_port,
                                                         ShadowFdb& remotes, Listener& listener) {
  std::unique_ptr<ShadowDevices> devices;
  std::unique_ptr<BridgeFdb> fdb;
  const Result<> done = netlink::in_namespace(netns, [&]() -> Result<> {
    auto made = ShadowDevices::open(udp_port);
    if (!made) return std::unexpected(made.error());
    auto opened = BridgeFdb::open();
    if (!opened) return std::unexpected(opened.error());
    devices = std::move(*made);
    fdb = std::move(*opened);
    return {};
  });
  if (!done) return std::unexpected(done.error());
  return std::unique_ptr<ShadowKernel>(new ShadowKernel(io, std::move(devices), std::move(fdb), remotes, listener));
}

Result<> ShadowKernel::begin() {
  if (auto done = read_all(); !done) return done;
  wait();
  return {};
}

Result<> ShadowKernel::read_all() {
  const auto entries = fdb_->dump();
  if (!entries) return std::unexpected(entries.error());
  Silent silent;
  ShadowFdb all(silent);
  for (const FdbEntry& entry : *entries) {
    if (!is_sound(entry)) continue;
    const auto vni = devices_->network_of_vxlan(entry.ifindex);
    if (entry.of == FdbEntry::Of::device && vni) {
      apply(all, *vni, entry, false);
    } else if (vni && !entry.permanent) {
      listener_.station_not_here(*vni, entry.mac);
      all.to_tunnel(*vni, entry.mac, entry.sticky);
    } else if (const auto here = devices_->network_of_port(entry.ifindex, entry.vlan); here && !entry.permanent) {
      listener_.station_here(*here, entry.mac, entry.sticky);
    }
  }
  remotes_.become(std::move(all));
  return {};
}

void ShadowKernel::wait() {
  news_.async_wait(news_.wait_read, [this, alive = std::weak_ptr(alive_)](const boost::system::error_code& error) {
    if (error || alive.expired()) return;
    if (!fdb_->drain([this](const BridgeFdb::Change& change) { take(change); })) {
      spdlog::warn("evpn: the kernel had more news than fit: all is read anew");
      if (const auto done = read_all(); !done) spdlog::error("evpn: {}", done.error().text);
    }
    wait();
  });
}

void ShadowKernel::take(const BridgeFdb::Change& change) {
  const FdbEntry& entry = change.entry;
  if (!is_sound(entry)) return;
  const auto vni = devices_->network_of_vxlan(entry.ifindex);
  if (entry.of == FdbEntry::Of::device) {
    if (vni) apply(remotes_, *vni, entry, change.gone);
  } else if (entry.permanent) {
    return;  // a device's own address
  } else if (vni && change.gone) {
    remotes_.not_to_tunnel(*vni, entry.mac);
  } else if (vni) {
    listener_.station_not_here(*vni, entry.mac);
    remotes_.to_tunnel(*vni, entry.mac, entry.sticky);
  } else if (const auto here = devices_->network_of_port(entry.ifindex, entry.vlan); here && change.gone) {
    listener_.station_not_here(*here, entry.mac);
  } else if (here) {
    listener_.station_here(*here, entry.mac, entry.sticky);
    remotes_.not_to_tunnel(*here, entry.mac);
    // The kernel leaves it behind, and so does zebra.
    const auto vtep = remotes_.device_entry(*here, entry.mac);
    const auto* shadow = devices_->find(*here);
    if (!vtep || shadow == nullptr) return;
    const BridgeFdb::Change left{
        .entry = {.of = FdbEntry::Of::device, .ifindex = shadow->vxlan, .mac = entry.mac, .dst = vtep}, .gone = true};
    (void)fdb_->write(std::span(&left, 1));
  }
}

Result<std::size_t> ShadowKernel::write_all(std::span<const BridgeFdb::Change> changes) {
  std::size_t refused = 0;
  while (!changes.empty()) {
    const auto part = changes.first(std::min(changes.size(), BridgeFdb::kBatch));
    const auto done = fdb_->write(part);
    if (!done) return done;
    refused += *done;
    changes = changes.subspan(part.size());
  }
  return refused;
}

Result<std::size_t> ShadowKernel::write(const std::vector<Announcements::Write>& writes) {
  std::vector<BridgeFdb::Change> changes;
  for (const auto& write : writes) {
    const auto* shadow = devices_->find(write.key.first);
    if (shadow == nullptr) continue;
    changes.push_back({.entry = {.of = FdbEntry::Of::bridge,
                                 .ifindex = shadow->port,
                                 .mac = write.key.second,
                                 .vlan = shadow->vlan,
                                 .sticky = write.fixed},
                       .gone = write.gone});
  }
  return write_all(changes);
}

Result<> ShadowKernel::remove_remote(Vni vni, const std::vector<MacAddr>& macs) {
  const auto* shadow = devices_->find(vni);
  if (shadow == nullptr) return {};
  std::vector<BridgeFdb::Change> changes;
  for (const MacAddr& mac : macs) {
    changes.push_back(
        {.entry = {.of = FdbEntry::Of::bridge, .ifindex = shadow->vxlan, .mac = mac, .vlan = shadow->vlan},
         .gone = true});
    if (const auto vtep = remotes_.device_entry(vni, mac))
      changes.push_back(
          {.entry = {.of = FdbEntry::Of::device, .ifindex = shadow->vxlan, .mac = mac, .dst = vtep}, .gone = true});
  }
  const auto done = write_all(changes);
  return done ? Result<>{} : std::unexpected(done.error());
}

}  // namespace heddle::overlay::evpn
