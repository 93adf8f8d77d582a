// SPDX-License-Identifier: Apache-2.0
// What commits did, as text: an entry each, a line of JSON. Writing an entry costs what was changed, not what the rows
// hold: of a row that was there before only the columns that differ are named, and of a set its elements that came or
// went. Entries read in their order make of the rows before them those after them.
//
//   [[TABLE, UUID, "is", {COLUMN: VALUE, ...}],   inserted; columns at their default are left out
//    [TABLE, UUID, "changed", {COLUMN: VALUE or null for its default or {"insert": SET, "delete": SET}, ...}],
//    [TABLE, UUID, "gone"], ...]
//
// Pure functions and values. Reading does not need the schema, so that entries of another one are taken over like rows.
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

// A row as it lies in the file: `columns` is a JSON object of the columns that are not at their default.
struct StoredRow {
  std::string table;
  std::string uuid;
  std::optional<std::string> columns;  // none: the row goes, or has gone
};

StoredRow to_stored(const RowChange& change);

// Empty when nothing that is stored was changed.
std::string journal_entry(const Change& change);

// Makes rows of rows and the entries after them.
class JournalReplay {
 public:
  // Entries come in the order in which they were written. Fails when it is no entry.
  Result<> read(std::string_view entry);
  // After the last one: the rows that they name, by table and UUID.
  [[nodiscard]] std::vector<std::pair<std::string, std::string>> names() const;
  // What they make of a row that was there before them.
  Result<StoredRow> news_of(StoredRow row);
  // At the end: the rows that the entries name and news_of() was not asked about, those that have gone as such.
  Result<std::vector<StoredRow>> others() const;

 private:
  struct News {
    bool seen = false;                                 // by news_of()
    bool whole = false;                                // what was before does not matter: `columns` is all, or it went
    std::optional<Json> columns = Json::object();      // null: at its default. None: the row has gone
    std::map<std::string, std::map<Json, bool>> sets;  // elements that came (true) or went, after `columns`
  };
  static bool read_row(News& news, const Json& change);
  static bool read_columns(News& news, const Json& columns);
  static Result<StoredRow> apply(const News& news, StoredRow row);

  std::map<std::pair<std::string, std::string>, News> rows_;  // by table and UUID
};

}  // namespace heddle::ovsdb
