// SPDX-License-Identifier: Apache-2.0
#include "cli/catalog.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>

namespace heddle::cli {
namespace {

std::string fold(std::string_view word) {
  std::string out(word);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    if (c == '-') c = '_';
  }
  return out;
}

// Selects the name that equals `word`, or the only name that begins with it.
Result<std::string> pick(std::string_view word, const std::vector<std::string>& names, const std::string& kind) {
  const std::string wanted = fold(word);
  std::vector<std::string> begun;
  for (const auto& name : names) {
    if (fold(name) == wanted) return name;
    if (!wanted.empty() && fold(name).starts_with(wanted)) begun.push_back(name);
  }
  if (begun.size() == 1) return begun.front();
  std::string list;
  const auto& shown = begun.empty() ? names : begun;
  for (const auto& name : shown) list += (list.empty() ? "" : ", ") + name;
  if (begun.empty())
    return fail(Errc::not_found, fmt::format("no {} is called \"{}\"; there are: {}", kind, word, list));
  return fail(Errc::not_found, fmt::format("\"{}\" may be more than one {}: {}", word, kind, list));
}

}  // namespace

Result<const TableSchema*> Catalog::table(std::string_view word) const {
  std::vector<std::string> names;
  for (const auto& [name, table] : schema_->tables()) names.push_back(name);
  auto name = pick(word, names, "table");
  if (!name) return std::unexpected(name.error());
  return schema_->find(*name);
}

Result<const ColumnSchema*> Catalog::column(const TableSchema& table, std::string_view word) {
  std::vector<std::string> names;
  for (const auto* column : columns(table)) names.push_back(column->name);
  auto name = pick(word, names, "column of table " + table.name);
  if (!name) return std::unexpected(name.error());
  return *name == uuid_column().name ? &uuid_column() : table.find(*name);
}

Result<const TableSchema*> Catalog::need(std::string_view table) const {
  if (const auto* found = schema_->find(table)) return found;
  return fail(Errc::not_found,
              fmt::format("database {} has no table {}: it is not a switch's", schema_->name(), table));
}

const ColumnSchema& Catalog::uuid_column() {
  static const ColumnSchema column = [] {
    ColumnSchema c;
    c.name = "_uuid";
    c.type.key.type = ovsdb::AtomType::uuid;
    c.is_mutable = false;
    return c;
  }();
  return column;
}

const ColumnSchema* Catalog::name_column(const TableSchema& table) {
  for (const char* name : {"name", "target"}) {
    if (const auto* column = table.find(name)) return column;
  }
  return nullptr;
}

std::vector<const ColumnSchema*> Catalog::columns(const TableSchema& table) {
  std::vector<const ColumnSchema*> all{&uuid_column()};
  for (const auto& column : table.columns) all.push_back(&column);
  return all;
}

}  // namespace heddle::cli
