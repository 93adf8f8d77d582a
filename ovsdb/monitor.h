// SPDX-License-Identifier: Apache-2.0
// A client's monitor: the tables, rows and columns that the client follows, and the JSON of its updates. RFC 7047
// section 4.1.5 ("monitor" with "update"); ovsdb-server(7) sections 4.1.12 to 4.1.16 ("monitor_cond" with "update2",
// which has differences, and "monitor_cond_since" with "update3").
//
// Constant after parse(); refers to the Database's schema, which must outlive the Monitor. Sessions with equal requests
// share one Monitor (see Subscriptions), so that a commit is converted to JSON once for all of them. parse() and
// with_conditions() fail for the client's mistakes ("syntax error", "unknown table", "unknown column" ...).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ovsdb/condition.h"
#include "ovsdb/database.h"
#include "ovsdb/failure.h"

namespace heddle::ovsdb {

enum class MonitorKind : std::uint8_t { plain, cond, cond_since };

class Monitor {
 public:
  // `requests`: <monitor-requests>, or <monitor-cond-requests>.
  static Expect<Monitor> parse(const Schema& schema, MonitorKind kind, const Json& requests);
  // monitor_cond_change: a copy with other conditions for the tables in `requests`.
  [[nodiscard]] Expect<Monitor> with_conditions(const Schema& schema, const Json& requests) const;

  [[nodiscard]] MonitorKind kind() const { return kind_; }
  // Two monitors with the same key have the same updates for every change.
  [[nodiscard]] std::string key() const;

  // The rows now in the database.
  [[nodiscard]] Json initial(const Database& database) const;
  // The changes of a commit; an empty object when they do not concern this monitor.
  [[nodiscard]] Json updates(const Change& change) const;
  // The rows that enter or leave the view when this monitor replaces `before`, which has the same tables and columns.
  [[nodiscard]] Json difference(const Monitor& before, const Database& database) const;

 private:
  struct Select {
    bool initial = true;
    bool insert = true;
    bool erase = true;
    bool modify = true;
  };
  struct Column {
    const ColumnSchema* column = nullptr;
    Select select;
  };
  struct Table {
    const TableSchema* table = nullptr;
    Json request;  // as the client sent it, without conditions
    Json where;    // the clauses of all requests together; null: every row
    std::vector<Column> columns;
    std::vector<Condition> conditions;  // one of them must hold; unused when `where` is null
    Select any;                         // union over the table's requests

    [[nodiscard]] bool follows(const Row& row) const;
  };
  static Expect<Select> parse_select(const Json& request);
  static Expect<> parse_columns(Table& table, const Json& request, const Select& select);
  static Expect<> parse_request(Table& table, const Json& request, bool conditional);
  static Expect<> parse_conditions(Table& table);
  static Json columns_json(const Table& table, const Row& row, bool Select::*kind);
  static Json short_columns_json(const Table& table, const Row& row, bool Select::*kind);
  static Json row_update(const Table& table, const RowChange& change);
  static Json row_update2(const Table& table, const RowChange& change);
  [[nodiscard]] const Table* find(const TableSchema* table) const;

  MonitorKind kind_ = MonitorKind::plain;
  std::vector<Table> tables_;
};

}  // namespace heddle::ovsdb
