#include "cli/switch_model.h"

#include <fmt/format.h>

#include <algorithm>

namespace heddle::cli {

Result<> prepare_switch(Session& session, const Command& /*command*/) {
  for (const char* table : {"Open_vSwitch", "Bridge", "Port", "Interface"}) {
    if (auto ok = session.catalog.need(table); !ok) return std::unexpected(ok.error());
  }
  session.interest["Open_vSwitch"].insert("bridges");
  session.interest["Bridge"].insert({"name", "ports"});
  session.interest["Port"].insert({"name", "interfaces"});
  session.interest["Interface"].insert("name");
  return {};
}

Result<Record*> root_record(Session& session) {
  const auto table = session.catalog.need("Open_vSwitch");
  if (!table) return std::unexpected(table.error());
  const auto records = session.model.records(**table);
  return records.empty() ? session.model.insert(**table) : records.front();
}

std::vector<Record*> bridges(const Session& session) {
  const auto* table = session.catalog.schema().find("Bridge");
  return table == nullptr ? std::vector<Record*>{} : session.model.records(*table);
}

Result<Record*> find_bridge(const Session& session, std::string_view name) {
  if (auto* bridge = session.model.find_by_name(*session.catalog.schema().find("Bridge"), name)) return bridge;
  return fail(Errc::not_found, fmt::format("there is no bridge {}; \"vsctl list-br\" names those there are", name));
}

std::vector<Record*> children(const Session& session, const Record& record, std::string_view column,
                              std::string_view table) {
  std::vector<Record*> out;
  const auto* schema = session.catalog.schema().find(table);
  if (schema == nullptr) return out;
  for (const auto& uuid : session.model.get(record, column).uuids()) {
    if (auto* child = session.model.find(*schema, uuid)) out.push_back(child);
  }
  std::sort(out.begin(), out.end(),
            [&](const Record* a, const Record* b) { return session.model.name_of(*a) < session.model.name_of(*b); });
  return out;
}

Place find_port(const Session& session, std::string_view name) {
  auto* port = session.model.find_by_name(*session.catalog.schema().find("Port"), name);
  if (port == nullptr) return {};
  for (auto* bridge : bridges(session)) {
    const auto ports = session.model.get(*bridge, "ports");
    if (ports.find(Atom(port->uuid))) {
      return {.bridge = bridge, .port = port, .local = session.model.name_of(*bridge) == name};
    }
  }
  return {};
}

Place find_interface(const Session& session, std::string_view name) {
  auto* interface = session.model.find_by_name(*session.catalog.schema().find("Interface"), name);
  if (interface == nullptr) return {};
  for (auto* bridge : bridges(session)) {
    for (auto* port : ports_of(session, *bridge)) {
      if (!session.model.get(*port, "interfaces").find(Atom(interface->uuid))) continue;
      return {.bridge = bridge, .port = port, .interface = interface, .local = session.model.name_of(*bridge) == name};
    }
  }
  return {};
}

}  // namespace heddle::cli
