// SPDX-License-Identifier: Apache-2.0
#include "datapath/kernel/vxlan_devices.h"

#include <algorithm>

#include "base/log.h"

namespace heddle::dp {

Result<netlink::Link> VxlanDevices::find_or_make(std::uint16_t udp_port, bool& made) const {
  netlink::Netlink& kernel = own_.kernel();
  const std::string name = device_name(udp_port);
  auto link = kernel.link(name);
  if (link && link->kind == "vxlan" && own_.may_adopt(*link) && own_.mark(*link)) link = kernel.link(name);
  if (link && (!own_.is_ours(*link) || link->kind != "vxlan"))
    return fail(Errc::exists, "network device " + name +
                                  " exists and was not made by the switch: remove it (ip link del " + name + ")");
  made = !link;
  if (link) return link;
  netlink::VxlanDeviceSpec spec;
  spec.name = name;
  spec.udp_port = udp_port;
  spec.alias = own_.owner();
  return kernel.add_vxlan(spec);
}

// The program comes first: frames that it does not take would reach the host's own stack.
Result<int> VxlanDevices::acquire(std::uint16_t udp_port, PortNo user) {
  if (const auto it = devices_.find(udp_port); it != devices_.end()) {
    it->second.users.insert(user);
    return it->second.link.index;
  }
  netlink::Netlink& kernel = own_.kernel();
  bool made = false;
  auto link = find_or_make(udp_port, made);
  if (!link) return std::unexpected(link.error());
  OwnDevices::disable_ipv6(link->name);
  Result<> ok{};
  const auto index = static_cast<__u32>(link->index);
  if (!programs_.strays.get(index)) ok = programs_.strays.put(index, {});
  Result<Hook> hook = fail(Errc::system, "");
  if (ok)
    hook = Hook::attach(pins_, kernel,
                        {.ifindex = link->index, .name = link->name, .ours = true, .leave_other = !taken_over_},
                        programs_.tunnel_ingress());
  if (ok && hook) ok = kernel.set_up(link->index, true);
  if (!ok || !hook) {
    if (made) (void)kernel.remove_link(link->index);
    return std::unexpected(ok ? hook.error() : ok.error());
  }
  if (auto up = kernel.link(link->index)) link = up;
  spdlog::info("underlay: device {} takes VXLAN at UDP port {}", link->name, udp_port);
  const int ifindex = link->index;
  devices_[udp_port] = {*link, std::move(*hook), {user}};
  return ifindex;
}

void VxlanDevices::release(std::uint16_t udp_port, PortNo user) {
  const auto it = devices_.find(udp_port);
  if (it == devices_.end()) return;
  it->second.users.erase(user);
  if (!it->second.users.empty()) return;
  (void)own_.kernel().remove_link(it->second.link.index);
  it->second.hook.detach(pins_, own_.kernel());
  programs_.strays.erase(static_cast<__u32>(it->second.link.index));
  devices_.erase(it);
}

std::optional<int> VxlanDevices::ifindex(std::uint16_t udp_port) const {
  const auto it = devices_.find(udp_port);
  if (it == devices_.end()) return std::nullopt;
  return it->second.link.index;
}

void VxlanDevices::on_link(const netlink::Link& link) {
  for (auto& [udp_port, device] : devices_) {
    if (device.link.index != link.index) continue;
    const auto now = own_.kernel().link(link.index);  // the news may be from before the device was set up
    if (now) device.link = *now;
    if (!now || now->admin_up) return;
    spdlog::warn("underlay: device {} was set down: it is set up again", link.name);
    if (auto ok = own_.kernel().set_up(link.index, true); !ok) spdlog::error("underlay: {}", ok.error().text);
  }
}

std::optional<std::uint16_t> VxlanDevices::on_link_gone(const netlink::Link& link) {
  const auto it = std::ranges::find_if(devices_, [&](const auto& d) { return d.second.link.index == link.index; });
  if (it == devices_.end()) return std::nullopt;
  spdlog::warn("underlay: device {} was removed: it is made anew", it->second.link.name);
  it->second.hook.detach(pins_, own_.kernel());
  const std::uint16_t udp_port = it->first;
  devices_.erase(it);
  programs_.strays.erase(static_cast<__u32>(link.index));
  return udp_port;
}

void VxlanDevices::take_over_hooks() {
  taken_over_ = true;
  for (auto& [udp_port, device] : devices_)
    if (auto ok = device.hook.take_over(pins_); !ok)
      spdlog::error("underlay: {}: {}", device.link.name, ok.error().text);
}

std::vector<netlink::Link> VxlanDevices::links() const {
  std::vector<netlink::Link> out;
  out.reserve(devices_.size());
  for (const auto& [udp_port, device] : devices_) out.push_back(device.link);
  return out;
}

std::vector<UnderlayCounters> VxlanDevices::counters() const {
  std::vector<UnderlayCounters> out;
  for (const auto& [udp_port, device] : devices_) {
    UnderlayCounters c;
    c.name = device.link.name;
    if (const auto drops = programs_.strays.get(static_cast<__u32>(device.link.index)))
      std::copy_n(drops->count, kDropCount, c.counters.drops.begin());
    if (const auto stats = own_.kernel().statistics(device.link.index)) {
      c.counters.rx_packets = stats->rx_packets;
      c.counters.rx_bytes = stats->rx_bytes;
      c.counters.tx_packets = stats->tx_packets;
      c.counters.tx_bytes = stats->tx_bytes;
      // The kernel's vxlan device counts packets that RFC 6040 makes it drop as frame errors.
      c.counters.drops[static_cast<std::size_t>(Drop::ecn_invalid)] += stats->rx_frame_errors;
      c.counters.drops[static_cast<std::size_t>(Drop::tx_error)] += stats->tx_lost;
    }
    out.push_back(std::move(c));
  }
  return out;
}

}  // namespace heddle::dp
