// SPDX-License-Identifier: Apache-2.0
#include "overlay/evpn/shadow_devices.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <string_view>
#include <utility>

#include "base/limits.h"

namespace heddle::overlay::evpn {
namespace {

using netlink::Link;

constexpr const char* kAlias = "heddle evpn";
constexpr std::string_view kAliasVlan = "heddle evpn vlan ";
constexpr const char* kSharedBridge = "hdevpn";
constexpr const char* kSharedPort = "hdevpnp";

std::string bridge_name(Vni vni) { return fmt::format("hdb{}", vni); }
std::string vxlan_name(Vni vni) { return fmt::format("hdv{}", vni); }
std::string port_name(Vni vni) { return fmt::format("hdp{}", vni); }

bool is_ours(const Link& link) { return link.alias.starts_with(kAlias); }

// The VLAN of a vxlan device in the shared bridge; its alias says it.
std::uint16_t vlan_of(const Link& link) {
  std::uint16_t vlan = 0;
  if (link.alias.starts_with(kAliasVlan))
    std::from_chars(link.alias.data() + kAliasVlan.size(), link.alias.data() + link.alias.size(), vlan);
  return vlan;
}

}  // namespace

ShadowDevices::ShadowDevices(std::unique_ptr<netlink::Netlink> nl, std::uint16_t udp_port)
    : nl_(std::move(nl)), links_(*nl_), udp_port_(udp_port) {}

Result<std::unique_ptr<ShadowDevices>> ShadowDevices::open(std::uint16_t udp_port) {
  auto nl = netlink::Netlink::open();
  if (!nl) return std::unexpected(nl.error());
  std::unique_ptr<ShadowDevices> out(new ShadowDevices(std::move(*nl), udp_port));
  if (auto done = out->make_shared(); !done) return std::unexpected(done.error());
  if (auto done = out->take_over(); !done) return std::unexpected(done.error());
  if (auto done = out->look(); !done) return std::unexpected(done.error());
  return out;
}

// Tries the shape with one bridge.
Result<> ShadowDevices::make_shared() {
  auto bridge = nl_->link(kSharedBridge);
  if (!bridge) bridge = links_.add_bridge(kSharedBridge, true, kAlias);
  if (!bridge && bridge.error().code == Errc::unsupported) return {};
  if (!bridge) return std::unexpected(bridge.error());
  auto port = nl_->link(kSharedPort);
  if (!port) port = links_.add_idle(kSharedPort, kAlias);
  if (!port) return std::unexpected(port.error());
  if (auto done = nl_->set_up(bridge->index, true); !done) return done;
  if (auto done = links_.enslave(port->index, bridge->index); !done) return done;
  shared_ = {bridge->index, port->index};
  return {};
}

// Complete triples of an earlier daemon; of the rest put() makes what is missing.
Result<> ShadowDevices::take_over() {
  const auto links = nl_->links();
  if (!links) return std::unexpected(links.error());
  std::map<std::string, const Link*> ours;
  for (const Link& link : *links)
    if (is_ours(link)) ours[link.name] = &link;
  const auto vxlans = links_.network_devices();
  if (!vxlans) return std::unexpected(vxlans.error());
  for (const auto& device : *vxlans) {
    if (!is_ours(device.link) || !device.local) continue;
    Shadow shadow{.vxlan = device.link.index, .vlan = vlan_of(device.link), .local = *device.local};
    const auto bridge = ours.find(bridge_name(device.vni));
    const auto port = ours.find(port_name(device.vni));
    if (shared_ && shadow.vlan != 0) {
      shadow.bridge = shared_->bridge;
      shadow.port = shared_->port;
    } else if (bridge != ours.end() && port != ours.end()) {
      shadow.bridge = bridge->second->index;
      shadow.port = port->second->index;
    }
    if (shadow.bridge != 0 && device.link.master == shadow.bridge && device.link.admin_up) enter(device.vni, shadow);
  }
  return {};
}

Result<> ShadowDevices::look() {
  const auto vxlans = links_.network_devices();
  if (!vxlans) return std::unexpected(vxlans.error());
  others_.clear();
  for (const auto& device : *vxlans)
    if (!is_ours(device.link)) others_[device.vni] = device.link.name;
  return {};
}

// --- one network ---

Result<> ShadowDevices::put(Vni vni, const IpAddr& local) {
  if (const auto other = others_.find(vni); other != others_.end()) {
    remove(vni);
    return fail(Errc::exists, fmt::format("device {} has network {} already: zebra cannot tell two devices of one "
                                          "network apart; remove it, or give the port another key",
                                          other->second, vni));
  }
  Shadow shadow;
  if (const Shadow* now = find(vni); now != nullptr) {
    if (now->local == local) return {};
    shadow = *now;
    (void)nl_->remove_link(shadow.vxlan);
  } else {
    auto made = shared_ ? make_in_shared(vni) : make_own(vni);
    if (!made) return std::unexpected(made.error());
    shadow = *made;
  }
  shadow.local = local;
  if (auto done = make_vxlan(vni, shadow); !done) {
    enter(vni, shadow);
    remove(vni);
    return done;
  }
  enter(vni, shadow);
  return {};
}

Result<ShadowDevices::Shadow> ShadowDevices::make_own(Vni vni) {
  // What is left of a network that was half made.
  for (const std::string& name : {bridge_name(vni), port_name(vni)})
    if (const auto old = nl_->link(name); old && is_ours(*old)) (void)nl_->remove_link(old->index);
  const auto bridge = links_.add_bridge(bridge_name(vni), false, kAlias);
  if (!bridge) return std::unexpected(bridge.error());
  const auto port = links_.add_idle(port_name(vni), kAlias);
  if (!port) return std::unexpected(port.error());
  if (auto done = links_.enslave(port->index, bridge->index); !done) return std::unexpected(done.error());
  if (auto done = nl_->set_up(bridge->index, true); !done) return std::unexpected(done.error());
  return Shadow{.bridge = bridge->index, .port = port->index};
}

Result<ShadowDevices::Shadow> ShadowDevices::make_in_shared(Vni vni) {
  constexpr std::uint16_t kLast = limits::kVlanMax - 1;  // IEEE 802.1Q: 0 and 4095 are reserved
  std::uint16_t vlan = 1;
  while (vlan <= kLast && by_port_.contains({shared_->port, vlan})) ++vlan;
  if (vlan > kLast)
    return fail(Errc::exists, fmt::format("network {}: EVPN takes {} networks at most on this kernel", vni, kLast));
  if (auto done = links_.add_vlan(shared_->port, vlan, false); !done) return std::unexpected(done.error());
  return Shadow{.bridge = shared_->bridge, .port = shared_->port, .vlan = vlan};
}

// The port is blocked: whoever reaches the device's UDP port puts no frame into the bridge.
Result<> ShadowDevices::make_vxlan(Vni vni, Shadow& shadow) {
  if (const auto old = nl_->link(vxlan_name(vni)); old && is_ours(*old)) (void)nl_->remove_link(old->index);
  const std::string alias = shadow.vlan == 0 ? kAlias : fmt::format("{}{}", kAliasVlan, shadow.vlan);
  const auto made = links_.add_network_device({vxlan_name(vni), vni, shadow.local, udp_port_, alias});
  if (!made) return std::unexpected(made.error());
  shadow.vxlan = made->index;
  if (auto done = links_.enslave(shadow.vxlan, shadow.bridge); !done) return done;
  if (shadow.vlan != 0)
    if (auto done = links_.add_vlan(shadow.vxlan, shadow.vlan, true); !done) return done;
  if (auto done = nl_->set_up(shadow.vxlan, true); !done) return done;
  return links_.block(shadow.vxlan);
}

void ShadowDevices::enter(Vni vni, const Shadow& shadow) {
  if (const Shadow* before = find(vni); before != nullptr) by_vxlan_.erase(before->vxlan);
  shadows_[vni] = shadow;
  by_vxlan_[shadow.vxlan] = vni;
  by_port_[{shadow.port, shadow.vlan}] = vni;
}

void ShadowDevices::remove(Vni vni) {
  const auto it = shadows_.find(vni);
  if (it == shadows_.end()) return;
  const Shadow& shadow = it->second;
  // The vxlan device first: zebra withdraws the network in one piece.
  if (shadow.vxlan != 0) (void)nl_->remove_link(shadow.vxlan);
  if (shadow.vlan == 0) {
    (void)nl_->remove_link(shadow.port);
    (void)nl_->remove_link(shadow.bridge);
  }
  by_vxlan_.erase(shadow.vxlan);
  by_port_.erase({shadow.port, shadow.vlan});
  shadows_.erase(it);
}

void ShadowDevices::remove_all() {
  while (!shadows_.empty()) remove(shadows_.begin()->first);
  if (!shared_) return;
  (void)nl_->remove_link(shared_->port);
  (void)nl_->remove_link(shared_->bridge);
  shared_.reset();
}

// --- which is which ---

const ShadowDevices::Shadow* ShadowDevices::find(Vni vni) const {
  const auto it = shadows_.find(vni);
  return it == shadows_.end() ? nullptr : &it->second;
}

std::optional<Vni> ShadowDevices::network_of_vxlan(int ifindex) const {
  const auto it = by_vxlan_.find(ifindex);
  return it == by_vxlan_.end() ? std::nullopt : std::optional(it->second);
}

std::optional<Vni> ShadowDevices::network_of_port(int ifindex, std::uint16_t vlan) const {
  const auto it = by_port_.find({ifindex, vlan});
  return it == by_port_.end() ? std::nullopt : std::optional(it->second);
}

std::vector<Vni> ShadowDevices::networks() const {
  std::vector<Vni> out;
  out.reserve(shadows_.size());
  for (const auto& [vni, shadow] : shadows_) out.push_back(vni);
  return out;
}

}  // namespace heddle::overlay::evpn
