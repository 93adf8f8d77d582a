// SPDX-License-Identifier: Apache-2.0
// An RFC 7047 database: rows in tables, described by a schema that is data. It knows nothing of switching.
//
// Ownership: the Database owns schema, rows and the store (an SQLite file, or none for a database in memory). A
// committed row never changes; a RowRef keeps its version of the row alive, but must not outlive the Database.
// Threads: all calls on one thread ("control").
// Errors: open() fails for a bad schema or an unusable store. transact() returns errors in the reply (RFC 7047 section
// 4.1.3); a transaction is applied whole or not at all. A confirmed transaction survives the end of this process; with
// "commit" and "durable" it is on disk with all earlier ones, otherwise a second later (kSyncWithin, log_sync.h).
// Ephemeral columns are not stored; a transaction that changes only ephemeral columns causes no disk write.
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
  // The column's value; empty for a column that the schema does not have.
  [[nodiscard]] const Datum& get(std::string_view column) const;
  [[nodiscard]] const Datum& at(std::size_t column) const { return columns_[column]; }

  // For the engine, on a row before its commit.
  Datum& edit(std::size_t column) { return columns_[column]; }
  void set_version(const Uuid& version) { version_ = version; }

 private:
  const TableSchema* table_;
  Uuid uuid_;
  Uuid version_;
  std::vector<Datum> columns_;  // by ColumnSchema::index
};
using RowRef = std::shared_ptr<const Row>;

// The effect of one commit on one row.
struct RowChange {
  const TableSchema* table = nullptr;
  Uuid uuid;
  RowRef before;  // null: inserted
  RowRef after;   // null: deleted
  // True when the column differs; always true for inserts and deletes.
  [[nodiscard]] bool changed(std::string_view column) const;
  // True when a stored (not ephemeral) column differs.
  [[nodiscard]] bool stored() const;
};
// Who made a commit: an address of the writer's own, by which it knows its commits again. Null: a client.
using Origin = const void*;

struct Change {
  std::vector<RowChange> rows;  // each row once; never empty
  Uuid id;                      // of the transaction; unique within the process
  Origin origin = nullptr;
};

// Columns to set in one row, by name.
struct RowUpdate {
  std::string table;
  Uuid uuid;
  std::map<std::string, Datum> columns;
};

// The writer's part in a transaction.
struct TransactContext {
  // How long the request has waited so far; none: a "wait" operation fails at once.
  std::optional<Duration> elapsed;
  // True when the client holds the lock ("assert"); an empty function: it holds no lock.
  std::function<bool(const std::string& lock)> holds_lock;
  bool read_only = false;  // operations that write are refused
  Origin origin = nullptr;
  // Asked before the commit with all that would change: a reason makes the transaction fail ("permission error").
  // Empty: all may be changed.
  using Permit = std::function<std::optional<std::string>(std::span<const RowChange> changes)>;
  Permit permit = {};
};

struct TransactOutcome {
  Json reply;            // the array of results (RFC 7047 section 4.1.3); null when blocked
  bool blocked = false;  // a "wait" is not satisfied and nothing was changed: try again after the next change to
                         // `wait_table`, or when `elapsed` has reached `wait_timeout`
  std::string wait_table;
  std::optional<Duration> wait_timeout;  // none: no time-out
};

class Database {
 public:
  // `path` empty: in memory only. A missing file is created. From a file with another schema, rows and columns that the
  // new schema has with a fitting type are kept; the rest is dropped, with a log line.
  static Result<std::unique_ptr<Database>> open(std::string_view schema_json, const std::string& path);
  virtual ~Database() = default;

  [[nodiscard]] virtual const Schema& schema() const = 0;

  // Committed rows in the order of their UUIDs; none for a missing table.
  [[nodiscard]] virtual std::vector<RowRef> rows(std::string_view table) const = 0;
  [[nodiscard]] virtual RowRef find(std::string_view table, const Uuid& uuid) const = 0;
  // The first row whose column has this value, or null. Uses an index where the schema has one.
  [[nodiscard]] virtual RowRef find_by(std::string_view table, std::string_view column, const Datum& value) const = 0;

  // The id of the last commit; before the first commit, an id for the state after open().
  [[nodiscard]] virtual const Uuid& last_transaction() const = 0;

  // Runs the operations (without the database name) as one transaction. In transact() an unsatisfied "wait" fails with
  // "timed out"; try_transact() reports it as blocked while `elapsed` is below its timeout.
  virtual TransactOutcome try_transact(std::span<const Json> operations, const TransactContext& context) = 0;
  // The same for a JSON array; other JSON values are refused.
  TransactOutcome try_transact(const Json& operations, const TransactContext& context);
  Json transact(const Json& operations) { return try_transact(operations, TransactContext{}).reply; }
  TransactOutcome try_transact(const Json& operations, Duration elapsed) {
    return try_transact(operations, TransactContext{elapsed, nullptr});
  }

  // Sets columns of existing rows in one transaction: the cheap way to write status. Deleted rows are skipped, equal
  // values are not written; if nothing differs, there is no commit and no notification (false). "mutable": false
  // columns may not be set. Fails, changing nothing, when a value does not fit its column or the store cannot be
  // written.
  virtual Result<bool> update(std::span<const RowUpdate> updates, Origin origin) = 0;
  Result<bool> update(std::span<const RowUpdate> updates) { return update(updates, nullptr); }

  // Calls `observer` after every commit, in the order of the commits, until remove_observer(). An observer may
  // transact: all observers are called for the present commit first, then for the new one.
  using Observer = std::function<void(const Change&)>;
  using ObserverId = std::uint64_t;
  virtual ObserverId add_observer(Observer observer) = 0;
  virtual void remove_observer(ObserverId id) = 0;
};

}  // namespace heddle::ovsdb
