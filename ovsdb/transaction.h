// SPDX-License-Identifier: Apache-2.0
// A transaction under way: the committed rows, overlaid with what its operations changed. Nothing reaches the Database
// before prepare() has succeeded and its Change is applied; dropping the object is the rollback.
//
// Lives on the stack of one Database call.
#pragma once

#include <map>
#include <memory>
#include <vector>

#include "ovsdb/failure.h"
#include "ovsdb/tables.h"

namespace heddle::ovsdb {

class Condition;

class Transaction {
 public:
  Transaction(const Schema& schema, const Tables& tables);

  [[nodiscard]] const Schema& schema() const { return schema_; }
  [[nodiscard]] const Tables& committed() const { return tables_; }

  // The row as this transaction sees it, or null.
  [[nodiscard]] RowRef find(const TableSchema& table, const Uuid& uuid) const;
  [[nodiscard]] RowRef find(const RowKey& key) const { return find(*key.table, key.uuid); }
  // Whether there is, or was before this transaction, a row with this UUID.
  [[nodiscard]] bool knows(const TableSchema& table, const Uuid& uuid) const {
    return overlays_[table.index].contains(uuid) || tables_.find(table, uuid) != nullptr;
  }
  // All rows of the table that meet the condition (null: all), in order of their UUIDs.
  [[nodiscard]] std::vector<RowRef> select(const TableSchema& table, const Condition* condition) const;

  // Fails ("resources exhausted") when the transaction would change too many rows.
  Expect<Row*> insert(const TableSchema& table, const Uuid& uuid);
  Expect<Row*> edit(const TableSchema& table, const Uuid& uuid);  // the row exists
  Expect<> erase(const TableSchema& table, const Uuid& uuid);     // the row exists

  // Takes rows that were written but not changed out of the overlay, and gives the others their new version.
  void settle();
  // Every row that was inserted, edited or erased.
  [[nodiscard]] std::vector<RowChange> changes() const;

 private:
  struct Pending {
    RowRef before;
    std::shared_ptr<Row> after;
  };
  using Overlay = std::map<Uuid, Pending>;
  Expect<Pending*> touch(const TableSchema& table, const Uuid& uuid);

  const Schema& schema_;
  const Tables& tables_;
  std::vector<Overlay> overlays_;  // by TableSchema::index
  std::size_t touched_ = 0;
};

}  // namespace heddle::ovsdb
