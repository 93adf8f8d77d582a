// SPDX-License-Identifier: Apache-2.0
#include "cli/port_edit.h"

#include <fmt/format.h>

#include <algorithm>

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

namespace {

// Two ports may share an interface: the record goes with the last of them.
bool has_other_port(const Session& session, const Record& interface, const Record& port) {
  return std::ranges::any_of(session.model.records(*port.table), [&](const Record* other) {
    return other != &port && session.model.get(*other, "interfaces").find(Atom(interface.uuid));
  });
}

bool has_other_bridge(const Session& session, const Record& port, const Record& bridge) {
  return std::ranges::any_of(session.model.records(*bridge.table), [&](const Record* other) {
    return other != &bridge && session.model.get(*other, "ports").find(Atom(port.uuid));
  });
}

}  // namespace

void remove_port(Session& session, Record& bridge, Record& port) {
  drop_reference(session, bridge, "ports", port.uuid);
  if (has_other_bridge(session, port, bridge)) return;
  for (auto* interface : interfaces_of(session, port))
    if (!has_other_port(session, *interface, port)) Model::remove(*interface);
  Model::remove(port);
}

std::string where(const Place& place) {
  return (place.local ? "the local port of bridge " : "a port of bridge ") + place.bridge.name;
}

}  // namespace heddle::cli
