// SPDX-License-Identifier: Apache-2.0
#include "ovsdb/store.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <iterator>
#include <utility>

namespace heddle::ovsdb {

namespace {

// "PRAGMA user_version": the layout of the file.
constexpr int kLayout = 2;  // 1: without a journal

constexpr const char* kRowsTable =
    "CREATE TABLE IF NOT EXISTS rows(tab TEXT, uuid TEXT, columns TEXT NOT NULL, PRIMARY KEY(tab, uuid)) WITHOUT ROWID";

std::string column_text(sqlite3_stmt* statement, int column) {
  const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(statement, column));
  return text == nullptr ? std::string()
                         : std::string(text, static_cast<std::size_t>(sqlite3_column_bytes(statement, column)));
}

void bind(sqlite3_stmt* statement, int index, const std::string& text) {
  sqlite3_bind_text64(statement, index, text.data(), text.size(), SQLITE_STATIC, SQLITE_UTF8);
}

}  // namespace

void Store::Finalize::operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }

Store::~Store() {
  log_.reset();
  for (Statement* statement : {&begin_, &commit_, &append_, &put_, &remove_}) statement->reset();
  sqlite3_close(db_);
}

Error Store::error(const char* what) const {
  const int code = db_ != nullptr ? sqlite3_errcode(db_) : SQLITE_NOMEM;
  std::string text = "database file " + path_ + ": " + what + ": " +
                     (db_ != nullptr ? sqlite3_errmsg(db_) : sqlite3_errstr(SQLITE_NOMEM));
  if (code == SQLITE_BUSY) return {Errc::exists, text + " (another process uses it)"};
  if (code == SQLITE_NOTADB || code == SQLITE_CORRUPT)
    text += " (restore it from a copy, or move it away to start with an empty database)";
  if (code == SQLITE_FULL) text += " (make room on its file system)";
  return {Errc::system, text};
}

Result<> Store::execute(const char* sql) {
  if (sqlite3_exec(db_, sql, nullptr, nullptr, nullptr) == SQLITE_OK) return {};
  return std::unexpected(error(sql));
}

Result<Store::Statement> Store::prepare(const char* sql) {
  sqlite3_stmt* statement = nullptr;
  if (sqlite3_prepare_v2(db_, sql, -1, &statement, nullptr) != SQLITE_OK) return std::unexpected(error(sql));
  return Statement(statement);
}

Result<std::unique_ptr<Store>> Store::open(const std::string& path) {
  std::unique_ptr<Store> store(new Store(path));
  // SQLite gives its log file the mode of the database file, so that must be right from the start.
  store->file_ = Fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, S_IRUSR | S_IWUSR));
  if (!store->file_) return fail_errno(errno, "database file " + path);
  if (::flock(store->file_.get(), LOCK_EX | LOCK_NB) < 0) {
    if (errno != EWOULDBLOCK) return fail_errno(errno, "database file " + path + ": lock");
    return fail(Errc::exists, "database file " + path + ": another daemon uses it (end that one, or use another file)");
  }
  constexpr int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
  if (sqlite3_open_v2(path.c_str(), &store->db_, flags, nullptr) != SQLITE_OK)
    return std::unexpected(store->error("cannot be opened"));
  if (auto ok = store->initialize(); !ok) return std::unexpected(ok.error());
  auto log = LogSync::start(sqlite3_filename_wal(sqlite3_db_filename(store->db_, "main")));
  if (!log) return std::unexpected(log.error());
  store->log_ = std::move(*log);
  return store;
}

Result<> Store::initialize() {
  // A checkpoint, with two syncs, at 4,096 pages of log: 16 MiB. SQLite's default is 4 MiB, which a few folds of many
  // rows fill. secure_delete, which is on in Debian, would overwrite deleted journal entries.
  for (const char* sql : {"PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL", "PRAGMA wal_autocheckpoint=4096",
                          "PRAGMA secure_delete=OFF", "BEGIN IMMEDIATE"})
    if (auto ok = execute(sql); !ok) return ok;
  auto layout = prepare("PRAGMA user_version");
  if (!layout) return std::unexpected(layout.error());
  sqlite3_step(layout->get());
  const int found = sqlite3_column_int(layout->get(), 0);
  layout->reset();
  if (found < 0 || found > kLayout)
    return fail(Errc::unsupported, "database file " + path_ + ": its layout " + std::to_string(found) +
                                       " is from another version of this program (use that version, or another file)");
  // Writing the layout again would cost two syncs at every start.
  if (found == kLayout) {
    if (auto ok = execute("COMMIT"); !ok) return ok;
    return prepare_all();
  }
  for (const char* sql :
       {"CREATE TABLE IF NOT EXISTS meta(name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID", kRowsTable,
        "CREATE TABLE IF NOT EXISTS journal(seq INTEGER PRIMARY KEY, entry TEXT NOT NULL)", "PRAGMA user_version=2",
        "COMMIT"})
    if (auto ok = execute(sql); !ok) return ok;
  static_assert(kLayout == 2, "PRAGMA user_version above");
  return prepare_all();
}

Result<> Store::prepare_all() {
  const std::array<std::pair<Statement*, const char*>, 5> all{
      {{&begin_, "BEGIN IMMEDIATE"},
       {&commit_, "COMMIT"},
       {&append_, "INSERT INTO journal(entry) VALUES(?1)"},
       {&put_, "INSERT OR REPLACE INTO rows(tab, uuid, columns) VALUES(?1, ?2, ?3)"},
       {&remove_, "DELETE FROM rows WHERE tab = ?1 AND uuid = ?2"}}};
  for (const auto& [statement, sql] : all) {
    auto prepared = prepare(sql);
    if (!prepared) return std::unexpected(prepared.error());
    *statement = std::move(*prepared);
  }
  return {};
}

