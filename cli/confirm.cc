// SPDX-License-Identifier: Apache-2.0
#include "cli/confirm.h"

#include <fmt/format.h>

#include <set>
#include <sstream>

#include "base/shell_word.h"

namespace heddle::cli {
namespace {

constexpr const char* kMonitor = "vsctl-cur-cfg";

Json condition(const char* column, const char* function, Json value) {
  return Json::array({Json::array({column, function, std::move(value)})});
}

Json select(const char* table, Json where, Json columns) {
  return {{"op", "select"}, {"table", table}, {"where", std::move(where)}, {"columns", std::move(columns)}};
}

// The highest cur_cfg in a <table-updates> (RFC 7047 section 4.1.6); `now` when it has none.
std::int64_t cur_cfg_in(const Json& updates, std::int64_t now) {
  if (!updates.is_object() || !updates.contains("Open_vSwitch")) return now;
  for (const auto& [uuid, row] : updates["Open_vSwitch"].items()) {
    if (row.is_object() && row.contains("new") && row["new"].contains("cur_cfg")) {
      now = std::max(now, row["new"]["cur_cfg"].get<std::int64_t>());
    }
  }
  return now;
}

// A set of UUIDs in the form of RFC 7047: a single UUID by itself, several in a "set".
std::vector<Json> uuids_in(const Json& value) {
  if (value.is_array() && value.size() == 2 && value[0] == "uuid") return {value};
  std::vector<Json> out;
  if (value.is_array() && value.size() == 2 && value[0] == "set") out.assign(value[1].begin(), value[1].end());
  return out;
}

// The interfaces to check, as conditions on table Interface.
Result<std::set<Json>> interface_conditions(ovsdb::Client& client, const std::vector<ChangedRecord>& changed,
                                            ovsdb::Deadline deadline) {
  std::set<Json> conditions;
  Json ops = Json::array();
  for (const auto& c : changed) {
    const auto by_uuid = condition("_uuid", "==", plain_uuid(c.uuid));
    if (c.table == "Interface") conditions.insert(by_uuid);
    if (c.table == "Port") ops.push_back(select("Port", by_uuid, Json::array({"interfaces"})));
    if (c.table == "Bridge" && !c.only_members) ops.push_back(select("Bridge", by_uuid, Json::array({"name"})));
  }
  if (ops.empty()) return conditions;
  auto results = transact(client, std::move(ops), deadline);
  if (!results) return std::unexpected(results.error());
  for (const auto& result : *results) {
    for (const auto& row : result.value("rows", Json::array())) {
      if (row.contains("name")) conditions.insert(condition("name", "==", row["name"]));
      for (auto& uuid : uuids_in(row.value("interfaces", Json()))) conditions.insert(condition("_uuid", "==", uuid));
    }
  }
  return conditions;
}

// The name in the first row of a select's result.
std::string first_name(const Json& result) {
  const auto rows = result.value("rows", Json::array());
  return rows.empty() ? std::string() : rows[0].value("name", "");
}

// The command that removes the interface; empty when its port or bridge is deleted already.
std::string undo_of(ovsdb::Client& client, const Json& interface, ovsdb::Deadline deadline) {
  auto ports = transact(client,
                        Json::array({select("Port", condition("interfaces", "includes", interface.at("_uuid")),
                                            Json::array({"_uuid", "name"}))}),
                        deadline);
  if (!ports || first_name((*ports)[0]).empty()) return {};
  const auto port = first_name((*ports)[0]);
  const auto port_uuid = (*ports)[0].at("rows").at(0).at("_uuid");
  auto bridges = transact(
      client, Json::array({select("Bridge", condition("ports", "includes", port_uuid), Json::array({"name"}))}),
      deadline);
  if (!bridges) return {};
  const auto bridge = first_name((*bridges)[0]);
  if (bridge.empty()) return {};
  return bridge == port ? fmt::format("vsctl del-br {}", shell_word(bridge))
                        : fmt::format("vsctl del-port {} {}", shell_word(bridge), shell_word(port));
}

// The error of an Interface row, or empty.
std::string fault_of(const Json& row) {
  const auto error = row.value("error", Json());
  if (error.is_string() && !error.get<std::string>().empty()) return error.get<std::string>();
  if (row.value("ofport", Json()) == -1) return "the switch could not set it up; its log says why";
  return {};
}

// The value of a key in a status map; empty when it has none.
std::string text_in(const Json& status, std::string_view key) {
  if (!status.is_array() || status.size() != 2 || status[0] != "map") return {};
  for (const auto& pair : status[1])
    if (pair.is_array() && pair.size() == 2 && pair[0] == key && pair[1].is_string()) return pair[1];
  return {};
}

// Those of the names (separated by blanks) that belong to `columns`, as "a, b:key".
std::string names_of_columns(const std::string& names, const std::set<std::string>& columns) {
  std::string out;
  std::istringstream words(names);
  for (std::string word; words >> word;)
    if (columns.contains(word.substr(0, word.find(':')))) out += (out.empty() ? "" : ", ") + word;
  return out;
}

}  // namespace

Result<> await_applied(ovsdb::Client& client, std::int64_t next_cfg, ovsdb::Deadline deadline) {
  const Json request{{"Open_vSwitch", {{"columns", Json::array({"cur_cfg"})}}}};
  auto initial = client.call("monitor", Json::array({kDatabase, kMonitor, request}), deadline);
  std::int64_t cur_cfg = initial ? cur_cfg_in(*initial, 0) : 0;
  auto error = initial ? Result<>{} : std::unexpected(initial.error());
  while (error && cur_cfg < next_cfg) {
    auto message = client.next_notification(deadline);
    if (!message) {
      error = std::unexpected(message.error());
    } else if (const auto params = message->value("params", Json::array());
               message->value("method", "") == "update" && params.size() == 2 && params[0] == kMonitor) {
      cur_cfg = cur_cfg_in(params[1], cur_cfg);
    }
  }
  if (error) return {};
  const auto why = has_passed(deadline) ? "timed out" : error.error().text;
  return fail(Errc::system,
              fmt::format("{} while waiting for the switch to apply configuration {} (it is at {}); the change is "
                          "committed and will be applied, but is not confirmed",
                          why, next_cfg, cur_cfg));
}

Result<std::vector<std::string>> find_faults(ovsdb::Client& client, const std::vector<ChangedRecord>& changed,
                                             ovsdb::Deadline deadline) {
  std::vector<std::string> faults;
  auto conditions = interface_conditions(client, changed, deadline);
  if (!conditions) return std::unexpected(conditions.error());
  if (conditions->empty()) return faults;
  Json ops = Json::array();
  for (const auto& where : *conditions) {
    ops.push_back(select("Interface", where, Json::array({"_uuid", "name", "error", "ofport"})));
  }
  auto results = transact(client, std::move(ops), deadline);
  if (!results) return std::unexpected(results.error());
  std::set<Json> seen;
  for (const auto& result : *results) {
    for (const auto& row : result.value("rows", Json::array())) {
      const auto fault = fault_of(row);
      if (fault.empty() || !seen.insert(row.at("_uuid")).second) continue;
      const auto undo = undo_of(client, row, deadline);
      faults.push_back(
          fmt::format("interface {}: {}\n  The configuration is kept and takes effect once the cause is gone{}",
                      row.value("name", "?"), fault, undo.empty() ? "." : "; to take it out again: " + undo));
    }
  }
  return faults;
}

Result<std::vector<std::string>> find_warnings(ovsdb::Client& client, const std::vector<ChangedRecord>& changed,
                                               ovsdb::Deadline deadline) {
  std::vector<std::string> texts;
  std::vector<const ChangedRecord*> asked;
  Json ops = Json::array();
  for (const auto& c : changed) {
    const bool root = c.table == "Open_vSwitch";
    if (!root && c.table != "Bridge" && c.table != "Port" && c.table != "Interface") continue;
    asked.push_back(&c);
    auto columns = root ? Json::array() : Json::array({"name"});
    columns.push_back(status_column(c.table));
    ops.push_back(select(c.table.c_str(), condition("_uuid", "==", plain_uuid(c.uuid)), std::move(columns)));
  }
  if (ops.empty()) return texts;
  auto results = transact(client, std::move(ops), deadline);
  // Another daemon's schema may lack these columns; then there are no such messages.
  if (!results)
    return has_passed(deadline) ? Result<std::vector<std::string>>(std::unexpected(results.error())) : texts;
  for (std::size_t i = 0; i < asked.size(); ++i) {
    const auto rows = (*results)[i].value("rows", Json::array());
    if (rows.empty()) continue;
    const auto status = rows[0].value(std::string(status_column(asked[i]->table)), Json());
    const auto record = fmt::format("{} {}", asked[i]->table, rows[0].value("name", "."));
    const auto no_effect = names_of_columns(text_in(status, kNoEffect), asked[i]->columns);
    if (!no_effect.empty())
      texts.push_back(fmt::format("{}: stored, but this switch does not act on {}", record, no_effect));
    const auto warning = text_in(status, kWarning);
    if (!warning.empty() && !asked[i]->only_members) texts.push_back(fmt::format("{}: {}", record, warning));
  }
  return texts;
}

}  // namespace heddle::cli
