// SPDX-License-Identifier: Apache-2.0
#include "ovsdb/transaction.h"

#include <algorithm>
#include <optional>

#include "ovsdb/condition.h"

namespace heddle::ovsdb {

namespace {

bool same_columns(const Row& a, const Row& b) {
  const auto& columns = a.table().columns;
  return std::all_of(columns.begin(), columns.end(),
                     [&](const ColumnSchema& c) { return a.at(c.index) == b.at(c.index); });
}

// The index's key of every row that meets the condition; nothing: the condition leaves a column of it open.
std::optional<IndexKey> required_key(const Condition& condition, const std::vector<std::size_t>& columns) {
  IndexKey key;
  for (const std::size_t column : columns) {
    const Datum* value = condition.equal_to(column);
    if (value == nullptr) return std::nullopt;
    key.push_back(*value);
  }
  return key;
}

bool by_uuid(const RowRef& a, const RowRef& b) { return a->uuid() < b->uuid(); }

}  // namespace

Transaction::Transaction(const Schema& schema, const Tables& tables)
    : schema_(schema), tables_(tables), overlays_(schema.tables().size()) {}

RowRef Transaction::find(const TableSchema& table, const Uuid& uuid) const {
  const Overlay& overlay = overlays_[table.index];
  const auto it = overlay.find(uuid);
  return it != overlay.end() ? it->second.after : tables_.find(table, uuid);
}

std::vector<RowRef> Transaction::select(const TableSchema& table, const Condition* condition) const {
  std::vector<RowRef> out;
  const auto take = [&](const RowRef& row) {
    if (row && (condition == nullptr || condition->matches(*row))) out.push_back(row);
  };
  if (condition != nullptr) {
    if (const auto uuid = condition->only_uuid()) {
      take(find(table, *uuid));
      return out;
    }
    for (std::size_t i = 0; i < table.indexes.size(); ++i) {
      const auto key = required_key(*condition, table.indexes[i]);
      if (!key) continue;
      // The committed row that the index names, and what this transaction has made of others.
      const Overlay& overlay = overlays_[table.index];
      if (const auto uuid = tables_.find_index(table, i, *key); uuid && !overlay.contains(*uuid))
        take(tables_.find(table, *uuid));
      for (const auto& [uuid, pending] : overlay) take(pending.after);
      std::sort(out.begin(), out.end(), by_uuid);
      return out;
    }
  }
  const Overlay& overlay = overlays_[table.index];
  for (const auto& [uuid, row] : tables_.rows(table))
    if (!overlay.contains(uuid)) take(row);
  if (overlay.empty()) return out;
  for (const auto& [uuid, pending] : overlay) take(pending.after);
  std::sort(out.begin(), out.end(), by_uuid);
  return out;
}

Expect<Transaction::Pending*> Transaction::touch(const TableSchema& table, const Uuid& uuid) {
  const auto [it, added] = overlays_[table.index].try_emplace(uuid);
  if (added) {
    if (++touched_ > limits::kTransactionRows)
      return failure("resources exhausted",
                     "a transaction may change " + std::to_string(limits::kTransactionRows) + " rows at most");
    it->second.before = tables_.find(table, uuid);
  }
  return &it->second;
}

Expect<Row*> Transaction::insert(const TableSchema& table, const Uuid& uuid) {
  auto pending = touch(table, uuid);
  if (!pending) return std::unexpected(pending.error());
  (*pending)->after = std::make_shared<Row>(table, uuid);
  (*pending)->after->set_version(Uuid::random());
  return (*pending)->after.get();
}

Expect<Row*> Transaction::edit(const TableSchema& table, const Uuid& uuid) {
  auto pending = touch(table, uuid);
  if (!pending) return std::unexpected(pending.error());
  Pending& p = **pending;
  // A version that a caller of find() or select() still holds must not change.
  if (!p.after)
    p.after = std::make_shared<Row>(*p.before);
  else if (p.after.use_count() > 1)
    p.after = std::make_shared<Row>(*p.after);
  return p.after.get();
}

Expect<> Transaction::erase(const TableSchema& table, const Uuid& uuid) {
  auto pending = touch(table, uuid);
  if (!pending) return std::unexpected(pending.error());
  (*pending)->after.reset();
  return {};
}

void Transaction::normalize() {
  for (const auto& [name, table] : schema_.tables()) {
    Overlay& overlay = overlays_[table.index];
    for (auto it = overlay.begin(); it != overlay.end();) {
      Pending& p = it->second;
      const bool nothing = p.before && p.after ? same_columns(*p.before, *p.after) : !p.before && !p.after;
      if (nothing) {
        it = overlay.erase(it);
        continue;
      }
      if (p.before && p.after && p.after->version() == p.before->version()) p.after->set_version(Uuid::random());
      ++it;
    }
  }
}

std::vector<RowChange> Transaction::changes() const {
  std::vector<RowChange> out;
  for (const auto& [name, table] : schema_.tables())
    for (const auto& [uuid, p] : overlays_[table.index])
      if (p.before || p.after) out.push_back({&table, uuid, p.before, p.after});
  return out;
}

}  // namespace heddle::ovsdb
