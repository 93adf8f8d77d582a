// Rows on disk: one SQLite file in WAL mode. A transaction that write() has taken survives the end of this process,
// however it comes about, and one that it has not taken leaves no trace. A power failure may take back those written
// `later` in the last second, the last first (LogSync); nothing that was written `now`, nor anything before that.
//
// One Store at a time has the file, by a lock of flock(2). SQLite's own locks stay as SQLite means them, so that other
// programs may look at the file, or copy it by SQLite's backup, while it is in use.
//
// Owned by the Database. Every failure has SQLite's reason and the file's path in its text.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "ovsdb/log_sync.h"

struct sqlite3;
struct sqlite3_stmt;

namespace heddle::ovsdb {

// A row as it lies in the file: `columns` is a JSON object of the columns that are not at their default.
struct StoredRow {
  std::string table;
  std::string uuid;
  std::optional<std::string> columns;  // none (only for write()): the row goes
};

class Store {
 public:
  static Result<std::unique_ptr<Store>> open(const std::string& path);
  ~Store();
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

  // The schema under which the rows were written; empty in a new file.
  Result<std::string> schema();
  Result<std::vector<StoredRow>> load();
  // One transaction. `now`: on disk when it returns, with all that were written before it. No rows: nothing is written,
  // and `now` means what was written before.
  enum class Sync : bool { now, later };
  Result<> write(std::span<const StoredRow> rows, Sync sync);
  // One transaction: replaces the schema and all rows.
  Result<> replace(const std::string& schema, std::span<const StoredRow> rows);

 private:
  explicit Store(std::string path) : path_(std::move(path)) {}
  struct Finalize {
    void operator()(sqlite3_stmt* statement) const;
  };
  using Statement = std::unique_ptr<sqlite3_stmt, Finalize>;

  Result<> initialize();
  Result<> execute(const char* sql);
  Result<Statement> prepare(const char* sql);
  Result<> set_sync(Sync sync);
  Result<> run(sqlite3_stmt* statement);
  Result<> write_row(const StoredRow& row);
  Result<> transaction(const std::string* schema, std::span<const StoredRow> rows);
  [[nodiscard]] Error error(const char* what) const;

  std::string path_;
  // Holds the lock. Closed after SQLite's own: closing any descriptor of the file gives up all of the process's fcntl
  // locks on it (fcntl(2)), and those are SQLite's. Another program would then take itself for the only one, and remove
  // the log when it ends.
  Fd file_;
  sqlite3* db_ = nullptr;
  Sync sync_ = Sync::now;
  Statement put_;
  Statement remove_;
  std::unique_ptr<LogSync> log_;
};

}  // namespace heddle::ovsdb
