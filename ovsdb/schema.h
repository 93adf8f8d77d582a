// SPDX-License-Identifier: Apache-2.0
// A database schema (RFC 7047 section 3.2), read once from JSON and then constant.
//
// A Schema owns its tables, columns and types; pointers to them are valid as long as the Schema lives. Constant, so any
// thread may read. parse() fails for a wrong schema, with the place and the rule; nothing else fails.
#pragma once

#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "ovsdb/datum.h"
#include "ovsdb/json.h"

namespace heddle::ovsdb {

// ColumnSchema::index of "_uuid" and "_version", which every row has and no TableSchema lists.
inline constexpr std::size_t kUuidColumn = std::numeric_limits<std::size_t>::max();
inline constexpr std::size_t kVersionColumn = kUuidColumn - 1;

enum class AtomType : std::uint8_t { integer, real, boolean, string, uuid };
std::string_view atom_type_name(AtomType type);

struct TableSchema;

// <base-type>: the type and constraints of one atom.
struct BaseType {
  AtomType type = AtomType::string;
  std::optional<Datum> choices;  // "enum"
  std::int64_t min_integer = std::numeric_limits<std::int64_t>::min();
  std::int64_t max_integer = std::numeric_limits<std::int64_t>::max();
  double min_real = std::numeric_limits<double>::lowest();
  double max_real = std::numeric_limits<double>::max();
  std::uint64_t min_length = 0;  // in characters
  std::uint64_t max_length = std::numeric_limits<std::uint64_t>::max();
  std::string ref_table_name;
  const TableSchema* ref_table = nullptr;
  bool ref_strong = true;

  [[nodiscard]] bool is_strong_ref() const { return ref_table != nullptr && ref_strong; }
  [[nodiscard]] bool is_weak_ref() const { return ref_table != nullptr && !ref_strong; }
};

// <type>: the number of elements, and whether they are atoms or pairs.
struct ColumnType {
  static constexpr std::uint64_t kUnlimited = std::numeric_limits<std::uint64_t>::max();
  BaseType key;
  std::optional<BaseType> value;  // maps only
  std::uint64_t min = 1;          // 0 or 1
  std::uint64_t max = 1;

  [[nodiscard]] bool is_map() const { return value.has_value(); }
  [[nodiscard]] bool is_scalar() const { return !value && min == 1 && max == 1; }
  [[nodiscard]] bool has_refs() const { return key.ref_table != nullptr || (value && value->ref_table != nullptr); }
};

struct ColumnSchema {
  std::string name;
  std::size_t index = 0;  // position in TableSchema::columns
  ColumnType type;
  bool ephemeral = false;
  bool is_mutable = true;
};

struct TableSchema {
  std::string name;
  std::size_t index = 0;                          // position among the tables, in order of their names
  std::vector<ColumnSchema> columns;              // in order of their names; without _uuid and _version
  std::vector<std::size_t> ref_columns;           // columns that may hold references
  std::vector<std::vector<std::size_t>> indexes;  // columns that are unique together
  std::uint64_t max_rows = std::numeric_limits<std::uint64_t>::max();
  bool is_root = true;

  [[nodiscard]] const ColumnSchema* find(std::string_view column) const;
  // The same, with "_uuid" and "_version".
  [[nodiscard]] const ColumnSchema* find_any(std::string_view column) const;
};

class Schema {
 public:
  static Result<std::unique_ptr<const Schema>> parse(std::string_view json);
  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] const std::string& version() const { return version_; }
  // The parsed text: the result of get_schema.
  [[nodiscard]] const Json& json() const { return json_; }
  [[nodiscard]] const std::map<std::string, TableSchema, std::less<>>& tables() const { return tables_; }
  [[nodiscard]] const TableSchema* find(std::string_view table) const;

 private:
  Result<> link();  // resolves refTable and numbers the tables

  std::string name_;
  std::string version_;
  Json json_;
  std::map<std::string, TableSchema, std::less<>> tables_;
};

}  // namespace heddle::ovsdb
