// SPDX-License-Identifier: Apache-2.0
// Rows on disk: one SQLite file in WAL mode, with a table of rows and a journal of later changes (journal.h). A commit
// appends one entry to the journal; when the journal is full, its rows are written to the table and the journal is
// emptied ("folded", adr/0010). A transaction that append() or fold() accepted survives any end of this process; a
// failed one leaves no trace. A power failure may lose transactions written with Sync::later in the last second, the
// latest first (LogSync); it cannot lose a transaction written with Sync::now, or any before it.
//
// Only one Store at a time can open the file (a flock(2) lock). SQLite's own locks are used as usual, so that other
// programs may read the file, or copy it by SQLite's backup, while it is in use.
//
// Owned by the Database and used on its thread. Every error has SQLite's reason and the file's path in its text.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "ovsdb/journal.h"
#include "ovsdb/log_sync.h"

struct sqlite3;
struct sqlite3_stmt;

namespace heddle::ovsdb {

class Store {
 public:
  // Bytes of entries at which the journal is folded: changes of some thousand small rows, folded in tens of
  // milliseconds.
  static constexpr std::size_t kJournalBytes = 1U << 20U;
  // Limit of the journal while folding fails: a full disk may still have room for small entries.
  static constexpr std::size_t kJournalMost = 8U << 20U;

  struct Loaded {
    std::vector<StoredRow> rows;
    std::vector<std::pair<std::string, std::string>> journaled;  // table and UUID of the rows in the journal
  };
  static Result<std::unique_ptr<Store>> open(const std::string& path);
  ~Store();
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

  // The schema under which the rows were written; empty in a new file.
  Result<std::string> schema();
  Result<Loaded> load();
  // append(), fold() and replace() are one transaction each. `now`: it and all earlier ones are on disk at the return.
  enum class Sync : bool { now, later };
  // True when the next commit should use fold() instead of append() with an entry of this size.
  [[nodiscard]] bool is_due(std::size_t bytes) const { return journal_bytes_ + bytes > fold_at_; }
  [[nodiscard]] bool has_room(std::size_t bytes) const { return journal_bytes_ + bytes <= kJournalMost; }
  // After a failed fold: postpones the next one, so that not every commit tries it.
  void put_off() { fold_at_ = journal_bytes_ + kJournalBytes / 4; }
  // After a failure, perhaps of a full disk: checkpoints SQLite's log into the file, so that the log can be reused from
  // its start.
  void make_room();
  // An empty entry is not written; with `now`, earlier entries are synced.
  Result<> append(const std::string& entry, Sync sync);
  // Writes the present versions of these rows, which must include all rows in the journal, and empties the journal.
  Result<> fold(std::span<const StoredRow> rows, Sync sync);
  // Replaces the schema and all rows.
  Result<> replace(const std::string& schema, std::span<const StoredRow> rows);

 private:
  explicit Store(std::string path) : path_(std::move(path)) {}
  struct Finalize {
    void operator()(sqlite3_stmt* statement) const;
  };
  using Statement = std::unique_ptr<sqlite3_stmt, Finalize>;

  Result<> initialize();
  Result<> prepare_all();
  Result<> execute(const char* sql);
  Result<Statement> prepare(const char* sql);
  Result<> set_sync(Sync sync);
  Result<JournalReplay> read_journal();
  Result<> run(sqlite3_stmt* statement);
  void begin_journal();
  Result<> write_rows(std::span<const StoredRow> rows);
  Result<> write_row(const StoredRow& row);
  // Runs `work` in a transaction, which is rolled back when `work` fails.
  template <typename Work>
  Result<> transact(Sync sync, Work&& work);
  [[nodiscard]] Error error(const char* what) const;

  std::string path_;
  // Holds the flock(2) lock. Closed after SQLite's descriptor: closing any descriptor of the file releases the
  // process's fcntl(2) locks on it, which are SQLite's. Another program that ends then would believe itself the last
  // user, and remove the log.
  Fd file_;
  sqlite3* db_ = nullptr;
  Sync sync_ = Sync::now;
  Statement begin_;
  Statement commit_;
  Statement append_;
  Statement put_;
  Statement remove_;
  std::size_t journal_bytes_ = 0;
  std::size_t fold_at_ = kJournalBytes;
  std::unique_ptr<LogSync> log_;
};

}  // namespace heddle::ovsdb
