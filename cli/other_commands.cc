// SPDX-License-Identifier: Apache-2.0
// Commands for features that Heddle stores but does not implement (connection-tracking zones, auto-attach), and
// emer-reset.
#include <fmt/format.h>

#include <array>
#include <charconv>

#include "cli/commands.h"
#include "cli/record.h"
#include "cli/switch_model.h"

namespace heddle::cli {
namespace {

Result<std::int64_t> parse_number(std::string_view what, std::string_view text, std::int64_t most) {
  std::int64_t v = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), v);
  if (error == std::errc{} && end == text.data() + text.size() && v >= 0 && v <= most) return v;
  return fail(Errc::invalid, fmt::format("\"{}\" is not a {}, 0 to {}", text, what, most));
}

// --- auto-attach: a map from I-SID to VLAN ---

constexpr std::int64_t kIsidMax = 0xffffff;  // 24 bits (IEEE 802.1ah)
constexpr std::int64_t kVlanMax = 4095;

Result<> prepare_aa(Session& session, const Command& command) {
  if (auto ok = prepare_switch(session, command); !ok) return ok;
  if (auto ok = want_columns(session, "Bridge", {"auto_attach"}); !ok) return ok;
  return want_columns(session, "AutoAttach", {"mappings"});
}

Record* auto_attach_of(Session& session, const Record& bridge) {
  const auto found = children(session, bridge, "auto_attach", "AutoAttach");
  return found.empty() ? nullptr : found.front();
}

struct Mapping {
  Record* bridge = nullptr;
  Atom isid;
  Atom vlan;
};

Result<Mapping> read_mapping(Session& session, const Command& command) {
  auto bridge = find_bridge(session, command.args[0]);
  if (!bridge) return std::unexpected(bridge.error());
  const auto isid = parse_number("service identifier (I-SID)", command.args[1], kIsidMax);
  if (!isid) return std::unexpected(isid.error());
  const auto vlan = parse_number("VLAN", command.args[2], kVlanMax);
  if (!vlan) return std::unexpected(vlan.error());
  return Mapping{bridge->record, Atom(*isid), Atom(*vlan)};
}

Result<Outcome> add_aa_mapping(Session& session, const Command& command, std::string&) {
  const auto mapping = read_mapping(session, command);
  if (!mapping) return std::unexpected(mapping.error());
  auto* record = auto_attach_of(session, *mapping->bridge);
  if (record == nullptr) {
    record = session.model.insert(*session.catalog.schema().find("AutoAttach"));
    Model::rely_on(*mapping->bridge, "auto_attach");
    Model::set(*mapping->bridge, "auto_attach", Datum::of(record->uuid));
  }
  Model::rely_on(*record, "mappings");
  Model::set(*record, "mappings", with(session.model.get(*record, "mappings"), mapping->isid, mapping->vlan));
  return Outcome::done;
}

Result<Outcome> del_aa_mapping(Session& session, const Command& command, std::string&) {
  const auto mapping = read_mapping(session, command);
  if (!mapping) return std::unexpected(mapping.error());
  auto* record = auto_attach_of(session, *mapping->bridge);
  if (record == nullptr) return Outcome::done;
  const auto mappings = session.model.get(*record, "mappings");
  const auto at = mappings.find(mapping->isid);
  if (!at || mappings.values()[*at] != mapping->vlan) return Outcome::done;
  Model::rely_on(*record, "mappings");
  Model::set(*record, "mappings", without(mappings, *at));
  return Outcome::done;
}

Result<Outcome> get_aa_mapping(Session& session, const Command& command, std::string& out) {
  auto bridge = find_bridge(session, command.args[0]);
  if (!bridge) return std::unexpected(bridge.error());
  const auto* record = auto_attach_of(session, *bridge->record);
  if (record == nullptr) return Outcome::done;
  const auto mappings = session.model.get(*record, "mappings");
  for (std::size_t i = 0; i < mappings.size(); ++i) {
    out += format_atom(mappings.keys()[i]) + " " + format_atom(mappings.values()[i]) + "\n";
  }
  return Outcome::done;
}

// --- connection-tracking zones of a datapath ---

constexpr std::int64_t kZoneMax = 65535;

