// SPDX-License-Identifier: Apache-2.0
// The committed rows and the data derived from them: unique indexes, counts of strong references, and the rows with
// weak references to a row. apply() is the only writer, so that the derived data always agrees with the rows.
//
// Owned by the Database and used on its thread; transactions read it and propose changes. Nothing fails.
#pragma once

#include <map>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "ovsdb/database.h"
#include "ovsdb/schema.h"

namespace heddle::ovsdb {

struct RowKey {
  const TableSchema* table = nullptr;
  Uuid uuid;
  bool operator==(const RowKey&) const = default;
};
struct RowKeyHash {
  std::size_t operator()(const RowKey& k) const noexcept { return std::hash<Uuid>{}(k.uuid) ^ k.table->index; }
};

using IndexKey = std::vector<Datum>;
IndexKey index_key(const Row& row, const std::vector<std::size_t>& columns);

// Calls visit(BaseType, Uuid) for every reference in the row's column.
template <typename Visit>
void for_each_ref(const ColumnSchema& column, const Datum& datum, Visit&& visit) {
  if (column.type.key.ref_table != nullptr)
    for (const Atom& a : datum.keys()) visit(column.type.key, std::get<Uuid>(a));
  if (column.type.value && column.type.value->ref_table != nullptr)
    for (const Atom& a : datum.values()) visit(*column.type.value, std::get<Uuid>(a));
}
template <typename Visit>
void for_each_ref(const Row& row, Visit&& visit) {
  for (const std::size_t i : row.table().ref_columns) for_each_ref(row.table().columns[i], row.at(i), visit);
}

// Calls visit(BaseType, Uuid, sign) for the references that only one of two versions of a row has: sign -1 for removed,
// 1 for added ones. Common references cost one comparison, which matters when a bridge of thousands of ports gets one
// more.
template <typename Visit>
void for_each_moved_ref(const Row& before, const Row& after, Visit&& visit) {
  for (const std::size_t i : before.table().ref_columns) {
    const ColumnSchema& column = before.table().columns[i];
    if (column.type.is_map()) {
      if (before.at(i) == after.at(i)) continue;
      for_each_ref(column, before.at(i), [&](const BaseType& base, const Uuid& uuid) { visit(base, uuid, -1); });
      for_each_ref(column, after.at(i), [&](const BaseType& base, const Uuid& uuid) { visit(base, uuid, 1); });
      continue;
    }
    for_each_difference(before.at(i), after.at(i),
                        [&](const Atom& a, int sign) { visit(column.type.key, std::get<Uuid>(a), sign); });
  }
}

class Tables {
 public:
  using RowMap = std::map<Uuid, RowRef>;

  explicit Tables(const Schema& schema);
  [[nodiscard]] const RowMap& rows(const TableSchema& table) const { return tables_[table.index].rows; }
  [[nodiscard]] RowRef find(const TableSchema& table, const Uuid& uuid) const;
  [[nodiscard]] std::optional<Uuid> find_index(const TableSchema& table, std::size_t index, const IndexKey& key) const;
  [[nodiscard]] std::size_t size() const { return size_; }
  // Number of strong references to the row from other rows.
  [[nodiscard]] std::int64_t strong_refs(const RowKey& key) const;
  [[nodiscard]] std::vector<RowKey> weak_referrers(const RowKey& key) const;

  void apply(const Change& change);

 private:
  using Counts = std::unordered_map<RowKey, std::int64_t, RowKeyHash>;
  struct Table {
    RowMap rows;
    std::vector<std::map<IndexKey, Uuid>> indexes;
  };
  static void adjust(Counts& counts, const RowKey& key, std::int64_t by);
  void count_ref(const RowKey& from, const BaseType& base, const Uuid& uuid, std::int64_t sign);
  void count_refs(const RowChange& change);
  void unindex(const RowChange& change);
  void index(const RowChange& change);

  std::vector<Table> tables_;
  std::size_t size_ = 0;
  Counts strong_;
  std::unordered_map<RowKey, Counts, RowKeyHash> weak_;  // target -> referrer -> number of references
};

}  // namespace heddle::ovsdb
