// SPDX-License-Identifier: Apache-2.0
#include "ovsdb/integrity.h"

#include <map>
#include <unordered_map>
#include <utility>

#include "ovsdb/value.h"

namespace heddle::ovsdb {

namespace {

std::string row_name(const RowKey& key) { return "table " + key.table->name + ", row " + key.uuid.to_string(); }

// References between rows: counts the change that the transaction makes to each row's number of strong references.
class References {
 public:
  explicit References(Transaction& transaction) : txn_(transaction) {}
  Expect<> enforce();

 private:
  // Counts the row's strong references and adds their targets to the suspects (rows that may be unreferenced).
  void count(const Row& row, std::int64_t sign) {
    for_each_ref(row, [&](const BaseType& base, const Uuid& uuid) { count(row, base, uuid, sign); });
  }
  void count(const Row& from, const BaseType& base, const Uuid& uuid, std::int64_t sign) {
    const RowKey target{base.ref_table, uuid};
    if (!base.ref_strong || target == RowKey{&from.table(), from.uuid()}) return;
    delta_[target] += sign;
    suspects_.push_back(target);
  }
  void count(const RowChange& change) {
    if (!change.before) return count(*change.after, 1);
    if (!change.after) return count(*change.before, -1);
    for_each_moved_ref(*change.before, *change.after, [&](const BaseType& base, const Uuid& uuid, std::int64_t sign) {
      count(*change.after, base, uuid, sign);
    });
  }
  std::int64_t strong_refs(const RowKey& key) const {
    const auto it = delta_.find(key);
    return txn_.committed().strong_refs(key) + (it == delta_.end() ? 0 : it->second);
  }
  Expect<> collect_garbage();
  Expect<> drop_dead_weak_refs();
  Expect<> clean_row(const RowKey& key);
  Expect<> check_strong() const;
  std::string somebody_referring_to(const RowKey& key) const;