Result<> prepare_datapath(Session& session, const Command&) {
  if (auto ok = want_columns(session, "Open_vSwitch", {"datapaths"}); !ok) return ok;
  if (auto ok = want_columns(session, "Datapath", {"capabilities", "ct_zones"}); !ok) return ok;
  if (auto ok = want_columns(session, "CT_Zone", {"timeout_policy"}); !ok) return ok;
  return want_columns(session, "CT_Timeout_Policy", {"timeouts"});
}

// The record to which a map of references refers at `key`, or null.
Record* referred(Session& session, const Record& record, std::string_view column, const Atom& key,
                 std::string_view table) {
  const auto map = session.model.get(record, column);
  const auto at = map.find(key);
  if (!at || !map.is_map()) return nullptr;
  const auto* uuid = std::get_if<Uuid>(&map.values()[*at]);
  return uuid == nullptr ? nullptr : session.model.find(*session.catalog.schema().find(table), *uuid);
}

Result<Record*> find_datapath(Session& session, const std::string& name) {
  auto root = root_record(session);
  if (!root) return root;
  if (auto* datapath = referred(session, **root, "datapaths", Atom(name), "Datapath")) return datapath;
  return fail(Errc::not_found,
              fmt::format("datapath {} does not exist: the switch lists in Open_vSwitch.datapaths those that track "
                          "connections, and it is not there",
                          name));
}

Result<Atom> parse_zone(const std::string& word) {
  constexpr std::string_view prefix = "zone=";
  if (!word.starts_with(prefix)) return fail(Errc::invalid, fmt::format("\"{}\": it takes zone=ID", word));
  const auto zone = parse_number("zone", std::string_view(word).substr(prefix.size()), kZoneMax);
  if (!zone) return std::unexpected(zone.error());
  return Atom(*zone);
}

Result<Outcome> add_zone_tp(Session& session, const Command& command, std::string&) {
  const auto zone = parse_zone(command.args[1]);
  if (!zone) return std::unexpected(zone.error());
  const auto datapath = find_datapath(session, command.args[0]);
  if (!datapath) return std::unexpected(datapath.error());
  auto* record = referred(session, **datapath, "ct_zones", *zone, "CT_Zone");
  if (record != nullptr && !command.has("--may-exist")) {
    return fail(Errc::exists, fmt::format("zone id {} already exists; --may-exist add-zone-tp gives it a new policy",
                                          format_atom(*zone)));
  }
  if (record == nullptr) {
    record = session.model.insert(*session.catalog.schema().find("CT_Zone"));
    Model::rely_on(**datapath, "ct_zones");
    Model::set(**datapath, "ct_zones", with(session.model.get(**datapath, "ct_zones"), *zone, Atom(record->uuid)));
  }
  auto* policy = session.model.insert(*session.catalog.schema().find("CT_Timeout_Policy"));
  for (const auto& word : std::span(command.args).subspan(2)) {
    if (auto ok = set_column(session, *policy, "timeouts:" + word); !ok) return std::unexpected(ok.error());
  }
  Model::set(*record, "timeout_policy", Datum::of(policy->uuid));
  return Outcome::done;
}

Result<Outcome> del_zone_tp(Session& session, const Command& command, std::string&) {
  const auto zone = parse_zone(command.args[1]);
  if (!zone) return std::unexpected(zone.error());
  const auto datapath = find_datapath(session, command.args[0]);
  if (!datapath) return std::unexpected(datapath.error());
  const auto zones = session.model.get(**datapath, "ct_zones");
  const auto at = zones.find(*zone);
  if (!at) {
    if (command.has("--if-exists")) return Outcome::done;
    return fail(Errc::not_found,
                fmt::format("zone id {} does not exist; --if-exists del-zone-tp accepts that", format_atom(*zone)));
  }
  Model::rely_on(**datapath, "ct_zones");
  Model::set(**datapath, "ct_zones", without(zones, *at));
  return Outcome::done;
}

std::string joined(const Datum& map) {
  std::string out;
  for (std::size_t i = 0; i < map.size(); ++i) {
    out += (i == 0 ? "" : " ") + format_bare(Datum::set({map.keys()[i]})) + "=" +
           format_bare(Datum::set({map.values()[i]}));
  }
  return out;
}

