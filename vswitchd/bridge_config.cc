// SPDX-License-Identifier: Apache-2.0
#include "vswitchd/bridge_config.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/limits.h"
#include "base/shell_word.h"
#include "vswitchd/text.h"

namespace heddle::vswitchd {
namespace {

using ovsdb::Row;
using Warnings = std::set<std::string>;

// A Port has the name that it likes; the switch knows its interface's.
std::string interface_of(Lookup& lookup, const ovsdb::Uuid& port) {
  const auto row = lookup.find("Port", port);
  if (!row) return {};
  const auto interfaces = row->get("interfaces").uuids();
  const auto interface = interfaces.empty() ? nullptr : lookup.find("Interface", interfaces.front());
  return interface ? interface->get("name").string_or("") : std::string{};
}

// The ports of a mirror that are in its bridge; the others are named to the operator.
std::set<std::string> mirrored_ports(Lookup& lookup, const Row& bridge, const Row& mirror, const std::string& column,
                                     Warnings& warnings) {
  const ovsdb::Datum& members = bridge.get("ports");
  std::set<std::string> names;
  for (const ovsdb::Uuid& port : mirror.get(column).uuids()) {
    const std::string name = interface_of(lookup, port);
    if (members.find(ovsdb::Atom(port)))
      names.insert(name);
    else
      warnings.insert(fmt::format("bridge {}: mirror {}: {}: port {} is not in the bridge and is passed over",
                                  bridge.get("name").string_or(""), mirror.get("name").string_or(""), column, name));
  }
  return names;
}

std::optional<ofproto::MirrorConfig> read_mirror(Lookup& lookup, const Row& bridge, const Row& row,
                                                 Warnings& warnings) {
  const std::string where =
      fmt::format("bridge {}: mirror {}", bridge.get("name").string_or(""), row.get("name").string_or(""));
  ofproto::MirrorConfig mirror;
  mirror.name = row.uuid().to_string();
  mirror.all = row.get("select_all").boolean_or(false);
  mirror.from = mirrored_ports(lookup, bridge, row, "select_src_port", warnings);
  mirror.to = mirrored_ports(lookup, bridge, row, "select_dst_port", warnings);
  mirror.vlans = vlan_set(row.get("select_vlan"));
  if (row.get("snaplen").integer())
    warnings.insert(where + ": this column is set and has no effect: snaplen; copies are whole frames");
  if (!mirror.all && mirror.from.empty() && mirror.to.empty())
    warnings.insert(where + " selects no frames: set select_all=true, select_src_port or select_dst_port");
  const auto output = mirrored_ports(lookup, bridge, row, "output_port", warnings);
  const auto vlan = row.get("output_vlan").integer();
  if (output.empty() && (!vlan || !row.get("output_port").uuids().empty())) {
    warnings.insert(where + " has nowhere to send copies to: set output_port to a port of the bridge, or output_vlan");
    return std::nullopt;
  }
  if (!output.empty()) mirror.output = *output.begin();
  if (output.empty()) mirror.output_vlan = static_cast<dp::VlanId>(*vlan);
  return mirror;
}

void read_mirrors(Lookup& lookup, const Row& bridge, ofproto::BridgeConfig& config, Warnings& warnings) {
  for (const ovsdb::Uuid& uuid : bridge.get("mirrors").uuids()) {
    const auto row = lookup.find("Mirror", uuid);
    if (!row) continue;
    if (config.mirrors.size() == limits::kMirrors) {
      warnings.insert(fmt::format("bridge {}: more than {} mirrors; the others have no effect",
                                  bridge.get("name").string_or(""), limits::kMirrors));
      return;
    }
    if (auto mirror = read_mirror(lookup, bridge, *row, warnings)) config.mirrors.push_back(std::move(*mirror));
  }
}

}  // namespace

dp::VlanSet vlan_set(const ovsdb::Datum& vlans) {
  dp::VlanSet set;
  for (const std::int64_t vlan : vlans.integers())
    if (vlan >= 0 && vlan <= limits::kVlanMax) set.set(static_cast<std::size_t>(vlan));
  return set;
}

ofproto::BridgeConfig read_bridge_config(Lookup& lookup, const Row& row, Warnings& warnings) {
  const std::string name = row.get("name").string_or("");
  ofproto::BridgeConfig config;
  const auto setting = [&](const char* key, std::uint64_t otherwise, std::uint64_t low, std::uint64_t high) {
    const auto text = row.get("other_config").at(key);
    if (!text) return otherwise;
    const auto value = parse_number(*text);
    const std::uint64_t used = value ? std::clamp(*value, low, high) : otherwise;
    if (!value || used != *value)
      warnings.insert(fmt::format("bridge {}: other_config:{}={} must be a number from {} to {}; using {}", name, key,
                                  *text, low, high, used));
    return used;
  };
  config.aging =
      std::chrono::seconds(setting("mac-aging-time", limits::kAgingDefault, limits::kAgingMin, limits::kAgingMax));
  config.fdb_capacity = setting("mac-table-size", limits::kFdbDefault, 10, limits::kFdbMax);
  config.secure = row.get("fail_mode").string_or("") == "secure";
  if (config.secure)
    warnings.insert(
        fmt::format("bridge {}: fail_mode is secure and no controller can be reached yet: nothing is "
                    "forwarded; vsctl del-fail-mode {} lets it switch by itself",
                    name, shell_word(name)));
  config.flood_vlans = vlan_set(row.get("flood_vlans"));
  if (const auto text = row.get("other_config").at("flood-unknown")) {
    const auto value = parse_bool(*text);
    config.flood_unknown = value.value_or(true);
    if (!value)
      warnings.insert(
          fmt::format("bridge {}: other_config:flood-unknown={} must be true or false; using true", name, *text));
  }
  read_mirrors(lookup, row, config, warnings);
  return config;
}

std::string asked_datapath_id(const Row& row, Warnings& warnings) {
  const auto text = row.get("other_config").at("datapath-id");
  if (!text) return {};
  std::string_view digits = *text;
  if (digits.starts_with("0x")) digits.remove_prefix(2);
  const auto value = parse_number("0x" + std::string(digits));
  if (value && *value != 0 && digits.size() <= 16) return fmt::format("{:016x}", *value);
  warnings.insert(fmt::format("bridge {}: other_config:datapath-id={} must be 1 to 16 hex digits, not all zero",
                              row.get("name").string_or(""), *text));
  return {};
}

}  // namespace heddle::vswitchd
