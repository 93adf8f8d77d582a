// SPDX-License-Identifier: Apache-2.0
// The journal's entries: one line of JSON for each commit. The cost of an entry is proportional to the change, not to
// the rows: for an existing row it has only the changed columns, for a set only the added and removed elements. Applied
// in order to the rows before them, the entries give the rows after them.
//
//   [[TABLE, UUID, "is", {COLUMN: VALUE, ...}],   inserted; columns at their default are left out
//    [TABLE, UUID, "changed", {COLUMN: VALUE or null for its default or {"insert": SET, "delete": SET}, ...}],
//    [TABLE, UUID, "gone"], ...]
//
// Pure functions and values; errors are unreadable entries. Reading does not need the schema, so that entries of an
// older schema are converted as rows are (loader.h).
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "ovsdb/database.h"
#include "ovsdb/json.h"

namespace heddle::ovsdb {

// A row as stored in the file: `columns` is a JSON object of the columns that are not at their default.
struct StoredRow {
  std::string table;
  std::string uuid;
  std::optional<std::string> columns;  // none: the row is to be deleted, or was deleted
};

StoredRow to_stored(const RowChange& change);

// Empty when no stored column was changed.
std::string journal_entry(const Change& change);

// Applies journal entries to stored rows: read() all entries, news_of() for each stored row, then others().
class JournalReplay {
 public:
  // Entries must come in the order in which they were written. Fails for an unreadable entry.
  Result<> read(std::string_view entry);
  // After the last entry: the rows in the entries, by table and UUID.
  [[nodiscard]] std::vector<std::pair<std::string, std::string>> names() const;
  // The stored row with the entries applied.
  Result<StoredRow> news_of(StoredRow row);
  // At the end: the rows in the entries for which news_of() was not called, deleted ones without `columns`.
  Result<std::vector<StoredRow>> others() const;

 private:
  struct News {
    bool seen = false;                                 // news_of() was called
    bool whole = false;                                // inserted or deleted: the stored row does not matter
    std::optional<Json> columns = Json::object();      // a null value: the default. None: the row was deleted
    std::map<std::string, std::map<Json, bool>> sets;  // elements added (true) or removed, applied after `columns`
  };
  static bool read_row(News& news, const Json& change);
  static bool read_columns(News& news, const Json& columns);
  static Result<StoredRow> apply(const News& news, StoredRow row);

  std::map<std::pair<std::string, std::string>, News> rows_;  // by table and UUID
};

}  // namespace heddle::ovsdb
