// SPDX-License-Identifier: Apache-2.0
// What a client follows: which columns of which rows of which tables, and the messages that tell it what is there and
// what changed. RFC 7047 section 4.1.5 ("monitor", told by "update"); ovsdb-server(7) sections 4.1.12 to 4.1.16
// ("monitor_cond", told by "update2" with differences, and "monitor_cond_since", told by "update3").
//
// Constant once parsed; refers to the Database's schema. Sessions that ask for the same share one Monitor (see
// Subscriptions), so that a commit is put into words once for all of them.
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
  // monitor_cond_change: the same with other conditions for the tables named in `requests`.
  [[nodiscard]] Expect<Monitor> with_conditions(const Schema& schema, const Json& requests) const;

  [[nodiscard]] MonitorKind kind() const { return kind_; }
  // Two monitors with the same key tell the same about every change.
  [[nodiscard]] std::string key() const;

  // What is there already.
  [[nodiscard]] Json initial(const Database& database) const;
  // What a commit changed; an empty object when it does not concern this monitor.
  [[nodiscard]] Json updates(const Change& change) const;
  // What comes into view and goes out of it when `before` becomes this monitor: the same tables and columns.
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
    Json request;  // as it came, without conditions
    Json where;    // the clauses of all requests together; null: every row
    std::vector<Column> columns;
    std::vector<Condition> conditions;  // of which one must hold; meaningless when `where` is null
    Select any;                         // what at least one of the table's requests selects

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
