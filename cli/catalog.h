// SPDX-License-Identifier: Apache-2.0
// Finds tables and columns of the database's schema by the words of a command line: any unambiguous beginning of a
// name, in any case, with '-' and '_' alike. Every table also has the column _uuid. Owns the schema; constant, so any
// thread may use it.
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "ovsdb/schema.h"

namespace heddle::cli {

using ovsdb::ColumnSchema;
using ovsdb::TableSchema;

class Catalog {
 public:
  explicit Catalog(std::unique_ptr<const ovsdb::Schema> schema) : schema_(std::move(schema)) {}

  [[nodiscard]] const ovsdb::Schema& schema() const { return *schema_; }
  // Errc::not_found: no name or several names match; the text lists the candidates.
  [[nodiscard]] Result<const TableSchema*> table(std::string_view word) const;
  static Result<const ColumnSchema*> column(const TableSchema& table, std::string_view word);

  // By its exact name, for names in vsctl's code; Errc::not_found when the peer's schema lacks the table.
  [[nodiscard]] Result<const TableSchema*> need(std::string_view table) const;

  static const ColumnSchema& uuid_column();
  // The column with the names of a table's records, or null.
  static const ColumnSchema* name_column(const TableSchema& table);
  // All columns: _uuid, then the others in order of their names.
  static std::vector<const ColumnSchema*> columns(const TableSchema& table);

 private:
  std::unique_ptr<const ovsdb::Schema> schema_;
};

}  // namespace heddle::cli
