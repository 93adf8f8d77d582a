// SPDX-License-Identifier: Apache-2.0
// "where" clauses (RFC 7047 section 5.1, <condition>): parsed and type-checked once, then matched against many rows.
//
// A Condition refers to the Schema, which must outlive it. Constant after parse(); any thread. parse() fails with the
// errors of RFC 7047 ("syntax error", "unknown column", "unknown function", "constraint violation").
#pragma once

#include <optional>
#include <vector>

#include "ovsdb/database.h"
#include "ovsdb/failure.h"
#include "ovsdb/value.h"

namespace heddle::ovsdb {

// The value of any column, "_uuid" and "_version" included; the values of these two are built in `scratch`.
const Datum& column_value(const Row& row, const ColumnSchema& column, Datum& scratch);

// The column with the name in a JSON string; fails with "unknown column" or "syntax error".
Expect<const ColumnSchema*> column_from_json(const TableSchema& table, const Json& name);

class Condition {
 public:
  // `where` is an array of clauses, which must all hold. `names` null: named-uuids are refused.
  static Expect<Condition> parse(const TableSchema& table, const Json& where, NamedUuids* names);
  [[nodiscard]] bool matches(const Row& row) const;
  // The UUID of the only row that can match, if a clause names it.
  [[nodiscard]] std::optional<Uuid> only_uuid() const;
  // The value that a clause requires of the column, or null.
  [[nodiscard]] const Datum* equal_to(std::size_t column) const;

 private:
  enum class Function { lt, le, eq, ne, ge, gt, includes, excludes, always, never };
  struct Clause {
    Function function = Function::always;
    const ColumnSchema* column = nullptr;
    Datum argument;
  };
  static Expect<Clause> parse_clause(const TableSchema& table, const Json& json, NamedUuids* names);
  static bool is_ordering(Function function);
  static Expect<Datum> argument_from_json(const ColumnType& type, Function function, const Json& json,
                                          NamedUuids* names);
  static bool holds(const Clause& clause, const Row& row);

  std::vector<Clause> clauses_;
};

}  // namespace heddle::ovsdb
