// SPDX-License-Identifier: Apache-2.0
#include "ovsdb/condition.h"

#include <algorithm>
#include <array>
#include <string_view>

namespace heddle::ovsdb {

const Datum& column_value(const Row& row, const ColumnSchema& column, Datum& scratch) {
  if (column.index == kUuidColumn) return scratch = Datum::of(row.uuid());
  if (column.index == kVersionColumn) return scratch = Datum::of(row.version());
  return row.at(column.index);
}

Expect<const ColumnSchema*> column_from_json(const TableSchema& table, const Json& name) {
  if (!name.is_string()) return syntax_error("table " + table.name + ": " + dump_brief(name) + " is not a column name");
  const auto* column = table.find_any(name.get_ref<const std::string&>());
  if (column != nullptr) return column;
  return failure("unknown column", "table " + table.name + " has no column " + dump_brief(name));
}

namespace {

constexpr std::array<std::string_view, 8> kFunctions{"<", "<=", "==", "!=", ">=", ">", "includes", "excludes"};

// True when every element (for maps: every pair) of `small` is in `big`.
bool includes(const Datum& big, const Datum& small) {
  for (std::size_t i = 0; i < small.size(); ++i) {
    const auto at = big.find(small.keys()[i]);
    if (!at || (small.is_map() && big.values()[*at] != small.values()[i])) return false;
  }
  return true;
}

// True when no element (for maps: no pair) of `some` is in `all`.
bool excludes(const Datum& all, const Datum& some) {
  for (std::size_t i = 0; i < some.size(); ++i) {
    const auto at = all.find(some.keys()[i]);
    if (at && (!some.is_map() || all.values()[*at] == some.values()[i])) return false;
  }
  return true;
}

}  // namespace

bool Condition::is_ordering(Function function) {
  return function == Function::lt || function == Function::le || function == Function::ge || function == Function::gt;
}

// RFC 7047 section 5.1, <condition>: a valid value of the column, except that the argument of "includes" may have fewer
// elements than the column's minimum, and the argument of "excludes" any number.
Expect<Datum> Condition::argument_from_json(const ColumnType& type, Function function, const Json& json,
                                            NamedUuids* names) {
  auto datum = datum_from_json(type, json, names);
  if (!datum) return datum;
  if (is_ordering(function) && datum->size() != 1)
    return syntax_error(dump_json(Json(kFunctions.at(static_cast<std::size_t>(function)))) +
                        " needs one value to compare with");
  if (auto ok = check_atoms(type, *datum); !ok) return std::unexpected(ok.error());
  const bool fewer = !type.is_scalar() && (function == Function::includes || function == Function::excludes);
  if (fewer && (function == Function::excludes || datum->size() <= type.max)) return datum;
  if (auto ok = check_size(type, *datum); !ok) return std::unexpected(ok.error());
  return datum;
}

Expect<Condition::Clause> Condition::parse_clause(const TableSchema& table, const Json& json, NamedUuids* names) {
  Clause clause;
  if (json.is_boolean()) {
    clause.function = json.get<bool>() ? Function::always : Function::never;
    return clause;
  }
  if (!json.is_array() || json.size() != 3)
    return syntax_error("the clause " + dump_brief(json) + " is not of the form [column, function, value]");
  auto column = column_from_json(table, json[0]);
  if (!column) return std::unexpected(column.error());
  clause.column = *column;
  const auto* function = json[1].is_string()
                             ? std::find(kFunctions.begin(), kFunctions.end(), json[1].get_ref<const std::string&>())
                             : kFunctions.end();
  if (function == kFunctions.end())
    return failure("unknown function", dump_brief(json[1]) + " is not one of < <= == != >= > includes excludes");
  clause.function = static_cast<Function>(function - kFunctions.begin());

  const bool ordering = is_ordering(clause.function);
  const ColumnType& type = clause.column->type;
  // RFC 7047 allows scalar numbers only; Open vSwitch's clients also compare optional numbers.
  if (ordering &&
      (type.is_map() || type.max != 1 || (type.key.type != AtomType::integer && type.key.type != AtomType::real)))
    return syntax_error("table " + table.name + ", column " + clause.column->name + ": " + dump_json(json[1]) +
                        " needs a column that is one integer or real, or an optional one");
  auto argument = argument_from_json(type, clause.function, json[2], names);
  if (!argument) return at_place("table " + table.name + ", column " + clause.column->name, argument.error());
  clause.argument = std::move(*argument);
  return clause;
}

Expect<Condition> Condition::parse(const TableSchema& table, const Json& where, NamedUuids* names) {
  Condition condition;
  for (const Json& json : where) {
    auto clause = parse_clause(table, json, names);
    if (!clause) return std::unexpected(clause.error());
    condition.clauses_.push_back(std::move(*clause));
  }
  return condition;
}

bool Condition::holds(const Clause& clause, const Row& row) {
  if (clause.column == nullptr) return clause.function == Function::always;
  Datum scratch;
  const Datum& value = column_value(row, *clause.column, scratch);
  switch (clause.function) {
    case Function::lt:
      return !value.empty() && value < clause.argument;
    case Function::le:
      return !value.empty() && value <= clause.argument;
    case Function::eq:
      return value == clause.argument;
    case Function::ne:
      return value != clause.argument;
    case Function::ge:
      return !value.empty() && value >= clause.argument;
    case Function::gt:
      return !value.empty() && value > clause.argument;
    case Function::includes:
      return includes(value, clause.argument);
    case Function::excludes:
      return excludes(value, clause.argument);
    case Function::always:
      return true;
    case Function::never:
      break;
  }
  return false;
}

bool Condition::matches(const Row& row) const {
  return std::all_of(clauses_.begin(), clauses_.end(), [&](const Clause& c) { return holds(c, row); });
}

std::optional<Uuid> Condition::only_uuid() const {
  const Datum* uuid = equal_to(kUuidColumn);
  return uuid != nullptr ? uuid->uuid() : std::nullopt;
}

const Datum* Condition::equal_to(std::size_t column) const {
  for (const Clause& c : clauses_)
    if (c.column != nullptr && c.column->index == column && c.function == Function::eq) return &c.argument;
  return nullptr;
}

}  // namespace heddle::ovsdb
