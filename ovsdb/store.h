// SPDX-License-Identifier: Apache-2.0
// Rows on disk: one SQLite file in WAL mode. It has rows, and a journal of what was done to them since (journal.h); a
// commit is one entry more, and when the journal is full the rows that it names are written and it begins anew
// (adr/0010). A transaction that append() or fold() has taken survives the end of this process, however it comes about,
// and one that they have not taken leaves no trace. A power failure may take back those written `later` in the last
// second, the last first (LogSync); nothing that was written `now`, nor anything before that.
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
#include "ovsdb/journal.h"
#include "ovsdb/log_sync.h"

struct sqlite3;
struct sqlite3_stmt;

namespace heddle::ovsdb {

class Store {
 public:
  // Bytes of entries in the journal: of changes to some thousand small rows. Folding those takes tens of milliseconds.
  static constexpr std::size_t kJournalBytes = 1U << 20U;
  // The same, when folding fails: a disk that is full may still take small entries.
  static constexpr std::size_t kJournalMost = 8U << 20U;

  struct Loaded {
    std::vector<StoredRow> rows;
    std::vector<std::pair<std::string, std::string>> journaled;  // table and UUID of those that the journal names
  };
  static Result<std::unique_ptr<Store>> open(const std::string& path);
  ~Store();
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

  // The schema under which the rows were written; empty in a new file.
  Result<std::string> schema();
  Result<Loaded> load();
  // Each of the following is one transaction. `now`: on disk when it returns, with all that were written before it.
  enum class Sync : bool { now, later };
  // Whether it is time that fold() takes the commit, and not the journal as an entry of this size.
  [[nodiscard]] bool is_due(std::size_t bytes) const { return journal_bytes_ + bytes > fold_at_; }
  [[nodiscard]] bool has_room(std::size_t bytes) const { return journal_bytes_ + bytes <= kJournalMost; }
  // A fold has failed: not every commit is to try again.
  void put_off() { fold_at_ = journal_bytes_ + kJournalBytes / 4; }
  // Something has failed, perhaps since the disk is full: puts SQLite's log back into the file, so that it may begin
  // anew in the room that it has.
  void make_room();
  // An empty entry is not written; `now` means then what was written before.
  Result<> append(const std::string& entry, Sync sync);
  // These rows as they are now, among them all that the journal names. The journal is empty afterwards.
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
  // In a transaction, which is taken back when `work` fails.
  template <typename Work>
  Result<> transact(Sync sync, Work&& work);
  [[nodiscard]] Error error(const char* what) const;

  std::string path_;
  // Holds the lock. Closed after SQLite's own: closing any descriptor of the file gives up all of the process's fcntl
  // locks on it (fcntl(2)), and those are SQLite's. Another program would then take itself for the only one, and remove
  // the log when it ends.
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
