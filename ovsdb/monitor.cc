#include "ovsdb/monitor.h"

#include <algorithm>
#include <utility>

#include "ovsdb/condition.h"
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

Expect<> Monitor::parse_request(Table& table, const Json& request) {
  const std::string place = "monitor of table " + table.table->name;
  if (!request.is_object()) return syntax_error(place + ": the request " + dump_brief(request) + " is not an object");
  for (const auto& [name, value] : request.items())
    if (name != "columns" && name != "select")
      return syntax_error(place + ": member " + dump_brief(Json(name)) + " does not belong here");
  auto select = parse_select(request);
  if (!select) return at_place(place, select.error());
  table.any.initial |= select->initial;
  table.any.insert |= select->insert;
  table.any.erase |= select->erase;
  table.any.modify |= select->modify;

  std::vector<const ColumnSchema*> columns;
  if (const auto names = request.find("columns"); names == request.end()) {
    for (const ColumnSchema& column : table.table->columns) columns.push_back(&column);
    columns.push_back(table.table->find_any("_version"));
  } else if (names->is_array()) {
    for (const Json& name : *names) {
      auto column = column_from_json(*table.table, name);
      if (!column) return at_place(place, column.error());
      columns.push_back(*column);
    }
  } else {
    return syntax_error(place + ": columns " + dump_brief(*names) + " is not an array");
  }
  for (const ColumnSchema* column : columns) {
    if (std::any_of(table.columns.begin(), table.columns.end(), [&](const Column& c) { return c.column == column; }))
      return syntax_error(place + ": column " + column->name + " is asked for twice");
    table.columns.push_back({column, *select});
  }
  return {};
}

Expect<Monitor> Monitor::parse(const Schema& schema, const Json& id, const Json& requests) {
  Monitor monitor;
  monitor.id_ = id;
  if (!requests.is_object()) return syntax_error("the monitor requests " + dump_brief(requests) + " are not an object");
  for (const auto& [name, request] : requests.items()) {
    Table table;
    table.table = schema.find(name);
    table.any = {false, false, false, false};
    if (table.table == nullptr)
      return failure("unknown table", "there is no table " + dump_brief(Json(name)) + " in " + schema.name());
    // Some clients send one request without the array around it.
    const Json list = request.is_array() ? request : Json::array({request});
    for (const Json& one : list)
      if (auto ok = parse_request(table, one); !ok) return std::unexpected(ok.error());
    monitor.tables_.push_back(std::move(table));
  }
  return monitor;
}

Json Monitor::columns_json(const Table& table, const Row& row, bool Select::*kind) {
  Json out = Json::object();
  Datum scratch;
  for (const Column& c : table.columns)
    if (c.select.*kind) out[c.column->name] = datum_to_json(c.column->type, column_value(row, *c.column, scratch));
  return out;
}

Json Monitor::initial(const Database& database) const {
  Json out = Json::object();
  for (const Table& table : tables_) {
    if (!table.any.initial) continue;
    Json rows = Json::object();
    for (const RowRef& row : database.rows(table.table->name))
      rows[row->uuid().to_string()] = Json{{"new", columns_json(table, *row, &Select::initial)}};
    if (!rows.empty()) out[table.table->name] = std::move(rows);
  }
  return out;
}

// A <row-update>, or null when the change does not show in what is followed.
Json Monitor::row_update(const Table& table, const RowChange& change) {
  if (!change.before)
    return table.any.insert ? Json{{"new", columns_json(table, *change.after, &Select::insert)}} : Json();
  if (!change.after)
    return table.any.erase ? Json{{"old", columns_json(table, *change.before, &Select::erase)}} : Json();
  if (!table.any.modify) return {};
  Json old = Json::object();
  bool differs = false;
  Datum before;
  Datum after;
  for (const Column& c : table.columns) {
    if (!c.select.modify) continue;
    const Datum& was = column_value(*change.before, *c.column, before);
    if (was == column_value(*change.after, *c.column, after)) continue;
    old[c.column->name] = datum_to_json(c.column->type, was);
    // Every change gives the row a new version: that alone is no news.
    differs = differs || c.column->index != kVersionColumn;
  }
  if (!differs) return {};
  return Json{{"old", std::move(old)}, {"new", columns_json(table, *change.after, &Select::modify)}};
}

Json Monitor::updates(const Change& change) const {
  Json out = Json::object();
  for (const RowChange& row : change.rows) {
    const auto table =
        std::find_if(tables_.begin(), tables_.end(), [&](const Table& t) { return t.table == row.table; });
    if (table == tables_.end()) continue;
    Json update = row_update(*table, row);
    if (!update.is_null()) out[row.table->name][row.uuid.to_string()] = std::move(update);
  }
  return out;
}

}  // namespace heddle::ovsdb
