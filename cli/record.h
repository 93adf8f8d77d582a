// SPDX-License-Identifier: Apache-2.0
// What the database commands share: naming a record, and the arguments COLUMN, COLUMN:KEY and COLUMN[:KEY]=VALUE.
// Functions over one Session; see session.h.
#pragma once

#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "cli/session.h"

namespace heddle::cli {

// Has the columns read that find_record() looks at.
void prepare_lookup(Session& session, const TableSchema& table);

// Has columns of a table read, as far as the peer's schema has them; fails when it lacks the table.
Result<> want_columns(Session& session, std::string_view table, std::initializer_list<const char*> columns);

// By name, by UUID, by the beginning of a UUID (4 hex digits or more), as "." in a table of one record, or, for records
// without a name of their own, by the name of what refers to them (a Controller by its bridge, a QoS by its port).
// Errc::not_found: there is none. Errc::invalid: there are several.
Result<Record*> find_record(Session& session, const TableSchema& table, std::string_view word);

// COLUMN, then ":KEY", then an operator and a value, as far as they are there.
struct ColumnArg {
  const ColumnSchema* column = nullptr;
  std::optional<std::string> key;  // as given, quotes and all
  std::string_view op;             // "=", "!=", "{<=}" and so on; empty: there is none
  std::string value;
};
Result<ColumnArg> parse_column_arg(const TableSchema& table, std::string_view text);

// "table Port, column tag: <text>"
Error in_column(const TableSchema& table, const ColumnSchema& column, Error error);

// Applies COLUMN[:KEY]=VALUE to a record.
Result<> set_column(Session& session, Record& record, std::string_view text);

// Whether the record meets COLUMN[:KEY] OP VALUE.
Result<bool> meets(Session& session, const Record& record, std::string_view condition);

}  // namespace heddle::cli
