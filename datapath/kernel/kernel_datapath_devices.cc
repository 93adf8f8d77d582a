// SPDX-License-Identifier: Apache-2.0
// Devices of ports: taking them over, giving them back, and the pairs that internal ports are made of.
#include <bpf/bpf.h>
#include <fcntl.h>

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "datapath/kernel/kernel_datapath_impl.h"

namespace heddle::dp {

std::string back_name(const std::string& port) {
  std::uint32_t hash = 2166136261U;  // FNV-1a
  for (const char c : port) hash = (hash ^ static_cast<unsigned char>(c)) * 16777619U;
  return fmt::format("hd{:08x}", hash);
}

namespace {

constexpr auto kTcxEgress = static_cast<bpf_attach_type>(47);  // linux/bpf.h of 6.6
constexpr unsigned kLargestMtu = 65535;

}  // namespace

// Devices that only carry our frames must not speak by themselves (neighbour discovery, multicast listener reports).
void KernelDatapath::silence(const std::string& device) const {
  const std::string file = "/proc/sys/net/ipv6/conf/" + device + "/disable_ipv6";
  const Fd fd(::open(file.c_str(), O_WRONLY | O_CLOEXEC));
  if (fd && ::write(fd.get(), "1", 1) != 1) spdlog::debug("{}: not written", file);
}

// Whether somebody wants to see, hold back or change what leaves by the device: tcpdump, a queueing discipline
// (bandwidth limits of a CNI plug-in), filters, programs. Frames that are handed over directly would pass by all of
// these.
bool KernelDatapath::watched(const netlink::Link& device) const {
  if (device.promiscuity != 0 || (!device.qdisc.empty() && device.qdisc != "noqueue")) return true;
  __u32 programs = 0;
  if (bpf_prog_query(device.index, kTcxEgress, 0, nullptr, nullptr, &programs) == 0 && programs > 0) return true;
  const auto filters = kernel_->egress_filters(device.index);
  return !filters || *filters;
}

// The address of the device at a veth's far end, when that is in another namespace and nobody watches the near end.
std::optional<MacAddr> KernelDatapath::station(const netlink::Link& veth) const {
  if (veth.kind != "veth" || !veth.link_netns || watched(veth)) return std::nullopt;
  const auto mac = kernel_->peer_mac(*veth.link_netns, veth.link);
  return mac ? *mac : std::nullopt;
}

// What the programs need to know of the port's device, from what we know of it.
void KernelDatapath::write_device(PortEntry& p) {
  hd_port next = p.conf;
  next.flags &= ~(HD_UP | HD_INWARD | HD_PEER | HD_SHAPED | HD_PATCH);
  if (p.patch()) next.flags |= HD_PATCH;
  std::fill_n(next.station, sizeof next.station, __u8{0});
  const bool attached = p.hook.ifindex() != 0;
  const bool by_back = p.internal() && (p.moved || p.shaped);
  const netlink::Link& out = by_back ? p.back : p.link;
  next.ifindex = attached ? static_cast<__u32>(out.index) : 0;
  next.mtu = attached && !p.moved ? p.link.mtu : 0;
  const netlink::Link& seen = p.moved ? p.back : p.link;
  if (attached && seen.admin_up && seen.lower_up) next.flags |= HD_UP;
  if (p.shaped) {
    next.flags |= HD_SHAPED;
  } else if (p.internal() && !p.moved) {
    next.flags |= HD_INWARD;
  } else if (const auto mac = attached ? station(out) : std::nullopt) {
    next.flags |= HD_PEER;
    std::copy_n(mac->bytes.begin(), sizeof next.station, next.station);
  }
  if (auto ok = write_conf(p, next); !ok) spdlog::error("port {}: {}", p.spec.name, ok.error().text);
}

void KernelDatapath::see_link(PortEntry& p, const netlink::Link& link) {
  p.link = link;
  write_device(p);
}

// Programs know the port before its first frame comes.
Result<> KernelDatapath::attach(PortEntry& p, const netlink::Link& hooked, bool made_clsact) {
  const auto ifindex = static_cast<__u32>(hooked.index);
  if (auto ok = programs_->devices.put(ifindex, static_cast<__u32>(p.no)); !ok) return ok;
  // Four a second are had by tcx, and up to 32 at once.
  constexpr auto pace = std::chrono::milliseconds(250);
  const TimePoint now = (options_.time != nullptr ? *options_.time : steady_).now();
  slow_hooks_ = std::max(slow_hooks_, now);
  const bool one_of_many = slow_hooks_ - now > 31 * pace;
  if (!one_of_many) slow_hooks_ += pace;
  auto hook =
      Hook::attach(*pins_, *kernel_, {hooked.index, hooked.name, made_clsact, p.internal() || p.patch(), one_of_many},
                   programs_->port_ingress());
  if (!hook) {
    programs_->devices.erase(ifindex);
    return std::unexpected(hook.error());
  }
  p.hook = std::move(*hook);
  answer_device_[static_cast<std::size_t>(p.no)].store(hooked.index, std::memory_order_relaxed);
  return {};
}

Result<> KernelDatapath::open_netdev(PortEntry& p) {
  const std::string& name = p.spec.name;
  auto link = kernel_->link(name);
  if (!link) {
    if (link.error().code != Errc::not_found) return std::unexpected(link.error());
    return fail(Errc::not_found, "network device " + name + " not found: it is taken up as soon as it appears");
  }
  if (link->name == "lo") return fail(Errc::unsupported, "the loopback device cannot be a port of a bridge");
  if (link->alias == options_.owner)
    return fail(Errc::exists, "network device " + name + " is the switch's own: choose another");
  if (link->master != 0) {
    auto master = kernel_->link(link->master);
    const std::string owner = master ? master->name : std::to_string(link->master);
    return fail(Errc::exists, "network device " + name + " belongs to " + owner + ": release it (ip link set dev " +
                                  name + " nomaster)");
  }
  if (!link->admin_up) {
    if (auto ok = kernel_->set_up(link->index, true); !ok) return ok;
  }
  if (auto info = netlink::ethtool_info(name)) p.ethtool = *info;
  if (auto ok = attach(p, *link, made_clsact_before(link->index)); !ok) return ok;
  p.link = *link;
  return {};
}

// A device that we were making when we were killed: not marked yet, never used.
bool KernelDatapath::may_adopt(const netlink::Link& link) const {
  return link.alias.empty() && !link.admin_up && link.master == 0 && (link.kind == "veth" || link.kind == "vxlan");
}

// Makes the pair that is not there, or finishes one that was being made. Anything else by these names is in the way.
Result<> KernelDatapath::make_pair(const std::string& name, const std::string& back, const PortSpec& spec) {
  auto near = kernel_->link(name);
  const auto far = kernel_->link(back);
  if (near && near->alias == options_.owner && near->kind == "tun") {  // the user-space datapath's
    if (auto ok = kernel_->remove_link(near->index); !ok) return ok;
    near = fail(Errc::not_found, "");
  }
  const auto ours = [&](const netlink::Link& l) { return l.alias == options_.owner || may_adopt(l); };
  if (far && far->kind == "veth" && ours(*far)) {
    if (far->link_netns || !near || near->index != far->link) return {};  // the host's end is elsewhere
    for (const int index : {far->index, near->index})
      if (auto ok = kernel_->set_alias(index, options_.owner); !ok) return ok;
    return {};
  }
  if (far) return fail(Errc::exists, "network device " + back + ", which port " + name + " needs, was made by another");
  if (near)
    return fail(Errc::exists, "network device " + name +
                                  " exists and was not made by the switch: remove it (ip link del " + name +
                                  ") or give the port another name");
  auto made = kernel_->add_veth({name, back, spec.mac, spec.mtu, options_.owner});
  if (!made) return std::unexpected(made.error());
  return {};
}

// A pair: the device that the host uses, and one whose ingress has the program. The host's end may be moved to another
// namespace; the other stays with us. The program is there before the first frame can come.
Result<> KernelDatapath::open_internal(PortEntry& p) {
  const std::string& name = p.spec.name;
  const std::string back = back_name(name);
  if (auto ok = make_pair(name, back, p.spec); !ok) return ok;
  const auto far = kernel_->link(back);
  if (!far) return std::unexpected(far.error());
  const auto near = kernel_->link(name);
  silence(back);
  if (far->mtu != kLargestMtu)  // what the host's end may send is the host's end's affair
    if (auto ok = kernel_->set_mtu(far->index, kLargestMtu); !ok) return ok;
  if (auto ok = attach(p, *far, false); !ok) return ok;
  p.back = *far;
  p.moved = far->link_netns.has_value() || !near || near->index != far->link;
  p.link = p.moved ? *far : *near;
  if (auto ok = kernel_->set_up(far->index, true); !ok) return ok;
  if (p.moved) return {};
  if (p.spec.mac && near->mac != *p.spec.mac)
    if (auto ok = kernel_->set_mac(near->index, *p.spec.mac); !ok) return ok;
  if (p.spec.mtu && near->mtu != *p.spec.mtu)
    if (auto ok = kernel_->set_mtu(near->index, *p.spec.mtu); !ok) return ok;
  return kernel_->set_up(near->index, true);
}

// Tries to take the device over; p.error says why that failed.
void KernelDatapath::open_device(PortEntry& p) {
  p.error.clear();
  const auto opened = p.internal() ? open_internal(p) : p.patch() ? open_patch(p) : open_netdev(p);
  if (!opened) {
    close_device(p, opened.error().text);
    spdlog::warn("port {}: {}", p.spec.name, p.error);
    return;
  }
  if (auto back = p.internal() ? kernel_->link(p.back.index) : Result<netlink::Link>(p.back)) p.back = *back;
  auto link = kernel_->link(p.link.index);
  see_link(p, link ? *link : p.link);
  if (p.internal() && !p.moved)
    if (auto info = netlink::ethtool_info(p.spec.name)) p.ethtool = *info;
  if (p.qos || (settled_ && way_out(p).qdisc == "htb"))
    if (auto ok = apply_qos(p); !ok) spdlog::warn("{}", ok.error().text);
  flood_soon(p.policy.bridge);
  spdlog::info("port {}: device {} taken over ({})", p.spec.name, p.link.index, p.hook.kind());
}

// Gives the device back. The port stays, without one.
void KernelDatapath::close_device(PortEntry& p, const std::string& why) {
  p.error = why;
  const int ifindex = p.hook.ifindex();
  if (ifindex == 0) return write_device(p);
  answer_device_[static_cast<std::size_t>(p.no)].store(0, std::memory_order_relaxed);
  lift_qos(p);
  if (p.patch()) shut(ifindex);
  p.hook.detach(*pins_, *kernel_);
  programs_->devices.erase(static_cast<__u32>(ifindex));
  p.link = {};
  p.back = {};
  p.moved = false;
  write_device(p);
}

void KernelDatapath::remove_internal(const std::string& name, const std::string& back) {
  for (const std::string& device : {back, name}) {
    if (device.empty()) continue;
    auto link = kernel_->link(device);
    if (link && link->alias == options_.owner && link->kind == "veth") (void)kernel_->remove_link(link->index);
  }
}

}  // namespace heddle::dp
