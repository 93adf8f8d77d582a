// SPDX-License-Identifier: Apache-2.0
#include "netlink/bridge_links.h"

#include <linux/if_bridge.h>
#include <linux/if_link.h>
#include <sys/socket.h>

#include <array>

#include "base/byte_order.h"
#include "netlink/impl.h"
#include "netlink/wire.h"

namespace heddle::netlink {
namespace {

wire::Msg new_link(const std::string& name, const char* kind, nlattr*& info) {
  auto m = request(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, link_header(0));
  if (!m) return m;
  nla_put_string(m.get(), IFLA_IFNAME, name.c_str());
  info = nla_nest_start(m.get(), IFLA_LINKINFO);
  nla_put_string(m.get(), IFLA_INFO_KIND, kind);
  return m;
}

// Nothing: not a vxlan device, or one in collect-metadata mode.
std::optional<BridgeLinks::NetworkDevice> network_device(nlmsghdr* message) {
  const auto link = wire::link(message);
  if (!link || link->kind != "vxlan") return std::nullopt;
  std::array<nlattr*, IFLA_INFO_MAX + 1> info{};
  std::array<nlattr*, IFLA_VXLAN_MAX + 1> tb{};
  nlattr* outer = nlmsg_find_attr(message, sizeof(ifinfomsg), IFLA_LINKINFO);
  if (outer == nullptr || nla_parse_nested(info.data(), IFLA_INFO_MAX, outer, nullptr) < 0 ||
      info[IFLA_INFO_DATA] == nullptr || nla_parse_nested(tb.data(), IFLA_VXLAN_MAX, info[IFLA_INFO_DATA], nullptr) < 0)
    return std::nullopt;
  const auto has = [&tb](int type, int size) { return tb[type] != nullptr && nla_len(tb[type]) >= size; };
  if (has(IFLA_VXLAN_COLLECT_METADATA, 1) && nla_get_u8(tb[IFLA_VXLAN_COLLECT_METADATA]) != 0) return std::nullopt;
  if (!has(IFLA_VXLAN_ID, 4)) return std::nullopt;
  BridgeLinks::NetworkDevice out{*link, nla_get_u32(tb[IFLA_VXLAN_ID]), std::nullopt};
  if (has(IFLA_VXLAN_LOCAL, 4)) out.local = IpAddr::v4_bytes(nla_data(tb[IFLA_VXLAN_LOCAL]));
  if (has(IFLA_VXLAN_LOCAL6, 16)) out.local = IpAddr::v6_bytes(nla_data(tb[IFLA_VXLAN_LOCAL6]));
  return out;
}

}  // namespace

Result<std::vector<BridgeLinks::NetworkDevice>> BridgeLinks::network_devices() {
  const auto make = [] {
    auto m = request(RTM_GETLINK, NLM_F_DUMP, link_header(0));
    if (m) {
      nla_put_u32(m.get(), IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
      nlattr* info = nla_nest_start(m.get(), IFLA_LINKINFO);  // of this kind alone (rtnl_dump_ifinfo())
      nla_put_string(m.get(), IFLA_INFO_KIND, "vxlan");
      nla_nest_end(m.get(), info);
    }
    return m;
  };
  return nl_.impl_->dump<NetworkDevice>(make, network_device, "vxlan devices");
}

Result<Link> BridgeLinks::add_network_device(const NetworkDeviceSpec& spec) {
  nlattr* info = nullptr;
  auto m = new_link(spec.name, "vxlan", info);
  if (m) {
    nlattr* data = nla_nest_start(m.get(), IFLA_INFO_DATA);
    nla_put_u32(m.get(), IFLA_VXLAN_ID, spec.vni);
    nla_put_u8(m.get(), IFLA_VXLAN_LEARNING, 0);
    const Be16 port = be16(spec.udp_port);
    nla_put(m.get(), IFLA_VXLAN_PORT, sizeof port, &port);
    wire::put(m.get(), spec.local.is_v6() ? IFLA_VXLAN_LOCAL6 : IFLA_VXLAN_LOCAL, spec.local);
    nla_nest_end(m.get(), data);
    nla_nest_end(m.get(), info);
  }
  return nl_.impl_->add(m, {spec.name}, spec.alias);
}

Result<Link> BridgeLinks::add_bridge(const std::string& name, bool vlan_aware, const std::string& alias) {
  nlattr* info = nullptr;
  auto m = new_link(name, "bridge", info);
  if (m) {
    nlattr* data = nla_nest_start(m.get(), IFLA_INFO_DATA);
    nla_put_u32(m.get(), IFLA_BR_STP_STATE, 0);
    if (vlan_aware) {
      nla_put_u8(m.get(), IFLA_BR_VLAN_FILTERING, 1);
      nla_put_u16(m.get(), IFLA_BR_VLAN_DEFAULT_PVID, 0);
    }
    nla_nest_end(m.get(), data);
    nla_nest_end(m.get(), info);
  }
  return nl_.impl_->add(m, {name}, alias);
}

Result<Link> BridgeLinks::add_idle(const std::string& name, const std::string& alias) {
  Result<Link> made = fail(Errc::unsupported, "no kind of device");
  for (const char* kind : {"dummy", "ifb"}) {
    nlattr* info = nullptr;
    auto m = new_link(name, kind, info);
    if (m) nla_nest_end(m.get(), info);
    made = nl_.impl_->add(m, {name}, alias);
    if (made || made.error().code != Errc::unsupported) return made;
  }
  return fail(Errc::unsupported, device(name) + ": this kernel has neither dummy nor ifb devices (modprobe dummy)");
}

Result<> BridgeLinks::enslave(int index, int bridge) {
  auto m = request(RTM_NEWLINK, 0, link_header(index));
  if (m) nla_put_u32(m.get(), IFLA_MASTER, static_cast<std::uint32_t>(bridge));
  if (auto done = nl_.impl_->change(m, "entering the bridge", index); !done) return done;
  ifinfomsg header = link_header(index);
  header.ifi_family = AF_BRIDGE;
  auto flags = request(RTM_SETLINK, 0, header);
  if (flags) {
    nlattr* port = nla_nest_start(flags.get(), IFLA_PROTINFO | NLA_F_NESTED);
    for (const int flag :
         {IFLA_BRPORT_LEARNING, IFLA_BRPORT_UNICAST_FLOOD, IFLA_BRPORT_MCAST_FLOOD, IFLA_BRPORT_BCAST_FLOOD})
      nla_put_u8(flags.get(), flag, 0);
    nla_nest_end(flags.get(), port);
  }
  return nl_.impl_->change(flags, "bridge port settings", index);
}

Result<> BridgeLinks::block(int index) {
  ifinfomsg header = link_header(index);
  header.ifi_family = AF_BRIDGE;
  auto m = request(RTM_SETLINK, 0, header);
  if (m) {
    nlattr* port = nla_nest_start(m.get(), IFLA_PROTINFO | NLA_F_NESTED);
    nla_put_u8(m.get(), IFLA_BRPORT_STATE, BR_STATE_DISABLED);
    nla_nest_end(m.get(), port);
  }
  return nl_.impl_->change(m, "bridge port state", index);
}

Result<> BridgeLinks::add_vlan(int index, std::uint16_t vlan, bool access) {
  ifinfomsg header = link_header(index);
  header.ifi_family = AF_BRIDGE;
  auto m = request(RTM_SETLINK, 0, header);
  if (m) {
    nlattr* spec = nla_nest_start(m.get(), IFLA_AF_SPEC);
    bridge_vlan_info info{};
    info.vid = vlan;
    if (access) info.flags = BRIDGE_VLAN_INFO_PVID | BRIDGE_VLAN_INFO_UNTAGGED;
    nla_put(m.get(), IFLA_BRIDGE_VLAN_INFO, sizeof info, &info);
    nla_nest_end(m.get(), spec);
  }
  return nl_.impl_->change(m, "VLAN " + std::to_string(vlan), index);
}

}  // namespace heddle::netlink
