// SPDX-License-Identifier: Apache-2.0
#include "ovsdb/loader.h"

#include <algorithm>
#include <map>

#include "base/log.h"
#include "ovsdb/integrity.h"
#include "ovsdb/value.h"

namespace heddle::ovsdb {

namespace {

class Loader {
 public:
  explicit Loader(Transaction& transaction) : txn_(transaction) {}

  Result<bool> load(const std::vector<StoredRow>& stored) {
    for (const StoredRow& row : stored)
      if (auto ok = row.columns ? load_row(row) : Result<>{}; !ok) return std::unexpected(ok.error());
    while (drop_dangling()) {
    }
    const std::size_t before = txn_.changes().size();
    if (auto ok = enforce_integrity(txn_); !ok)
      return fail(Errc::invalid, "database " + txn_.schema().name() +
                                     ": the stored rows do not fit the schema: " + ok.error().details);
    for (const auto& [what, count] : dropped_)
      spdlog::warn("database {}: {} dropped from {} stored row(s)", txn_.schema().name(), what, count);
    return !dropped_.empty() || txn_.changes().size() != before;
  }

 private:
  Result<> load_row(const StoredRow& stored) {
    const TableSchema* table = txn_.schema().find(stored.table);
    if (table == nullptr) {
      ++dropped_["table " + stored.table + ", which the schema does not have,"];
      return {};
    }
    const auto uuid = Uuid::parse(stored.uuid);
    const auto columns = parse_json(*stored.columns);
    if (!uuid || !columns || !columns->is_object())
      return fail(Errc::invalid, "database " + txn_.schema().name() + ": stored row " + stored.uuid + " of table " +
                                     stored.table + " cannot be read (restore the file from a copy)");
    auto row = txn_.insert(*table, *uuid);
    if (!row) return fail(Errc::limit, row.error().details);
    for (const auto& [name, value] : columns->items()) load_column(**row, name, value);
    return {};
  }

  void load_column(Row& row, const std::string& name, const Json& value) {
    const ColumnSchema* column = row.table().find(name);
    const std::string place = "table " + row.table().name + ", column " + name;
    if (column == nullptr || column->ephemeral) {
      ++dropped_[place + ", which the schema does not store,"];
      return;
    }
    auto datum = checked_datum_from_json(column->type, value, nullptr);
    if (datum)
      row.edit(column->index) = std::move(*datum);
    else
      ++dropped_["a value that does not fit " + place + " (" + datum.error().details + ")"];
  }

  // Removes strong references to missing rows, and rows whose column would then be too small. True when a row was
  // removed.
  bool drop_dangling() {
    bool row_went = false;
    for (const RowChange& change : txn_.changes()) {
      const TableSchema& table = *change.table;
      for (const std::size_t i : table.ref_columns) {
        const ColumnSchema& column = table.columns[i];
        const RowRef row = txn_.find(table, change.uuid);
        if (!row) break;
        Datum kept = without_dangling(column, row->at(i));
        if (kept.size() == row->at(i).size()) continue;
        ++dropped_["a reference to a row that is not there, in table " + table.name + ", column " + column.name + ","];
        if (kept.size() < column.type.min) {
          row_went = txn_.erase(table, change.uuid).has_value() || row_went;
        } else if (auto edited = txn_.edit(table, change.uuid)) {
          (*edited)->edit(i) = std::move(kept);
        }
      }
    }
    return row_went;
  }

  [[nodiscard]] bool dangles(const BaseType& base, const Atom& atom) const {
    return base.is_strong_ref() && !txn_.find(*base.ref_table, std::get<Uuid>(atom));
  }
  [[nodiscard]] Datum without_dangling(const ColumnSchema& column, const Datum& datum) const {
    std::vector<Atom> keys;
    std::vector<Atom> values;
    for (std::size_t n = 0; n < datum.size(); ++n) {
      if (dangles(column.type.key, datum.keys()[n])) continue;
      if (column.type.value && dangles(*column.type.value, datum.values()[n])) continue;
      keys.push_back(datum.keys()[n]);
      if (datum.is_map()) values.push_back(datum.values()[n]);
    }
    return Datum::of_pairs(std::move(keys), std::move(values));
  }

  Transaction& txn_;
  std::map<std::string, std::size_t> dropped_;
};

}  // namespace

Result<bool> load_rows(const std::vector<StoredRow>& stored, Transaction& transaction) {
  return Loader(transaction).load(stored);
}

}  // namespace heddle::ovsdb
