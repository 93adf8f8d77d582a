// SPDX-License-Identifier: Apache-2.0
// Monitor's JSON for one row and for the change of one row.
#include <algorithm>
#include <utility>

#include "ovsdb/monitor.h"
#include "ovsdb/value.h"

namespace heddle::ovsdb {

namespace {

// True for the value that a client assumes for a column missing in an "insert" (RFC 7047 section 5.2.1).
// default_datum() respects the column's constraints and may differ.
bool is_zero(const ColumnType& type, const Datum& value) {
  const auto zero = [](const Atom& atom) {
    return std::visit([](const auto& v) { return v == std::decay_t<decltype(v)>{}; }, atom);
  };
  if (type.min == 0) return value.empty();
  return value.size() == 1 && zero(value.keys()[0]) && (!value.is_map() || zero(value.values()[0]));
}

// For sets the elements that only one of the two has; for maps the pairs whose key only one has, and the new pairs
// whose value differs. A column of at most one element changes as a whole (ovsdb-server(7) section 4.1.14).
Datum datum_difference(const ColumnType& type, const Datum& before, const Datum& after) {
  if (type.max == 1) return after;
  std::vector<Atom> keys;
  if (!type.is_map()) {
    for_each_difference(before, after, [&](const Atom& atom, int) { keys.push_back(atom); });
    return Datum::set(std::move(keys));
  }
  std::vector<Atom> values;
  const auto take = [&](const Datum& from, std::size_t i) {
    keys.push_back(from.keys()[i]);
    values.push_back(from.values()[i]);
  };
  for (std::size_t i = 0; i < after.size(); ++i) {
    const auto at = before.find(after.keys()[i]);
    if (!at || before.values()[*at] != after.values()[i]) take(after, i);
  }
  for (std::size_t i = 0; i < before.size(); ++i)
    if (!after.find(before.keys()[i])) take(before, i);
  return Datum::of_pairs(std::move(keys), std::move(values));
}

}  // namespace

Json Monitor::columns_json(const Table& table, const Row& row, bool Select::*kind) {
  Json out = Json::object();
  Datum scratch;
  for (const Column& c : table.columns)
    if (c.select.*kind) out[c.column->name] = datum_to_json(c.column->type, column_value(row, *c.column, scratch));
  return out;
}

Json Monitor::short_columns_json(const Table& table, const Row& row, bool Select::*kind) {
  Json out = Json::object();
  Datum scratch;
  for (const Column& c : table.columns) {
    if (!(c.select.*kind)) continue;
    const Datum& value = column_value(row, *c.column, scratch);
    if (!is_zero(c.column->type, value)) out[c.column->name] = datum_to_json(c.column->type, value);
  }
  return out;
}

// A <row-update>, or null when no monitored column changed.
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
    // Every change gives the row a new version, so a new version alone is not reported.
    differs = differs || c.column->index != kVersionColumn;
  }
  if (!differs) return {};
  return Json{{"old", std::move(old)}, {"new", columns_json(table, *change.after, &Select::modify)}};
}

// A <row-update2>, or null. A row that enters the view is an insert, a row that leaves the view a delete.
Json Monitor::row_update2(const Table& table, const RowChange& change) {
  const bool was = change.before && table.follows(*change.before);
  const bool is = change.after && table.follows(*change.after);
  if (!was && !is) return {};
  if (!was)
    return table.any.insert ? Json{{"insert", short_columns_json(table, *change.after, &Select::insert)}} : Json();
  if (!is) return table.any.erase ? Json{{"delete", nullptr}} : Json();
  if (!table.any.modify) return {};
  Json row = Json::object();
  bool differs = false;
  Datum scratch_before;
  Datum scratch_after;
  for (const Column& c : table.columns) {
    if (!c.select.modify) continue;
    const Datum& before = column_value(*change.before, *c.column, scratch_before);
    const Datum& after = column_value(*change.after, *c.column, scratch_after);
    if (before == after) continue;
    row[c.column->name] = datum_to_json(c.column->type, datum_difference(c.column->type, before, after));
    differs = differs || c.column->index != kVersionColumn;
  }
  return differs ? Json{{"modify", std::move(row)}} : Json();
}

}  // namespace heddle::ovsdb
