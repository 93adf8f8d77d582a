// SPDX-License-Identifier: Apache-2.0
#include "ovsdb/monitor.h"

#include <algorithm>
#include <utility>

#include "base/limits.h"
#include "ovsdb/value.h"

namespace heddle::ovsdb {

Expect<Monitor::Select> Monitor::parse_select(const Json& request) {
  Select select;
  const auto it = request.find("select");
  if (it == request.end()) return select;
  if (!it->is_object()) return syntax_error("select " + dump_brief(*it) + " is not an object");
  for (const auto& [name, value] : it->items()) {
    bool* const member = name == "initial"  ? &select.initial
                         : name == "insert" ? &select.insert
                         : name == "delete" ? &select.erase
                         : name == "modify" ? &select.modify
                                            : nullptr;
    if (member == nullptr || !value.is_boolean())
      return syntax_error("select member " + dump_brief(Json(name)) +
                          " is not initial, insert, delete or modify with true or false");
    *member = value.get<bool>();
  }
  return select;
}

Expect<> Monitor::parse_columns(Table& table, const Json& request, const Select& select) {
  std::vector<const ColumnSchema*> columns;
  if (const auto names = request.find("columns"); names == request.end()) {
    for (const ColumnSchema& column : table.table->columns) columns.push_back(&column);
    columns.push_back(table.table->find_any("_version"));
  } else if (names->is_array()) {
    for (const Json& name : *names) {
      auto column = column_from_json(*table.table, name);
      if (!column) return std::unexpected(column.error());
      columns.push_back(*column);
    }
  } else {
    return syntax_error("columns " + dump_brief(*names) + " is not an array");
  }
  for (const ColumnSchema* column : columns) {
    if (std::any_of(table.columns.begin(), table.columns.end(), [&](const Column& c) { return c.column == column; }))
      return syntax_error("column " + column->name + " is asked for twice");
    table.columns.push_back({column, select});
  }
  return {};
}

Expect<> Monitor::parse_request(Table& table, const Json& request, bool conditional) {
  if (!request.is_object()) return syntax_error("the request " + dump_brief(request) + " is not an object");
  for (const auto& [name, value] : request.items())
    if (name != "columns" && name != "select" && !(conditional && name == "where"))
      return syntax_error("member " + dump_brief(Json(name)) + " does not belong here");
  auto select = parse_select(request);
  if (!select) return std::unexpected(select.error());
  table.any.initial |= select->initial;
  table.any.insert |= select->insert;
  table.any.erase |= select->erase;
  table.any.modify |= select->modify;

  Json kept = request;
  if (const auto where = request.find("where"); where == request.end()) {
    table.where = nullptr;
  } else if (!where->is_array()) {
    return syntax_error("where " + dump_brief(*where) + " is not an array");
  } else {
    // The clauses of a table's requests are joined by "or"; a request without clauses selects every row.
    if (where->empty())
      table.where = nullptr;
    else if (!table.where.is_null())
      table.where.insert(table.where.end(), where->begin(), where->end());
    kept.erase("where");
  }
  table.request.push_back(std::move(kept));
  return parse_columns(table, request, *select);
}

Expect<> Monitor::parse_conditions(Table& table) {
  table.conditions.clear();
  if (table.where.is_null()) return {};
  if (table.where.size() > limits::kMonitorClauses)
    return failure("resources exhausted",
                   "a monitor may have " + std::to_string(limits::kMonitorClauses) + " clauses at most");
  for (const Json& clause : table.where) {
    auto condition = Condition::parse(*table.table, Json::array({clause}), nullptr);
    if (!condition) return std::unexpected(condition.error());
    table.conditions.push_back(std::move(*condition));
  }
  return {};
}

Expect<Monitor> Monitor::parse(const Schema& schema, MonitorKind kind, const Json& requests) {
  Monitor monitor;
  monitor.kind_ = kind;
  if (!requests.is_object()) return syntax_error("the monitor requests " + dump_brief(requests) + " are not an object");
  for (const auto& [name, request] : requests.items()) {
    Table table;
    table.table = schema.find(name);
    table.any = {false, false, false, false};
    table.request = Json::array();
    table.where = Json::array();
    if (table.table == nullptr)
      return failure("unknown table", "there is no table " + dump_brief(Json(name)) + " in " + schema.name());
    // Some clients send one request without the array around it.
    const Json list = request.is_array() ? request : Json::array({request});
    for (const Json& one : list)
      if (auto ok = parse_request(table, one, kind != MonitorKind::plain); !ok)
        return at_place("monitor of table " + name, ok.error());
    if (auto ok = parse_conditions(table); !ok) return at_place("monitor of table " + name, ok.error());
    monitor.tables_.push_back(std::move(table));
  }
  return monitor;
}

Expect<Monitor> Monitor::with_conditions(const Schema& schema, const Json& requests) const {
  Monitor out = *this;
  if (!requests.is_object()) return syntax_error("the monitor requests " + dump_brief(requests) + " are not an object");
  for (const auto& [name, request] : requests.items()) {
    const auto table = std::find_if(out.tables_.begin(), out.tables_.end(),
                                    [&, wanted = schema.find(name)](const Table& t) { return t.table == wanted; });
    if (table == out.tables_.end())
      return syntax_error("this monitor does not follow a table " + dump_brief(Json(name)));
    table->where = Json::array();
    for (const Json& one : request.is_array() ? request : Json::array({request})) {
      if (!one.is_object()) return syntax_error("the request " + dump_brief(one) + " is not an object");
      const Json where = one.value("where", Json::array());
      if (!where.is_array()) return syntax_error("where " + dump_brief(where) + " is not an array");
      if (where.empty())
        table->where = nullptr;
      else if (!table->where.is_null())
        table->where.insert(table->where.end(), where.begin(), where.end());
    }
    if (auto ok = parse_conditions(*table); !ok) return at_place("monitor of table " + name, ok.error());
  }
  return out;
}

std::string Monitor::key() const {
  Json all = Json::array({static_cast<int>(kind_)});
  for (const Table& table : tables_) all.push_back(Json::array({table.table->name, table.request, table.where}));
  return dump_json(all);
}

const Monitor::Table* Monitor::find(const TableSchema* table) const {
  const auto it = std::find_if(tables_.begin(), tables_.end(), [&](const Table& t) { return t.table == table; });
  return it == tables_.end() ? nullptr : &*it;
}

bool Monitor::Table::follows(const Row& row) const {
  return where.is_null() ||
         std::any_of(conditions.begin(), conditions.end(), [&](const Condition& c) { return c.matches(row); });
}

Json Monitor::initial(const Database& database) const {
  Json out = Json::object();
  for (const Table& table : tables_) {
    if (!table.any.initial) continue;
    Json rows = Json::object();
    for (const RowRef& row : database.rows(table.table->name)) {
      if (!table.follows(*row)) continue;
      rows[row->uuid().to_string()] = kind_ == MonitorKind::plain
                                          ? Json{{"new", columns_json(table, *row, &Select::initial)}}
                                          : Json{{"initial", short_columns_json(table, *row, &Select::initial)}};
    }
    if (!rows.empty()) out[table.table->name] = std::move(rows);
  }
  return out;
}

Json Monitor::updates(const Change& change) const {
  Json out = Json::object();
  for (const RowChange& row : change.rows) {
    const Table* table = find(row.table);
    if (table == nullptr) continue;
    Json update = kind_ == MonitorKind::plain ? row_update(*table, row) : row_update2(*table, row);
    if (!update.empty()) out[row.table->name][row.uuid.to_string()] = std::move(update);
  }
  return out;
}

Json Monitor::difference(const Monitor& before, const Database& database) const {
  Json out = Json::object();
  for (const Table& table : tables_) {
    const Table* old = before.find(table.table);
    if (old == nullptr || old->where == table.where) continue;
    Json rows = Json::object();
    for (const RowRef& row : database.rows(table.table->name)) {
      const bool was = old->follows(*row);
      const bool is = table.follows(*row);
      if (!was && is && table.any.insert)
        rows[row->uuid().to_string()] = Json{{"insert", short_columns_json(table, *row, &Select::insert)}};
      if (was && !is && table.any.erase) rows[row->uuid().to_string()] = Json{{"delete", nullptr}};
    }
    if (!rows.empty()) out[table.table->name] = std::move(rows);
  }
  return out;
}

}  // namespace heddle::ovsdb
