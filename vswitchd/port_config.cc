// SPDX-License-Identifier: Apache-2.0
#include "vswitchd/port_config.h"

#include <fmt/format.h>
#include <net/if.h>

#include <algorithm>

#include "base/limits.h"
#include "base/shell_word.h"

namespace heddle::vswitchd {
namespace {

using ovsdb::Row;

Result<dp::PortKind> read_kind(const std::string& type, bool local, const dp::KindSet& offered) {
  if (local && (type.empty() || type == "internal")) return dp::PortKind::internal;
  if (type.empty()) return dp::PortKind::netdev;
  const auto kind = dp::kind_of_type(type);
  if (kind && offered.contains(*kind)) return *kind;
  std::vector<std::string> types;
  for (const dp::PortKind k : offered) types.emplace_back(dp::traits(k).type);
  return fail(Errc::unsupported,
              fmt::format("interface type \"{}\" is not {}; types: {}", type,
                          kind ? "available in this bridge's datapath" : "known", fmt::join(types, ", ")));
}

Result<> check_name(const std::string& name) {
  const auto wrong = [](char c) { return c == '/' || c == ':' || static_cast<unsigned char>(c) <= ' '; };
  if (name.empty() || name.size() >= IFNAMSIZ || std::ranges::any_of(name, wrong) || name == "." || name == "..")
    return fail(Errc::invalid,
                fmt::format("\"{}\" cannot be the name of a network device: 1 to {} characters, no blank, "
                            "slash or colon",
                            name, IFNAMSIZ - 1));
  return {};
}

Result<std::optional<MacAddr>> read_mac(const std::string& where, const std::optional<std::string>& text) {
  if (!text) return std::nullopt;
  const auto mac = MacAddr::parse(*text);
  if (!mac || mac->is_multicast() || mac->is_zero())
    return fail(Errc::invalid,
                fmt::format("{} \"{}\" must be the address of one station, like 02:00:00:00:00:01", where, *text));
  return mac;
}

// The address of a device that we make. The bridge's own: other_config:hwaddr, else from its row.
Result<MacAddr> device_mac(const BridgeOfPort& bridge, const Row& interface, bool local) {
  const auto given = read_mac("mac", interface.get("mac").string());
  if (!given) return std::unexpected(given.error());
  if (*given) return **given;
  if (!local) return mac_from_uuid(interface.uuid());
  const auto hwaddr = read_mac("the bridge's other_config:hwaddr", bridge.address);
  if (!hwaddr) return std::unexpected(hwaddr.error());
  return hwaddr->value_or(mac_from_uuid(bridge.row));
}

Result<> read_device(const BridgeOfPort& bridge, const Row& interface, bool local, dp::PortSpec& spec) {
  const auto mtu = interface.get("mtu_request").integer();
  if (mtu && (*mtu < 68 || *mtu > 65535))
    return fail(Errc::invalid, fmt::format("mtu_request {} must be from 68 to 65535", *mtu));
  if (mtu) spec.mtu = static_cast<unsigned>(*mtu);
  if (!spec.traits().made_by_us) return {};
  const auto mac = device_mac(bridge, interface, local);
  if (!mac) return std::unexpected(mac.error());
  spec.mac = *mac;
  return {};
}

// kbit and 1,000 packets are the columns' units; a burst of 0 is the manual's default.
dp::Policing read_policing(const Row& interface) {
  constexpr std::uint64_t kilo = 1000;
  constexpr std::uint64_t default_burst = 8000 * kilo;
  constexpr std::uint64_t default_packet_burst = 16 * kilo;
  constexpr std::uint64_t most = UINT32_MAX * kilo;  // of what the schema takes: 4.3 Tbit/s, enough for any device
  const auto column = [&](const char* name) {
    const auto value = interface.get(name).integer_or(0);
    return value <= 0 ? 0 : std::min(static_cast<std::uint64_t>(value), most / kilo) * kilo;
  };
  dp::Policing policing;
  policing.bits_per_second = column("ingress_policing_rate");
  policing.packets_per_second = column("ingress_policing_kpkts_rate");
  if (policing.bits_per_second != 0) {
    const auto burst = column("ingress_policing_burst");
    policing.burst_bits = burst != 0 ? burst : default_burst;
  }
  if (policing.packets_per_second != 0) {
    const auto burst = column("ingress_policing_kpkts_burst");
    policing.burst_packets = burst != 0 ? burst : default_packet_burst;
  }
  return policing;
}

}  // namespace

MacAddr mac_from_uuid(const ovsdb::Uuid& uuid) {
  MacAddr mac;
  std::copy_n(uuid.bytes.begin(), 3, mac.bytes.begin());
  std::copy_n(uuid.bytes.end() - 3, 3, mac.bytes.begin() + 3);
  mac.bytes[0] = static_cast<std::uint8_t>((mac.bytes[0] & 0xfc) | 0x02);  // IEEE 802 8.2.2: local, individual
  return mac;
}

Result<dp::PortPolicy> read_vlan_policy(const Row& port) {
  dp::PortPolicy policy;
  const auto tag = port.get("tag").integer();
  const std::string mode = port.get("vlan_mode").string_or(tag ? "access" : "trunk");
  if (mode == "access") {
    policy.vlan_mode = dp::VlanMode::access;
  } else if (mode == "trunk") {
    policy.vlan_mode = dp::VlanMode::trunk;
  } else if (mode == "native-tagged") {
    policy.vlan_mode = dp::VlanMode::native_tagged;
  } else if (mode == "native-untagged") {
    policy.vlan_mode = dp::VlanMode::native_untagged;
  } else {
    return fail(Errc::unsupported, fmt::format("vlan_mode {} is not supported; modes: access, trunk, native-tagged, "
                                               "native-untagged",
                                               mode));
  }
  const auto in_range = [](std::int64_t vlan) { return vlan >= 0 && vlan <= limits::kVlanMax; };
  if (tag && !in_range(*tag)) return fail(Errc::invalid, fmt::format("tag {} must be from 0 to 4095", *tag));
  if (policy.vlan_mode != dp::VlanMode::trunk) policy.tag = static_cast<dp::VlanId>(tag.value_or(0));
  if (policy.vlan_mode != dp::VlanMode::access) {
    for (const std::int64_t vlan : port.get("trunks").integers()) {
      if (!in_range(vlan)) return fail(Errc::invalid, fmt::format("trunks: {} must be from 0 to 4095", vlan));
      policy.trunks.set(static_cast<std::size_t>(vlan));
    }
  }
  policy.protected_port = port.get("protected").boolean_or(false);
  return policy;
}

Result<ofproto::PortConfig> read_port_config(const BridgeOfPort& bridge, const Row& port, const Row& interface) {
  ofproto::PortConfig config;
  dp::PortSpec& spec = config.spec;
  spec.name = interface.get("name").string_or("");
  const bool local = spec.name == bridge.name;
  const auto kind = read_kind(interface.get("type").string_or(""), local, bridge.kinds);
  if (!kind) return std::unexpected(kind.error());
  spec.kind = *kind;
  const auto policy = read_vlan_policy(port);
  if (!policy) return std::unexpected(policy.error());
  config.policy = *policy;
  config.policy.policing = read_policing(interface);
  if (const auto wish = interface.get("ofport_request").integer(); wish && *wish > 0 && *wish <= limits::kOfportMax)
    config.ofport_request = static_cast<ofproto::OfPort>(*wish);
  if (spec.is_tunnel()) {
    auto tunnel = parse_tunnel_options(interface.get("options").string_map());
    if (!tunnel) return std::unexpected(tunnel.error());
    spec.tunnel = tunnel->spec;
    config.flood = std::move(tunnel->remotes);
    return config;
  }
  if (spec.traits().has_peer) {
    const auto options = interface.get("options").string_map();
    const auto peer = options.find("peer");
    if (peer == options.end() || peer->second.empty() || peer->second == spec.name)
      return fail(Errc::invalid,
                  fmt::format("options:peer must name the patch port at the other end, in another bridge "
                              "(vsctl set Interface {} options:peer=NAME)",
                              shell_word(spec.name)));
    spec.peer = peer->second;
    return config;
  }
  if (auto r = check_name(spec.name); !r) return std::unexpected(r.error());
  if (auto r = read_device(bridge, interface, local, spec); !r) return std::unexpected(r.error());
  return config;
}

}  // namespace heddle::vswitchd
