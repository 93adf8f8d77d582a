// SPDX-License-Identifier: Apache-2.0
// Shared by the database commands: finding a record by a word, and the arguments COLUMN, COLUMN:KEY and
// COLUMN[:KEY]=VALUE. Functions on one Session (session.h); errors are messages for the user.
#pragma once

#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "cli/session.h"

namespace heddle::cli {

// Adds the columns that find_record() needs to session.interest.
void prepare_lookup(Session& session, const TableSchema& table);

// Adds those of the columns that the peer's schema has to session.interest; fails when it lacks the table.
Result<> want_columns(Session& session, std::string_view table, std::initializer_list<const char*> columns);

// Finds a record by name, by UUID, by the beginning of a UUID (4 hex digits or more), by "." in a table with one
// record, or, in a table without names, by the name of the referring record (a Controller by its bridge, a QoS by its
// port). Errc::not_found: none. Errc::invalid: several.
Result<Record*> find_record(Session& session, const TableSchema& table, std::string_view word);

// COLUMN[:KEY][OPERATOR VALUE]
struct ColumnArg {
  const ColumnSchema* column = nullptr;
  std::optional<std::string> key;  // as given, with quotes
  std::string_view op;             // "=", "!=", "{<=}" and so on; empty: no operator
  std::string value;
};
Result<ColumnArg> parse_column_arg(const TableSchema& table, std::string_view text);

// "table Port, column tag: <text>"
Error in_column(const TableSchema& table, const ColumnSchema& column, Error error);

// Applies COLUMN[:KEY]=VALUE to a record.
Result<> set_column(Session& session, Record& record, std::string_view text);

// True when the record meets the condition COLUMN[:KEY] OPERATOR VALUE.
Result<bool> meets(Session& session, const Record& record, std::string_view condition);

}  // namespace heddle::cli
