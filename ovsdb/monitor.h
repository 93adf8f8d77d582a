// One "monitor" of one session (RFC 7047 section 4.1.5): which columns of which tables a client follows, and the
// messages that tell it what is there and what changed.
//
// Owned by the OvsdbServer; refers to the Database's schema.
#pragma once

#include <vector>

#include "ovsdb/database.h"
#include "ovsdb/failure.h"

namespace heddle::ovsdb {

class Monitor {
 public:
  // `id` is the client's name for it; `requests` its <monitor-requests>.
  static Expect<Monitor> parse(const Schema& schema, const Json& id, const Json& requests);

  [[nodiscard]] const Json& id() const { return id_; }
  // <table-updates> of what is there already.
  [[nodiscard]] Json initial(const Database& database) const;
  // <table-updates> of a commit; an empty object when it does not concern this monitor.
  [[nodiscard]] Json updates(const Change& change) const;

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
    std::vector<Column> columns;
    Select any;  // what at least one of the table's requests selects
  };
  static Expect<Select> parse_select(const Json& request);
  static Expect<> parse_request(Table& table, const Json& request);
  static Json columns_json(const Table& table, const Row& row, bool Select::*kind);
  static Json row_update(const Table& table, const RowChange& change);

  Json id_;
  std::vector<Table> tables_;
};

}  // namespace heddle::ovsdb
