// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "ovsdb/database.h"
#include "ovsdb/value.h"

namespace heddle::ovsdb {

Row::Row(const TableSchema& table, const Uuid& uuid) : table_(&table), uuid_(uuid) {
  columns_.reserve(table.columns.size());
  for (const ColumnSchema& column : table.columns) columns_.push_back(default_datum(column.type));
}

const Datum& Row::get(std::string_view column) const {
  static const Datum empty;
  const ColumnSchema* found = table_->find(column);
  return found == nullptr ? empty : columns_[found->index];
}

bool RowChange::changed(std::string_view column) const {
  return !before || !after || before->get(column) != after->get(column);
}

bool RowChange::stored() const {
  if (!before || !after) return true;
  return std::any_of(table->columns.begin(), table->columns.end(), [this](const ColumnSchema& column) {
    return !column.ephemeral && before->at(column.index) != after->at(column.index);
  });
}

}  // namespace heddle::ovsdb
