// SPDX-License-Identifier: Apache-2.0
#include "ovsdb/tables.h"

namespace heddle::ovsdb {

IndexKey index_key(const Row& row, const std::vector<std::size_t>& columns) {
  IndexKey key;
  key.reserve(columns.size());
  for (const std::size_t column : columns) key.push_back(row.at(column));
  return key;
}

Tables::Tables(const Schema& schema) : tables_(schema.tables().size()) {
  for (const auto& [name, table] : schema.tables()) tables_[table.index].indexes.resize(table.indexes.size());
}

RowRef Tables::find(const TableSchema& table, const Uuid& uuid) const {
  const RowMap& all = rows(table);
  const auto it = all.find(uuid);
  return it == all.end() ? nullptr : it->second;
}

std::optional<Uuid> Tables::find_index(const TableSchema& table, std::size_t index, const IndexKey& key) const {
  const auto& entries = tables_[table.index].indexes[index];
  const auto it = entries.find(key);
  return it == entries.end() ? std::nullopt : std::optional<Uuid>(it->second);
}

std::int64_t Tables::strong_refs(const RowKey& key) const {
  const auto it = strong_.find(key);
  return it == strong_.end() ? 0 : it->second;
}

std::vector<RowKey> Tables::weak_referrers(const RowKey& key) const {
  std::vector<RowKey> out;
  if (const auto it = weak_.find(key); it != weak_.end())
    for (const auto& [referrer, count] : it->second) out.push_back(referrer);
  return out;
}

void Tables::adjust(Counts& counts, const RowKey& key, std::int64_t by) {
  const auto it = counts.try_emplace(key, 0).first;
  it->second += by;
  if (it->second == 0) counts.erase(it);
}

void Tables::count_ref(const RowKey& from, const BaseType& base, const Uuid& uuid, std::int64_t sign) {
  const RowKey target{base.ref_table, uuid};
  if (base.ref_strong) {
    if (target != from) adjust(strong_, target, sign);
    return;
  }
  Counts& referrers = weak_[target];
  adjust(referrers, from, sign);
  if (referrers.empty()) weak_.erase(target);
}

void Tables::count_refs(const RowChange& change) {
  const auto count = [&](const BaseType& base, const Uuid& uuid, std::int64_t sign) {
    count_ref({change.table, change.uuid}, base, uuid, sign);
  };
  if (change.before && change.after) return for_each_moved_ref(*change.before, *change.after, count);
  const std::int64_t sign = change.after ? 1 : -1;
  for_each_ref(change.after ? *change.after : *change.before,
               [&](const BaseType& base, const Uuid& uuid) { count(base, uuid, sign); });
}

void Tables::unindex(const RowChange& change) {
  Table& table = tables_[change.table->index];
  for (std::size_t i = 0; i < table.indexes.size(); ++i)
    table.indexes[i].erase(index_key(*change.before, change.table->indexes[i]));
}

void Tables::index(const RowChange& change) {
  Table& table = tables_[change.table->index];
  for (std::size_t i = 0; i < table.indexes.size(); ++i)
    table.indexes[i].emplace(index_key(*change.after, change.table->indexes[i]), change.uuid);
}

void Tables::apply(const Change& change) {
  // All old keys are removed before new ones are added, since two rows may swap their names.
  for (const RowChange& row : change.rows) {
    count_refs(row);
    if (row.before) unindex(row);
  }
  for (const RowChange& row : change.rows) {
    RowMap& rows = tables_[row.table->index].rows;
    if (!row.after) {
      size_ -= rows.erase(row.uuid);
      continue;
    }
    index(row);
    size_ += rows.insert_or_assign(row.uuid, row.after).second ? 1 : 0;
  }
}

}  // namespace heddle::ovsdb
