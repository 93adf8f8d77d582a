// SPDX-License-Identifier: Apache-2.0
// Netlink's functions that add, change and remove devices.
#include <linux/if.h>
#include <linux/if_link.h>
#include <linux/veth.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string_view>

#include "base/byte_order.h"
#include "netlink/impl.h"
#include "netlink/netlink.h"
#include "netlink/wire.h"

namespace heddle::netlink {
namespace {

// The kernel's rule for names (dev_valid_name() in net/core/dev.c), and no '%', which the kernel takes for a pattern.
Result<> check_name(const std::string& name) {
  constexpr std::string_view kForbidden("/:% \t\n\v\f\r\0", 10);
  if (name.empty() || name.size() >= IFNAMSIZ || name == "." || name == ".." ||
      name.find_first_of(kForbidden) != std::string::npos)
    return fail(Errc::invalid, "\"" + name + "\" cannot be the name of a network device: 1 to 15 characters, " +
                                   "none of them a space, '/', ':' or '%'");
  return {};
}

Result<> check_alias(const std::string& text, const std::string& object) {
  if (text.size() < IFALIASZ && text.find('\0') == std::string::npos) return {};
  return fail(Errc::invalid,
              "alias for " + object + ": at most " + std::to_string(IFALIASZ - 1) + " bytes, none of them zero");
}

// Writes no terminating zero, which the kernel would count; an empty text has one, since the kernel refuses an empty
// attribute.
void put_alias(nl_msg* m, const std::string& text) {
  nla_put(m, IFLA_IFALIAS, static_cast<int>(std::max<std::size_t>(text.size(), 1)), text.c_str());
}

// A request for a new device `name`, without its IFLA_LINKINFO.
wire::Msg new_link(const std::string& name, std::optional<unsigned> mtu) {
  auto m = request(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, link_header(0));
  if (!m) return m;
  nla_put_string(m.get(), IFLA_IFNAME, name.c_str());
  if (mtu) nla_put_u32(m.get(), IFLA_MTU, *mtu);
  return m;
}

void put_veth(nl_msg* m, const VethSpec& spec) {
  nlattr* info = nla_nest_start(m, IFLA_LINKINFO);
  nla_put_string(m, IFLA_INFO_KIND, "veth");
  nlattr* data = nla_nest_start(m, IFLA_INFO_DATA);
  nlattr* peer = nla_nest_start(m, VETH_INFO_PEER);
  ifinfomsg header = link_header(0);
  nlmsg_append(m, &header, sizeof header, NLMSG_ALIGNTO);
  nla_put_string(m, IFLA_IFNAME, spec.peer.c_str());
  if (spec.mtu) nla_put_u32(m, IFLA_MTU, *spec.mtu);
  nla_nest_end(m, peer);
  nla_nest_end(m, data);
  nla_nest_end(m, info);
}

void put_vxlan(nl_msg* m, const VxlanDeviceSpec& spec) {
  nlattr* info = nla_nest_start(m, IFLA_LINKINFO);
  nla_put_string(m, IFLA_INFO_KIND, "vxlan");
  nlattr* data = nla_nest_start(m, IFLA_INFO_DATA);
  nla_put_u8(m, IFLA_VXLAN_COLLECT_METADATA, 1);
  nla_put_u8(m, IFLA_VXLAN_LEARNING, 0);
  nla_put_u8(m, IFLA_VXLAN_UDP_ZERO_CSUM6_RX, 1);
  const Be16 port = be16(spec.udp_port);
  nla_put(m, IFLA_VXLAN_PORT, sizeof port, &port);
  const std::array range{be16(spec.source_low), be16(spec.source_high)};  // struct ifla_vxlan_port_range
  static_assert(sizeof range == sizeof(ifla_vxlan_port_range));
  nla_put(m, IFLA_VXLAN_PORT_RANGE, sizeof range, range.data());
  // RFC 7348 section 5: reserved bits MUST be ignored on receipt. The kernel drops packets with any of the bits in this
  // mask of the VXLAN header, by default all that RFC 7348 does not define. Before Linux 6.14 it does not know the
  // attribute, ignores it, and drops such packets without a counter.
  constexpr int kReservedBits = 33;  // IFLA_VXLAN_RESERVED_BITS: newer than the headers
  const std::array<std::uint8_t, 8> none{};
  nla_put(m, kReservedBits, sizeof none, none.data());
  nla_nest_end(m, data);
  nla_nest_end(m, info);
}

}  // namespace

// The kernel ignores IFLA_IFALIAS in a request for a new device, so aliases need requests of their own; when an alias
// fails, the new devices are removed.
Result<Link> Netlink::Impl::add(const wire::Msg& m, const std::vector<std::string>& names, const std::string& alias) {
  const auto& name = names.front();
  auto v = transact(m, [](nlmsghdr*) {});
  if (!v) return std::unexpected(v.error());
  for (const auto& taken : names)
    if (v->err == EEXIST && link(taken)) return fail(Errc::exists, device(taken) + " exists already");
  if (v->err != 0) return refuse(*v, "addition", device(name));
  for (const auto& end : names) {
    if (alias.empty()) break;
    auto set = request(RTM_NEWLINK, 0, link_header(0));
    if (set) {
      nla_put_string(set.get(), IFLA_IFNAME, end.c_str());
      put_alias(set.get(), alias);
    }
    if (const auto done = change(set, "alias", device(end)); !done) {
      auto remove = request(RTM_DELLINK, 0, link_header(0));
      if (remove) nla_put_string(remove.get(), IFLA_IFNAME, name.c_str());
      (void)change(remove, "removal", device(name));
      return std::unexpected(done.error());
    }
  }
  return link(name);
}

Result<Link> Netlink::add_veth(const VethSpec& spec) {
  for (const auto& name : {spec.name, spec.peer})
    if (auto ok = check_name(name); !ok) return std::unexpected(ok.error());
  if (spec.name == spec.peer)
    return fail(Errc::invalid, "the two ends of a veth pair are both to be \"" + spec.name + "\"");
  if (auto ok = check_alias(spec.alias, device(spec.name)); !ok) return std::unexpected(ok.error());
  auto m = new_link(spec.name, spec.mtu);
  if (m) {
    if (spec.mac) nla_put(m.get(), IFLA_ADDRESS, 6, spec.mac->bytes.data());
    put_veth(m.get(), spec);
  }
  return impl_->add(m, {spec.name, spec.peer}, spec.alias);
}

Result<Link> Netlink::add_vxlan(const VxlanDeviceSpec& spec) {
  if (auto ok = check_name(spec.name); !ok) return std::unexpected(ok.error());
  if (auto ok = check_alias(spec.alias, device(spec.name)); !ok) return std::unexpected(ok.error());
  if (spec.udp_port == 0)
    return fail(Errc::invalid, "addition for " + device(spec.name) + ": UDP port 0 cannot be used");
  if (spec.source_low == 0 || spec.source_low >= spec.source_high)
    return fail(Errc::invalid, "addition for " + device(spec.name) + ": " + std::to_string(spec.source_low) + " to " +
                                   std::to_string(spec.source_high) + " is not a range of UDP source ports");
  auto m = new_link(spec.name, spec.mtu);
  if (m) put_vxlan(m.get(), spec);
  auto added = impl_->add(m, {spec.name}, spec.alias);
  // vxlan_config_validate(): a received packet could belong to either of two such devices.
  if (!added && added.error().code == Errc::exists && !link(spec.name))
    return fail(Errc::exists, "addition for " + device(spec.name) + ": another vxlan device has UDP port " +
                                  std::to_string(spec.udp_port) + " and the same options; remove that first");
  return added;
}

Result<> Netlink::set_up(int index, bool up) {
  auto header = link_header(index);
  header.ifi_change = IFF_UP;
  header.ifi_flags = up ? IFF_UP : 0;
  auto v = impl_->transact(request(RTM_NEWLINK, 0, header), [](nlmsghdr*) {});
  if (!v) return std::unexpected(v.error());
  // EADDRINUSE comes from a tunnel device's socket (vxlan_open() in the kernel's vxlan_core.c).
  if (v->err == EADDRINUSE) {
    const auto found = link(index);
    return fail(Errc::exists, "setting up " + (found ? device(found->name) : device(index)) +
                                  ": its UDP port is in use by a program or another tunnel device; `ss -ulnp` and" +
                                  " `ip -d link show` tell by which");
  }
  if (v->err != 0) return refuse(*v, up ? "setting up" : "setting down", device(index));
  return {};
}

Result<> Netlink::set_alias(int index, const std::string& text) {
  if (auto ok = check_alias(text, device(index)); !ok) return ok;
  auto m = request(RTM_NEWLINK, 0, link_header(index));
  if (m) put_alias(m.get(), text);
  return impl_->change(m, "alias", index);
}

Result<> Netlink::set_mtu(int index, unsigned mtu) {
  auto m = request(RTM_NEWLINK, 0, link_header(index));
  if (m) nla_put_u32(m.get(), IFLA_MTU, mtu);
  return impl_->change(m, "MTU " + std::to_string(mtu), index);
}

Result<> Netlink::set_mac(int index, MacAddr mac) {
  auto m = request(RTM_NEWLINK, 0, link_header(index));
  if (m) nla_put(m.get(), IFLA_ADDRESS, 6, mac.bytes.data());
  return impl_->change(m, "MAC address " + mac.to_string(), index);
}

Result<> Netlink::remove_link(int index) {
  // For index 0 without a name the kernel says EINVAL, which would become Errc::invalid.
  if (index <= 0) return fail(Errc::not_found, device(index) + " does not exist");
  return impl_->change(request(RTM_DELLINK, 0, link_header(index)), "removal", index);
}

}  // namespace heddle::netlink
