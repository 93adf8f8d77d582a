// SPDX-License-Identifier: Apache-2.0
#include "cli/port_edit.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <set>

namespace heddle::cli {

Result<> check_name_is_free(const Session& session, const std::string& name, std::string_view what) {
  const auto taken = [&](const std::string& by) {
    return fail(
        Errc::exists,
        fmt::format("cannot create {0} {1} because {2}; --may-exist accepts just what was asked for", what, name, by));
  };
  if (find_bridge(session, name)) return taken(fmt::format("a bridge named {} already exists", name));
  if (const auto place = find_port(session, name); place.port != nullptr) {
    return taken(fmt::format("a port named {} already exists on bridge {}", name, place.bridge.name));
  }
  if (const auto place = find_interface(session, name); place.interface != nullptr) {
    return taken(fmt::format("an interface named {} already exists in port {} of bridge {}", name,
                             session.model.name_of(*place.port), place.bridge.name));
  }
  return {};
}

Record* insert_interface(Session& session, const std::string& name) {
  auto* interface = session.model.insert(*session.catalog.schema().find("Interface"));
  Model::set(*interface, "name", Datum::of(name));
  return interface;
}

Record* insert_port(Session& session, const BridgeView& bridge, const std::string& name,
                    const std::vector<std::string>& interfaces) {
  std::vector<Atom> uuids;
  uuids.reserve(interfaces.size());
  for (const auto& interface : interfaces) uuids.emplace_back(insert_interface(session, interface)->uuid);
  auto* port = session.model.insert(*session.catalog.schema().find("Port"));
  Model::set(*port, "name", Datum::of(name));
  Model::set(*port, "interfaces", Datum::set(std::move(uuids)));
  if (bridge.is_fake()) Model::set(*port, "tag", Datum::of(bridge.vlan));
  add_reference(session, *bridge.record, "ports", port->uuid);
  return port;
}

// A port may be in two bridges and an interface in two ports: a record goes with the last that refers to it.
void remove_ports(Session& session, Record& bridge, const std::vector<Record*>& ports) {
  std::set<Uuid> elsewhere;
  for (const Record* other : session.model.records(*bridge.table))
    if (other != &bridge)
      std::ranges::copy(session.model.get(*other, "ports").uuids(), std::inserter(elsewhere, elsewhere.end()));
  std::set<const Record*> gone;
  for (Record* port : ports) {
    drop_reference(session, bridge, "ports", port->uuid);
    if (!elsewhere.contains(port->uuid)) gone.insert(port);
  }
  std::set<Uuid> used;
  for (const Record* other : session.model.records(*session.catalog.schema().find("Port")))
    if (!gone.contains(other))
      std::ranges::copy(session.model.get(*other, "interfaces").uuids(), std::inserter(used, used.end()));
  for (Record* port : ports) {
    if (!gone.contains(port)) continue;
    for (auto* interface : interfaces_of(session, *port))
      if (!used.contains(interface->uuid)) Model::remove(*interface);
    Model::remove(*port);
  }
}

std::string where(const Place& place) {
  return (place.local ? "the local port of bridge " : "a port of bridge ") + place.bridge.name;
}

}  // namespace heddle::cli