Result<std::string> Store::schema() {
  auto statement = prepare("SELECT value FROM meta WHERE name = 'schema'");
  if (!statement) return std::unexpected(statement.error());
  const int code = sqlite3_step(statement->get());
  if (code == SQLITE_DONE) return std::string();
  if (code != SQLITE_ROW) return std::unexpected(error("reading the schema"));
  return column_text(statement->get(), 0);
}

Result<JournalReplay> Store::read_journal() {
  auto statement = prepare("SELECT entry FROM journal ORDER BY seq");
  if (!statement) return std::unexpected(statement.error());
  JournalReplay journal;
  journal_bytes_ = 0;
  int code = SQLITE_ROW;
  while ((code = sqlite3_step(statement->get())) == SQLITE_ROW) {
    const std::string entry = column_text(statement->get(), 0);
    journal_bytes_ += entry.size();
    if (auto ok = journal.read(entry); !ok)
      return fail(ok.error().code, "database file " + path_ + ": " + ok.error().text);
  }
  if (code != SQLITE_DONE) return std::unexpected(error("reading the journal"));
  return journal;
}

Result<Store::Loaded> Store::load() {
  auto journal = read_journal();
  if (!journal) return std::unexpected(journal.error());
  auto statement = prepare("SELECT tab, uuid, columns FROM rows");
  if (!statement) return std::unexpected(statement.error());
  Loaded out{{}, journal->names()};
  int code = SQLITE_ROW;
  while ((code = sqlite3_step(statement->get())) == SQLITE_ROW) {
    auto row = journal->news_of(
        {column_text(statement->get(), 0), column_text(statement->get(), 1), column_text(statement->get(), 2)});
    if (!row) return std::unexpected(row.error());
    out.rows.push_back(std::move(*row));
  }
  if (code != SQLITE_DONE) return std::unexpected(error("reading the rows"));
  auto others = journal->others();
  if (!others) return std::unexpected(others.error());
  std::move(others->begin(), others->end(), std::back_inserter(out.rows));
  return out;
}

Result<> Store::run(sqlite3_stmt* statement) {
  const int code = sqlite3_step(statement);
  if (code == SQLITE_DONE) {
    sqlite3_reset(statement);
    return {};
  }
  Error e = error("writing");
  sqlite3_reset(statement);
  return std::unexpected(std::move(e));
}

Result<> Store::write_rows(std::span<const StoredRow> rows) {
  for (const StoredRow& row : rows)
    if (auto ok = write_row(row); !ok) return ok;
  return {};
}

Result<> Store::write_row(const StoredRow& row) {
  sqlite3_stmt* statement = row.columns ? put_.get() : remove_.get();
  bind(statement, 1, row.table);
  bind(statement, 2, row.uuid);
  if (row.columns) bind(statement, 3, *row.columns);
  auto done = run(statement);
  sqlite3_clear_bindings(statement);
  return done;
}

// In WAL mode FULL syncs the whole log after each transaction, NORMAL only before a checkpoint
// (sqlite.org/pragma.html).
Result<> Store::set_sync(Sync sync) {
  if (sync == sync_) return {};
  if (auto ok = execute(sync == Sync::now ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=NORMAL"); !ok) return ok;
  sync_ = sync;
  return {};
}

template <typename Work>
Result<> Store::transact(Sync sync, Work&& work) {
  if (auto ok = set_sync(sync); !ok) return ok;
  if (auto ok = run(begin_.get()); !ok) return ok;
  if (sync == Sync::now) log_->reach_ahead();
  auto done = work();
  if (done) done = run(commit_.get());
  if (!done && sqlite3_get_autocommit(db_) == 0) sqlite3_exec(db_, "ROLLBACK", nullptr, nullptr, nullptr);
  if (done) sync == Sync::now ? log_->synced() : log_->written();
  return done;
}

Result<> Store::append(const std::string& entry, Sync sync) {
  if (entry.empty()) return sync == Sync::now ? log_->sync() : Result<>{};
  auto done = transact(sync, [&] {
    bind(append_.get(), 1, entry);
    auto appended = run(append_.get());
    sqlite3_clear_bindings(append_.get());
    return appended;
  });
  if (done) journal_bytes_ += entry.size();
  return done;
}

Result<> Store::fold(std::span<const StoredRow> rows, Sync sync) {
  auto done = transact(sync, [&]() -> Result<> {
    if (auto ok = execute("DELETE FROM journal"); !ok) return ok;
    return write_rows(rows);
  });
  if (done) begin_journal();
  return done;
}

void Store::make_room() { sqlite3_wal_checkpoint_v2(db_, nullptr, SQLITE_CHECKPOINT_PASSIVE, nullptr, nullptr); }

void Store::begin_journal() {
  journal_bytes_ = 0;
  fold_at_ = kJournalBytes;
}

Result<> Store::replace(const std::string& schema, std::span<const StoredRow> rows) {
  auto done = transact(Sync::now, [&]() -> Result<> {
    for (const char* sql : {"DELETE FROM rows", "DELETE FROM journal"})
      if (auto ok = execute(sql); !ok) return ok;
    auto statement = prepare("INSERT OR REPLACE INTO meta(name, value) VALUES('schema', ?1)");
    if (!statement) return std::unexpected(statement.error());
    bind(statement->get(), 1, schema);
    if (auto ok = run(statement->get()); !ok) return ok;
    return write_rows(rows);
  });
  if (done) begin_journal();
  return done;
}

}  // namespace heddle::ovsdb
