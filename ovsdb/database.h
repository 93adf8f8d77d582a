// SPDX-License-Identifier: Apache-2.0
// An RFC 7047 database: rows in tables, described by a schema that is data. It knows nothing of switching.
//
// Who owns what: the Database owns schema, rows and the store (an SQLite file, or nothing when it lives in memory). A
// committed row never changes; a RowRef keeps the version it points to, but must not outlive the Database.
// Threads: all calls on one thread ("control").
// Failure: open() fails for a bad schema or a store that cannot be used. transact() answers errors in the reply, as RFC
// 7047 section 4.1.3 says; a transaction is applied whole or not at all. What is answered outlives this process; with
// "commit" and "durable" it is on disk with all before it, else it will be a second later (kSyncWithin, log_sync.h).
// Columns that the schema calls ephemeral are not stored; a transaction that changes only those costs no disk write.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "ovsdb/datum.h"
#include "ovsdb/json.h"
#include "ovsdb/schema.h"
#include "ovsdb/uuid.h"

namespace heddle::ovsdb {

// One version of one row.
class Row {
 public:
  Row(const TableSchema& table, const Uuid& uuid);  // every column at its default
  [[nodiscard]] const TableSchema& table() const { return *table_; }
  [[nodiscard]] const Uuid& uuid() const { return uuid_; }
  [[nodiscard]] const Uuid& version() const { return version_; }
  // The column's value; one that the schema does not have reads as empty.
  [[nodiscard]] const Datum& get(std::string_view column) const;
  [[nodiscard]] const Datum& at(std::size_t column) const { return columns_[column]; }

  // For the engine, on a row that is not committed yet.
  Datum& edit(std::size_t column) { return columns_[column]; }
  void set_version(const Uuid& version) { version_ = version; }

 private:
  const TableSchema* table_;
  Uuid uuid_;
  Uuid version_;
  std::vector<Datum> columns_;  // by ColumnSchema::index
};
using RowRef = std::shared_ptr<const Row>;

// What one commit did to one row.
struct RowChange {
  const TableSchema* table = nullptr;
  Uuid uuid;
  RowRef before;  // null: inserted
  RowRef after;   // null: deleted
  // Whether the column differs; for inserts and deletes always true.
  [[nodiscard]] bool changed(std::string_view column) const;
  // Whether anything but ephemeral columns differs.
  [[nodiscard]] bool stored() const;
};
struct Change {
  std::vector<RowChange> rows;  // each row once; never empty
  Uuid id;                      // of the transaction; unique as long as the process lives
};

// Columns to set in one row, by name.
struct RowUpdate {
  std::string table;
  Uuid uuid;
  std::map<std::string, Datum> columns;
};

// What an engine must know of the client behind a transaction.
struct TransactContext {
  // How long the request has been waiting already; none: no "wait" may wait.
  std::optional<Duration> elapsed;
  // Whether the client holds a lock ("assert"); empty: it holds none.
  std::function<bool(const std::string& lock)> holds_lock;
  bool read_only = false;  // operations that write are refused
};

struct TransactOutcome {
  Json reply;            // the array of results (RFC 7047 section 4.1.3); null when blocked
  bool blocked = false;  // a "wait" is not satisfied: nothing was changed; call again after the next change to
                         // `wait_table`, or when `elapsed` has reached `wait_timeout`
  std::string wait_table;
  std::optional<Duration> wait_timeout;  // none: waits for ever
};

class Database {
 public:
  // `path` empty: in memory only. A file that does not exist is created; one that was written under another schema
  // keeps every row and column that the new schema still has with a fitting type, and logs what it drops.
  static Result<std::unique_ptr<Database>> open(std::string_view schema_json, const std::string& path);
  virtual ~Database() = default;

  [[nodiscard]] virtual const Schema& schema() const = 0;

  // Committed rows; none for a table that does not exist. The order is that of the UUIDs.
  [[nodiscard]] virtual std::vector<RowRef> rows(std::string_view table) const = 0;
  [[nodiscard]] virtual RowRef find(std::string_view table, const Uuid& uuid) const = 0;
  // The first row whose column has this value; null when there is none. Uses an index where the schema has one.
  [[nodiscard]] virtual RowRef find_by(std::string_view table, std::string_view column, const Datum& value) const = 0;

  // The id of the last commit; before the first one, an id that stands for the state after open().
  [[nodiscard]] virtual const Uuid& last_transaction() const = 0;

  // Runs the operations (without the database name) as one transaction. transact() does not wait: an unsatisfied
  // "wait" is "timed out". try_transact() reports it as blocked while `elapsed` is below its timeout.
  virtual TransactOutcome try_transact(std::span<const Json> operations, const TransactContext& context) = 0;
  // The same of a JSON array; what is none is refused.
  TransactOutcome try_transact(const Json& operations, const TransactContext& context);
  Json transact(const Json& operations) { return try_transact(operations, TransactContext{}).reply; }
  TransactOutcome try_transact(const Json& operations, Duration elapsed) {
    return try_transact(operations, TransactContext{elapsed, nullptr});
  }

  // Sets columns of existing rows in one transaction: the cheap way to write status. Rows that are gone are passed
  // over, values that are equal are not written, and if nothing differs there is no commit and no notification (false).
  // "mutable": false columns may not be set. Fails, changing nothing, when a value does not fit its column.
  virtual Result<bool> update(std::span<const RowUpdate> updates) = 0;

  // Calls `observer` after every commit, in the order of the commits, until remove_observer(). An observer may
  // transact: it and the others then hear of that commit after they have all heard of the present one.
  using Observer = std::function<void(const Change&)>;
  using ObserverId = std::uint64_t;
  virtual ObserverId add_observer(Observer observer) = 0;
  virtual void remove_observer(ObserverId id) = 0;
};

}  // namespace heddle::ovsdb
