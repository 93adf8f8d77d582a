// SPDX-License-Identifier: Apache-2.0
#include "vswitchd/port_reading.h"

#include <fmt/format.h>

#include <memory>
#include <optional>
#include <utility>

#include "vswitchd/qos_config.h"
#include "vswitchd/without_effect.h"

namespace heddle::vswitchd {
namespace {

using ovsdb::Row;
using ovsdb::RowRef;

// Whether the switch makes the interface's device.
bool has_own_device(const BridgeOfPort& bridge, const Row& interface, const std::string& name) {
  const std::string type = interface.get("type").string_or("");
  const auto kind = dp::kind_of_type(type);
  return (kind && dp::traits(*kind).made_by_us) || (type.empty() && name == bridge.name);
}

std::string control_of(const Row& interface) {
  return interface.get("type").string_or("") == "vxlan" ? interface.get("options").at("control").value_or("") : "";
}

}  // namespace

std::string list_without_effect(const std::string& what, const std::vector<std::string>& columns,
                                std::set<std::string>& warnings) {
  if (columns.empty()) return {};
  std::string list = fmt::format("{}", fmt::join(columns, " "));
  warnings.insert(fmt::format("{}: these columns are set and have no effect: {}", what, list));
  return list;
}

std::string row_warning(const std::set<std::string>& warnings, const std::string& name) {
  std::string out;
  for (std::string_view text : warnings) {
    if (text.starts_with(name + ": ")) text.remove_prefix(name.size() + 2);
    if (!out.empty()) out += "; ";
    out += text;
  }
  return out;
}

PortReading read_port(Lookup& lookup, const BridgeOfPort& bridge, const Row& port) {
  PortReading out;
  out.name = port.get("name").string_or("");
  const auto interfaces = lookup.by_name("Interface", port.get("interfaces").uuids());
  const DesiredQos qos = read_qos(lookup, port, out.warnings);
  if (interfaces.empty())
    out.warnings.insert(fmt::format("port {}: it has no interface, and no part in bridge {}", out.name, bridge.name));
  out.row_warning = row_warning(out.warnings, "port " + out.name);
  auto columns = columns_without_effect(port);
  if (!qos.acted_on) columns.emplace_back("qos");
  out.without_effect = list_without_effect("port " + out.name, columns, out.warnings);
  for (const RowRef& interface : interfaces) {
    Claim claim{
        interface->get("name").string_or(""), interface->uuid(), bridge.name, nullptr, bridge.error, std::string{}};
    if (claim.name == bridge.name) lookup.note({bridge.row, kAddressAspect});
    claim.without_effect = list_without_effect(
        "interface " + claim.name, interface_without_effect(*interface, has_own_device(bridge, *interface, claim.name)),
        out.warnings);
    if (claim.error.empty() && interfaces.size() > 1)
      claim.error = fmt::format("bonds are not supported: port {} has {} interfaces; keep one of them", out.name,
                                interfaces.size());
    if (claim.error.empty()) {
      auto config = read_port_config(bridge, port, *interface);
      if (config)
        claim.port = std::make_shared<const DesiredPort>(
            DesiredPort{bridge.name, bridge.datapath, std::move(*config), claim.row, qos.spec,
                        !interface->get("mac").empty(), control_of(*interface)});
      else
        claim.error = config.error().text;
    }
    out.claims.push_back(std::move(claim));
  }
  return out;
}

}  // namespace heddle::vswitchd
