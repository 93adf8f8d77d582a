// SPDX-License-Identifier: Apache-2.0
// "where" clauses (RFC 7047 section 5.1, <condition>): parsed and type-checked once, then asked about many rows.
#pragma once

#include <optional>
#include <vector>

#include "ovsdb/database.h"
#include "ovsdb/failure.h"
#include "ovsdb/value.h"

namespace heddle::ovsdb {

// The value of any column, "_uuid" and "_version" included; `scratch` holds those two.
const Datum& column_value(const Row& row, const ColumnSchema& column, Datum& scratch);

// The column, by a name from JSON; "unknown column" otherwise.
Expect<const ColumnSchema*> column_from_json(const TableSchema& table, const Json& name);

class Condition {
 public:
  // `where` is an array of clauses, which must all hold. `names` null: references may not be named-uuids.
  static Expect<Condition> parse(const TableSchema& table, const Json& where, NamedUuids* names);
  [[nodiscard]] bool matches(const Row& row) const;
  // When the clauses leave only one row possible: which.
  [[nodiscard]] std::optional<Uuid> only_uuid() const;
  // The value that the column must equal, if there is one.
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
