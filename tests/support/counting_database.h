// SPDX-License-Identifier: Apache-2.0
// A database that counts what is read from it and written to it by the daemon itself: for tests that hold the cost of a
// change to the size of the change. Threads: as of the Database that it owns.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "ovsdb/database.h"

namespace heddle::test {

class CountingDatabase final : public ovsdb::Database {
 public:
  explicit CountingDatabase(std::unique_ptr<ovsdb::Database> db) : db_(std::move(db)) {}
  // Rows that were asked for, one by one or with their table.
  [[nodiscard]] std::size_t rows_read() const { return rows_read_; }
  // Rows that update() was given, whether they differed or not.
  [[nodiscard]] std::size_t rows_offered() const { return rows_offered_; }

  using Database::try_transact;
  using Database::update;
  [[nodiscard]] const ovsdb::Schema& schema() const override { return db_->schema(); }
  [[nodiscard]] std::vector<ovsdb::RowRef> rows(std::string_view table) const override {
    auto rows = db_->rows(table);
    rows_read_ += rows.size();
    return rows;
  }
  [[nodiscard]] ovsdb::RowRef find(std::string_view table, const ovsdb::Uuid& uuid) const override {
    ++rows_read_;
    return db_->find(table, uuid);
  }
  [[nodiscard]] ovsdb::RowRef find_by(std::string_view table, std::string_view column,
                                      const ovsdb::Datum& value) const override {
    ++rows_read_;
    return db_->find_by(table, column, value);
  }
  [[nodiscard]] const ovsdb::Uuid& last_transaction() const override { return db_->last_transaction(); }
  ovsdb::TransactOutcome try_transact(std::span<const ovsdb::Json> operations,
                                      const ovsdb::TransactContext& context) override {
    return db_->try_transact(operations, context);
  }
  Result<bool> update(std::span<const ovsdb::RowUpdate> updates, ovsdb::Origin origin) override {
    rows_offered_ += updates.size();
    return db_->update(updates, origin);
  }
  ObserverId add_observer(Observer observer) override { return db_->add_observer(std::move(observer)); }
  void remove_observer(ObserverId id) override { db_->remove_observer(id); }

 private:
  std::unique_ptr<ovsdb::Database> db_;
  mutable std::size_t rows_read_ = 0;
  std::size_t rows_offered_ = 0;
};

}  // namespace heddle::test