  Transaction& txn_;
  std::unordered_map<RowKey, std::int64_t, RowKeyHash> delta_;
  std::vector<RowKey> suspects_;
};

Expect<> References::collect_garbage() {
  while (!suspects_.empty()) {
    const RowKey key = suspects_.back();
    suspects_.pop_back();
    if (key.table->is_root || strong_refs(key) > 0) continue;
    const RowRef row = txn_.find(key);
    if (!row) continue;
    count(*row, -1);
    if (auto erased = txn_.erase(*key.table, key.uuid); !erased) return erased;
  }
  return {};
}

// Removes elements with a weak reference to a missing row from the row's columns.
Expect<> References::clean_row(const RowKey& key) {
  const RowRef row = txn_.find(key);
  if (!row) return {};
  const auto dead = [&](const BaseType& base, const Atom& atom) {
    return base.is_weak_ref() && !txn_.find(*base.ref_table, std::get<Uuid>(atom));
  };
  std::map<std::size_t, Datum> cleaned;
  for (const std::size_t i : key.table->ref_columns) {
    const ColumnType& type = key.table->columns[i].type;
    const Datum& datum = row->at(i);
    std::vector<Atom> keys;
    std::vector<Atom> values;
    for (std::size_t n = 0; n < datum.size(); ++n) {
      if (dead(type.key, datum.keys()[n]) || (type.value && dead(*type.value, datum.values()[n]))) continue;
      keys.push_back(datum.keys()[n]);
      if (datum.is_map()) values.push_back(datum.values()[n]);
    }
    if (keys.size() != datum.size()) cleaned.emplace(i, Datum::of_pairs(std::move(keys), std::move(values)));
  }
  if (cleaned.empty()) return {};
  count(*row, -1);  // a map may pair a weak reference with a strong one
  auto edited = txn_.edit(*key.table, key.uuid);
  if (!edited) return std::unexpected(edited.error());
  for (auto& [column, datum] : cleaned) (*edited)->edit(column) = std::move(datum);
  count(**edited, 1);
  return {};
}

Expect<> References::drop_dead_weak_refs() {
  for (const RowChange& change : txn_.changes()) {
    const RowKey key{change.table, change.uuid};
    if (change.after) {
      if (auto done = clean_row(key); !done) return done;
      continue;
    }
    for (const RowKey& referrer : txn_.committed().weak_referrers(key))
      if (auto done = clean_row(referrer); !done) return done;
  }
  return {};
}

// For the error text only: searches the whole database.
std::string References::somebody_referring_to(const RowKey& key) const {
  for (const auto& [name, table] : txn_.schema().tables()) {
    for (const RowRef& row : table.ref_columns.empty() ? std::vector<RowRef>{} : txn_.select(table, nullptr)) {
      for (const std::size_t i : table.ref_columns) {
        bool found = false;
        for_each_ref(table.columns[i], row->at(i), [&](const BaseType& base, const Uuid& uuid) {
          found = found || (base.ref_strong && RowKey{base.ref_table, uuid} == key);
        });
        if (found) return row_name({&table, row->uuid()}) + ", column " + table.columns[i].name;
      }
    }
  }
  return "a row";
}

Expect<> References::check_strong() const {
  const auto check = [&](const RowKey& key) -> Expect<> {
    if (strong_refs(key) <= 0 || txn_.find(key)) return {};
    const bool existed = txn_.committed().find(*key.table, key.uuid) != nullptr;
    return failure("referential integrity violation",
                   somebody_referring_to(key) + " refers to " + row_name(key) +
                       (existed ? ", which would be deleted" : ", which does not exist"));
  };
  for (const auto& [key, change] : delta_)
    if (auto ok = check(key); !ok) return ok;
  for (const RowChange& change : txn_.changes())
    if (auto ok = change.after ? Expect<>{} : check({change.table, change.uuid}); !ok) return ok;
  return {};
}

Expect<> References::enforce() {
  for (const RowChange& change : txn_.changes()) {
    count(change);
    suspects_.push_back({change.table, change.uuid});
  }
  // Before the garbage collection, so that the references of rows that it will delete are checked too, as in
  // ovsdb-server. The collection deletes unreferenced rows only, so it leaves no dangling reference.
  if (auto ok = check_strong(); !ok) return ok;
  do {
    if (auto done = collect_garbage(); !done) return done;
    if (auto done = drop_dead_weak_refs(); !done) return done;
  } while (!suspects_.empty());
  return {};
}

Expect<> check_sizes(const std::vector<RowChange>& changes) {
  for (const RowChange& change : changes) {
    if (!change.after) continue;
    for (const ColumnSchema& column : change.table->columns) {
      if (change.before && change.before->at(column.index) == change.after->at(column.index)) continue;
      if (auto ok = check_size(column.type, change.after->at(column.index)); !ok)
        return at_place(row_name({change.table, change.uuid}) + ", column " + column.name, ok.error());
    }
  }
  return {};
}

Expect<> check_row_counts(const Transaction& txn, const std::vector<RowChange>& changes) {
  std::map<const TableSchema*, std::int64_t> growth;
  std::int64_t total = static_cast<std::int64_t>(txn.committed().size());
  for (const RowChange& change : changes) {
    const int by = (change.after ? 1 : 0) - (change.before ? 1 : 0);
    growth[change.table] += by;
    total += by;
  }
  for (const auto& [table, by] : growth) {
    const auto rows = static_cast<std::uint64_t>(static_cast<std::int64_t>(txn.committed().rows(*table).size()) + by);
    if (by > 0 && rows > table->max_rows)
      return failure("constraint violation", "table " + table->name + " would hold " + std::to_string(rows) +
                                                 " rows; the schema allows " + std::to_string(table->max_rows));
  }
  if (total > static_cast<std::int64_t>(limits::kDatabaseRows))
    return failure("resources exhausted",
                   "the database may hold " + std::to_string(limits::kDatabaseRows) + " rows at most");
  return {};
}

std::string index_text(const TableSchema& table, const std::vector<std::size_t>& columns, const Row& row) {
  std::string text;
  for (const std::size_t i : columns) {
    const ColumnSchema& column = table.columns[i];
    text += (text.empty() ? "" : ", ") + column.name + "=" + dump_brief(datum_to_json(column.type, row.at(i)));
  }
  return text;
}

Expect<> check_indexes(const Transaction& txn, const std::vector<RowChange>& changes) {
  std::map<std::pair<const TableSchema*, std::size_t>, std::map<IndexKey, Uuid>> added;
  for (const RowChange& change : changes) {
    if (!change.after) continue;
    for (std::size_t i = 0; i < change.table->indexes.size(); ++i) {
      const auto& columns = change.table->indexes[i];
      IndexKey key = index_key(*change.after, columns);
      std::optional<Uuid> holder = txn.committed().find_index(*change.table, i, key);
      if (holder == change.uuid) holder.reset();
      if (holder) {  // no conflict when this transaction changes the holder's value
        const RowRef other = txn.find(*change.table, *holder);
        if (!other || index_key(*other, columns) != key) holder.reset();
      }
      const auto [it, first] = added[{change.table, i}].try_emplace(std::move(key), change.uuid);
      if (!first) holder = it->second;
      if (holder)
        return failure("constraint violation", "table " + change.table->name + ": rows " + holder->to_string() +
                                                   " and " + change.uuid.to_string() + " would both have " +
                                                   index_text(*change.table, columns, *change.after));
    }
  }
  return {};
}

}  // namespace

Expect<> enforce_integrity(Transaction& transaction) {
  transaction.normalize();
  if (auto ok = References(transaction).enforce(); !ok) return ok;
  transaction.normalize();
  const auto changes = transaction.changes();
  if (auto ok = check_sizes(changes); !ok) return ok;
  if (auto ok = check_row_counts(transaction, changes); !ok) return ok;
  return check_indexes(transaction, changes);
}

}  // namespace heddle::ovsdb
