// SPDX-License-Identifier: Apache-2.0
// A transaction in progress: the committed rows, overlaid with the changes of its operations. The Database is unchanged
// until it applies changes(); destroying the object is the rollback.
//
// Lives on the stack of one Database call; Schema and Tables must outlive it. insert(), edit() and erase() fail with
// "resources exhausted" when the transaction changes more than limits::kTransactionRows rows.
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

  // The row as changed by this transaction, or null.
  [[nodiscard]] RowRef find(const TableSchema& table, const Uuid& uuid) const;
  [[nodiscard]] RowRef find(const RowKey& key) const { return find(*key.table, key.uuid); }
  // True when a row with this UUID exists, or existed before this transaction.
  [[nodiscard]] bool knows(const TableSchema& table, const Uuid& uuid) const {
    return overlays_[table.index].contains(uuid) || tables_.find(table, uuid) != nullptr;
  }
  // The rows of the table that match the condition (null: all), in order of their UUIDs.
  [[nodiscard]] std::vector<RowRef> select(const TableSchema& table, const Condition* condition) const;

  Expect<Row*> insert(const TableSchema& table, const Uuid& uuid);
  Expect<Row*> edit(const TableSchema& table, const Uuid& uuid);  // the row must exist
  Expect<> erase(const TableSchema& table, const Uuid& uuid);     // the row must exist

  // Removes rows that were written but not changed from the overlay, and gives changed rows a new version.
  void normalize();
  // All inserted, edited or erased rows.
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