Result<Outcome> list_zone_tp(Session& session, const Command& command, std::string& out) {
  const auto datapath = find_datapath(session, command.args[0]);
  if (!datapath) return std::unexpected(datapath.error());
  const auto zones = session.model.get(**datapath, "ct_zones");
  for (const auto& id : zones.keys()) {
    const auto* zone = referred(session, **datapath, "ct_zones", id, "CT_Zone");
    if (zone == nullptr) continue;
    out += fmt::format("Zone:{}, Timeout Policies: ", format_atom(id));
    const auto policies = children(session, *zone, "timeout_policy", "CT_Timeout_Policy");
    out += policies.empty() ? "system default" : joined(session.model.get(*policies.front(), "timeouts"));
    out += "\n";
  }
  return Outcome::done;
}

Result<Outcome> list_dp_cap(Session& session, const Command& command, std::string& out) {
  const auto datapath = find_datapath(session, command.args[0]);
  if (!datapath) return std::unexpected(datapath.error());
  out += joined(session.model.get(**datapath, "capabilities")) + "\n";
  return Outcome::done;
}

// --- emer-reset ---

// A column that emer-reset sets to its default. (Bridge.other_config is handled separately: its hwaddr stays.)
struct Reset {
  const char* table;
  const char* column;
};
constexpr std::array kResets{Reset{"Open_vSwitch", "manager_options"},
                             Reset{"Open_vSwitch", "ssl"},
                             Reset{"Bridge", "controller"},
                             Reset{"Bridge", "fail_mode"},
                             Reset{"Bridge", "mirrors"},
                             Reset{"Bridge", "netflow"},
                             Reset{"Bridge", "sflow"},
                             Reset{"Bridge", "ipfix"},
                             Reset{"Port", "other_config"},
                             Reset{"Interface", "ingress_policing_rate"},
                             Reset{"Interface", "ingress_policing_burst"}};

Result<> prepare_emer_reset(Session& session, const Command&) {
  if (auto ok = want_columns(session, "Bridge", {"other_config"}); !ok) return ok;
  for (const auto& reset : kResets) {
    if (auto ok = want_columns(session, reset.table, {reset.column}); !ok) return ok;
  }
  return {};
}

Result<Outcome> emer_reset(Session& session, const Command&, std::string&) {
  const auto& schema = session.catalog.schema();
  for (const auto& reset : kResets) {
    for (auto* record : session.model.records(*schema.find(reset.table))) reset_column(session, *record, reset.column);
  }
  for (auto* bridge : session.model.records(*schema.find("Bridge"))) {
    const auto config = session.model.get(*bridge, "other_config").string_map();
    std::map<std::string, std::string> kept;
    if (const auto hwaddr = config.find("hwaddr"); hwaddr != config.end()) kept.insert(*hwaddr);
    if (kept != config) Model::set(*bridge, "other_config", Datum::map(kept));
  }
  return Outcome::done;
}

}  // namespace

std::span<const CommandInfo> other_commands() {
  static const std::array commands{
      database_command("emer-reset", 0, 0, "", emer_reset, prepare_emer_reset),
      database_command("add-aa-mapping", 3, 3, "BRIDGE I-SID VLAN", add_aa_mapping, prepare_aa),
      database_command("del-aa-mapping", 3, 3, "BRIDGE I-SID VLAN", del_aa_mapping, prepare_aa),
      database_command("get-aa-mapping", 1, 1, "BRIDGE", get_aa_mapping, prepare_aa),
      database_command("add-zone-tp", 3, kAnyNumber, "DATAPATH zone=ID TIMEOUT=SECS...", add_zone_tp, prepare_datapath,
                       "--may-exist"),
      database_command("del-zone-tp", 2, 2, "DATAPATH zone=ID", del_zone_tp, prepare_datapath, "--if-exists"),
      database_command("list-zone-tp", 1, 1, "DATAPATH", list_zone_tp, prepare_datapath),
      database_command("list-dp-cap", 1, 1, "DATAPATH", list_dp_cap, prepare_datapath),
  };
  return commands;
}

}  // namespace heddle::cli
