// SPDX-License-Identifier: Apache-2.0
// The database's schema as the command line names it: tables and columns by any unambiguous beginning, in any case,
// with
// '-' and '_' alike. Every table also has the column _uuid. Constant once made; any thread.
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
  // Errc::not_found: nothing or more than one thing is called so; the text lists the candidates.
  [[nodiscard]] Result<const TableSchema*> table(std::string_view word) const;
  static Result<const ColumnSchema*> column(const TableSchema& table, std::string_view word);

  // By its exact name, which this program's own code knows; Errc::not_found when the peer's schema lacks it.
  [[nodiscard]] Result<const TableSchema*> need(std::string_view table) const;

  static const ColumnSchema& uuid_column();
  // The column by which people name a table's records; null when there is none.
  static const ColumnSchema* name_column(const TableSchema& table);
  // Every column, _uuid first, the others in order of their names.
  static std::vector<const ColumnSchema*> columns(const TableSchema& table);

 private:
  std::unique_ptr<const ovsdb::Schema> schema_;
};

}  // namespace heddle::cli
