// SPDX-License-Identifier: Apache-2.0
#include "datapath/kernel/port_devices.h"

#include <bpf/bpf.h>

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "base/log.h"
#include "datapath/control/netdev.h"

namespace heddle::dp {
namespace {

constexpr auto kTcxEgress = static_cast<bpf_attach_type>(47);  // linux/bpf.h of 6.6

// Whether somebody wants to see, hold back or change the frames that leave by the device: tcpdump, a queueing
// discipline (bandwidth limits of a CNI plug-in), filters, programs. Frames that are handed over directly would pass by
// all of these.
bool watched(netlink::Netlink& kernel, const netlink::Link& device) {
  if (device.promiscuity != 0 || (!device.qdisc.empty() && device.qdisc != "noqueue")) return true;
  __u32 programs = 0;
  if (bpf_prog_query(device.index, kTcxEgress, 0, nullptr, nullptr, &programs) == 0 && programs > 0) return true;
  const auto filters = kernel.egress_filters(device.index);
  return !filters || *filters;
}

// The address of the device at a veth's far end, when that is in another namespace and nobody watches the near end.
std::optional<MacAddr> direct_peer_mac(netlink::Netlink& kernel, const netlink::Link& veth) {
  if (veth.kind != "veth" || !veth.link_netns || watched(kernel, veth)) return std::nullopt;
  const auto peer = kernel.peer(*veth.link_netns, veth.link);
  if (!peer || !*peer || (*peer)->mac.is_zero()) return std::nullopt;
  return (*peer)->mac;
}

}  // namespace

PortDevices::PortDevices(const OwnDevices& own, const Pins& pins, const Programs& programs, PortTable& table,
                         const TakeOver& former, const TimeSource& time)
    : own_(own),
      pins_(pins),
      programs_(programs),
      table_(table),
      former_(former),
      time_(time),
      pairs_(own),
      patches_(own),
      shapers_(own.kernel()) {}

std::string PortDevices::device_name(const PortSpec& spec) {
  return spec.traits().has_peer ? PatchPairs::end_name(spec.name, spec.peer) : spec.name;
}

// Gives the programs what they need to know of the port's device.
void PortDevices::write(PortEntry& p) {
  const DeviceState& d = p.device;
  const bool shaped = p.shaping.in_force;
  hd_port next = p.conf;
  next.flags &= ~(HD_UP | HD_INWARD | HD_TO_HOST | HD_PEER | HD_SHAPED | HD_PATCH);
  if (p.is_patch()) next.flags |= HD_PATCH;
  std::fill_n(next.station, sizeof next.station, __u8{0});
  const netlink::Link& out = p.is_pair() && (d.moved || shaped) ? d.back : d.link;
  next.ifindex = d.attached() ? static_cast<__u32>(out.index) : 0;
  next.mtu = d.attached() && !d.moved ? d.link.mtu : 0;
  const netlink::Link& seen = d.moved ? d.back : d.link;
  if (d.attached() && seen.admin_up && seen.lower_up) next.flags |= HD_UP;
  if (p.is_pair() && !d.moved) next.flags |= HD_TO_HOST;
  if (shaped) {
    next.flags |= HD_SHAPED;
  } else if (p.is_pair() && !d.moved) {
    next.flags |= HD_INWARD;
  } else if (const auto mac = d.attached() ? direct_peer_mac(own_.kernel(), out) : std::nullopt) {
    next.flags |= HD_PEER;
    std::copy_n(mac->bytes.begin(), sizeof next.station, next.station);
  }
  if (auto ok = table_.write(p, next); !ok) spdlog::error("port {}: {}", p.name(), ok.error().text);
}

void PortDevices::see_link(PortEntry& p, const netlink::Link& link) {
  p.device.link = link;
  write(p);
}

void PortDevices::see_way_out(PortEntry& p) {
  netlink::Link& out = p.way_out();
  if (const auto now = own_.kernel().link(out.index)) out = *now;
  if (p.device.moved) p.device.link = out;
  write(p);
}

bool PortDevices::look_at_pair(PortEntry& p) {
  DeviceState& d = p.device;
  const auto now = pairs_.look(d.back.index, p.name());
  if (!now) return false;  // its going is news of its own
  if (*now == InternalPairs::Pair{d.link, d.back, d.moved}) return false;
  if (now->moved != d.moved)
    spdlog::info("port {}: its device {}", p.name(), now->moved ? "is in another namespace now" : "is back");
  d.moved = now->moved;
  d.back = now->far;
  see_link(p, now->near);
  return true;
}

bool PortDevices::on_traffic(PortEntry& p) {
  const auto flags = p.conf.flags;
  const netlink::Link was = p.way_out();
  see_way_out(p);
  if (p.shaping.in_force && p.way_out().qdisc != "htb") {
    spdlog::warn("port {}: somebody removed the QoS of its device: it is set again", p.name());
    p.shaping.in_force = false;
    apply_qos(p);
  }
  // The link's own news may be seen here first, and is no news then.
  return p.conf.flags != flags || p.way_out() != was;
}

bool PortDevices::refresh(PortEntry& p) {
  if (!p.device.attached() || (p.is_pair() && !p.device.moved)) return false;
  netlink::Link& out = p.way_out();
  if (out.kind != "veth") return false;
  bool changed = false;
  if (const auto now = own_.kernel().link(out.index); now && *now != out) {
    out = *now;
    changed = true;
  }
  write(p);
  return changed;
}

PortState PortDevices::state(const PortEntry& p) const {
  const DeviceState& d = p.device;
  PortState s;
  s.present = d.attached();
  s.error = d.error;
  if (p.is_patch()) {
    s.mac = d.link.mac;
    s.admin_up = true;
    s.link_up = (p.conf.flags & HD_UP) != 0;
    s.details = {{"peer", p.spec().peer}};
    if (s.present) s.details.emplace_back("device", d.link.name);
    return s;
  }
  s.moved = d.moved;
  if (!d.moved) {
    s.ifindex = d.link.index;
    s.mac = d.link.mac;
    s.mtu = d.link.mtu;
  } else if (const auto there = own_.kernel().peer(d.back.link_netns.value_or(-1), d.back.link); there && *there) {
    s.mac = (*there)->mac;
    s.mtu = (*there)->mtu;
  }
  s.admin_up = d.link.admin_up;
  s.link_up = d.link.lower_up;
  s.link_speed = d.ethtool.speed_bps;
  s.full_duplex = d.ethtool.full_duplex;
  s.driver = d.ethtool.driver;
  if (!s.present) return s;
  const char* output = (p.conf.flags & HD_INWARD) != 0 ? "ingress" : (p.conf.flags & HD_PEER) != 0 ? "peer" : "device";
  s.details = {{"tc_hook", d.hook.kind()}, {"output", output}};
  if (p.shaping.in_force) s.details.emplace_back("qos", "htb");
  if (!p.shaping.error.empty()) s.details.emplace_back("qos_error", p.shaping.error);
  if (d.moved) s.details.emplace_back("moved", "the device is in another network namespace");
  return s;
}

// --- taking over ---

// Four devices a second get their program by tcx, and up to 32 at once: see hook.h.
bool PortDevices::one_of_many() {
  constexpr auto pace = std::chrono::milliseconds(250);
  const TimePoint now = time_.now();
  hooks_paid_ = std::max(hooks_paid_, now);
  const bool many = hooks_paid_ - now > 31 * pace;
  if (!many) hooks_paid_ += pace;
  return many;
}

// Programs know the port before its first frame comes.
Result<> PortDevices::attach(PortEntry& p, const netlink::Link& hooked, bool made_clsact) {
  if (const auto holder = holders_.find(hooked.index); holder != holders_.end())
    return fail(Errc::exists, "network device " + hooked.name + " is port " + holder->second +
                                  "'s already: remove that port first, or give this one another name");
  const auto ifindex = static_cast<__u32>(hooked.index);
  if (auto ok = programs_.devices.put(ifindex, static_cast<__u32>(p.no)); !ok) return ok;
  const Hook::Target target{.ifindex = hooked.index,
                            .name = hooked.name,
                            .made_clsact = made_clsact,
                            .ours = p.is_pair() || p.is_patch(),
                            .one_of_many = one_of_many(),
                            .leave_other = !former_.ended()};
  auto hook = Hook::attach(pins_, own_.kernel(), target, programs_.port_ingress());
  if (!hook) {
    programs_.devices.erase(ifindex);
    return std::unexpected(hook.error());
  }
  p.device.hook = std::move(*hook);
  holders_[hooked.index] = p.name();
  answer_device_[static_cast<std::size_t>(p.no)].store(hooked.index, std::memory_order_relaxed);
  return {};
}

Result<> PortDevices::open_netdev(PortEntry& p) {
  const auto link = find_netdev(own_.kernel(), p.name(), own_.owner());
  if (!link) return std::unexpected(link.error());
  if (!link->admin_up)
    if (auto ok = own_.kernel().set_up(link->index, true); !ok) return ok;
  if (const auto info = netlink::ethtool_info(p.name())) p.device.ethtool = *info;
  if (auto ok = attach(p, *link, former_.made_clsact(link->index)); !ok) return ok;
  p.device.link = *link;
  return {};
}

Result<> PortDevices::open_pair(PortEntry& p) {
  const auto pair = pairs_.make(p.spec());
  if (!pair) return std::unexpected(pair.error());
  if (auto ok = attach(p, pair->far, false); !ok) return ok;
  p.device.link = pair->near;
  p.device.back = pair->far;
  p.device.moved = pair->moved;
  return pairs_.bring_up(*pair, p.spec());
}

Result<> PortDevices::open_patch(PortEntry& p) {
  const auto end = patches_.make(p.spec(), in_use());
  if (!end) return std::unexpected(end.error());
  if (auto ok = attach(p, *end, false); !ok) return ok;
  p.device.link = *end;
  return own_.kernel().set_up(end->index, true);
}

bool PortDevices::open(PortEntry& p) {
  DeviceState& d = p.device;
  const std::string before = std::exchange(d.error, "");
  const auto opened = p.is_pair() ? open_pair(p) : p.is_patch() ? open_patch(p) : open_netdev(p);
  if (!opened) {
    close(p, opened.error().text);
    if (d.error != before) spdlog::warn("port {}: {}", p.name(), d.error);
    return false;
  }
  netlink::Netlink& kernel = own_.kernel();
  if (p.is_pair())
    if (const auto back = kernel.link(d.back.index)) d.back = *back;
  const auto link = kernel.link(d.link.index);
  see_link(p, link ? *link : d.link);
  if (p.is_pair() && !d.moved)
    if (const auto info = netlink::ethtool_info(p.name())) d.ethtool = *info;
  if (p.config.qos || (former_.ended() && p.way_out().qdisc == "htb")) apply_qos(p);
  spdlog::info("port {}: device {} taken over ({})", p.name(), d.link.index, d.hook.kind());
  return true;
}

void PortDevices::close(PortEntry& p, const std::string& why) {
  DeviceState& d = p.device;
  d.error = why;
  const int ifindex = d.hook.ifindex();
  if (ifindex == 0) return write(p);
  answer_device_[static_cast<std::size_t>(p.no)].store(0, std::memory_order_relaxed);
  holders_.erase(ifindex);
  shapers_.lift(p);
  if (p.is_patch()) own_.set_link_down(ifindex);
  d.hook.detach(pins_, own_.kernel());
  programs_.devices.erase(static_cast<__u32>(ifindex));
  d.link = {};
  d.back = {};
  d.moved = false;
  write(p);
}

void PortDevices::remove(PortEntry& p) {
  const bool had_device = p.device.attached();
  close(p, "");
  if (p.is_pair() && (had_device || has_unused_pair(p))) pairs_.remove(p.name());
  if (p.is_patch()) patches_.remove(p.spec(), in_use());
}

// A pair that was made for the port although the port could not get it. Its name may be that of another port's pair.
bool PortDevices::has_unused_pair(const PortEntry& p) const {
  const auto far = own_.kernel().link(InternalPairs::far_name(p.name()));
  if (!far || holders_.contains(far->index)) return false;
  const auto pair = pairs_.look(far->index, p.name());
  return pair && !pair->moved;
}

// --- QoS ---

void PortDevices::apply_qos(PortEntry& p) {
  const std::string before = std::exchange(p.shaping.error, "");
  if (p.config.qos) {
    if (const auto possible = check_qos(p.spec(), *p.config.qos); !possible) {
      p.shaping.error = possible.error().text;
      if (p.shaping.in_force) {
        shapers_.lift(p);
        see_way_out(p);
      }
      return;
    }
  }
  if (!p.device.attached() || !p.spec().traits().may_shape) return;
  const auto shaped = p.config.qos ? shapers_.shape(p) : Result<>{};
  if (!shaped || !p.config.qos) shapers_.lift(p);
  see_way_out(p);
  if (shaped) return;
  p.shaping.error = shaped.error().text;
  if (p.shaping.error != before) spdlog::warn("{}", p.shaping.error);
}

// --- a former life's ---

void PortDevices::free_left_over(int ifindex, bool made_clsact) const {
  if (ifindex == 0 || holders_.contains(ifindex)) return;
  shapers_.remove_ours(ifindex);
  own_.set_link_down(ifindex);
  Hook::remove_left_over(pins_, own_.kernel(), ifindex, made_clsact);
}

void PortDevices::drop_left_overs(const std::set<int>& ours) const {
  // Filters stay on their devices whatever becomes of pins.
  if (const auto links = own_.kernel().links())
    for (const auto& link : *links)
      if (!ours.contains(link.index) && Hook::has_filter(pins_, link.index)) free_left_over(link.index, false);
  for (const std::string& pin : pins_.names()) {
    if (!pin.starts_with("link-")) continue;
    const int ifindex = std::atoi(pin.c_str() + 5);  // NOLINT(cert-err34-c): our own file names; 0 is no device
    if (!ours.contains(ifindex)) free_left_over(ifindex, false);
  }
  programs_.devices.for_each([&](__u32 ifindex, __u32 /*port*/) {
    if (!ours.contains(static_cast<int>(ifindex))) programs_.devices.erase(ifindex);
  });
  programs_.strays.for_each([&](__u32 ifindex, const hd_drop_counts& /*counts*/) {
    if (!ours.contains(static_cast<int>(ifindex))) programs_.strays.erase(ifindex);
  });
}

void PortDevices::drop_left_over_queues(PortEntry& p) {
  if (!p.device.attached() || p.shaping.in_force || p.way_out().qdisc != "htb") return;
  if (!shapers_.has_ours(p.way_out().index)) return;
  spdlog::info("port {}: QoS is not configured any more", p.name());
  shapers_.remove_ours(p.way_out().index);
  see_way_out(p);
}

}  // namespace heddle::dp
