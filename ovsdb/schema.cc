// SPDX-License-Identifier: Apache-2.0
#include "ovsdb/schema.h"

#include <algorithm>
#include <array>
#include <initializer_list>

#include "ovsdb/value.h"

namespace heddle::ovsdb {

namespace {

constexpr std::array<std::string_view, 5> kTypeNames{"integer", "real", "boolean", "string", "uuid"};

// Reads one JSON object of the schema; keeps the first error, and refuses unknown members.
class Reader {
 public:
  Reader(const Json& json, std::string place) : json_(json), place_(std::move(place)) {
    if (!json_.is_object()) complain("must be an object");
  }
  [[nodiscard]] bool ok() const { return error_.empty(); }
  [[nodiscard]] const std::string& error() const { return error_; }
  [[nodiscard]] const std::string& place() const { return place_; }
  void complain(const std::string& what) {
    if (error_.empty()) error_ = "schema: " + place_ + " " + what;
  }
  void adopt(const std::string& error) {
    if (error_.empty()) error_ = error;
  }
  // The member, or null when it is missing.
  const Json* member(const char* name) {
    if (!json_.is_object()) return nullptr;
    const auto it = json_.find(name);
    if (it == json_.end()) return nullptr;
    known_.emplace_back(name);
    return &*it;
  }
  std::optional<std::string> string(const char* name) {
    const Json* m = member(name);
    if (m == nullptr) return std::nullopt;
    if (m->is_string()) return m->get<std::string>();
    complain("member \"" + std::string(name) + "\" must be a string");
    return std::nullopt;
  }
  bool boolean(const char* name, bool otherwise) {
    const Json* m = member(name);
    if (m == nullptr) return otherwise;
    if (!m->is_boolean()) complain("member \"" + std::string(name) + "\" must be true or false");
    return m->is_boolean() ? m->get<bool>() : otherwise;
  }
  template <typename T>
  void number(const char* name, T& out) {
    const Json* m = member(name);
    if (m == nullptr) return;
    const bool fits = std::is_floating_point_v<T> ? m->is_number()
                      : std::is_unsigned_v<T>     ? m->is_number_unsigned()
                                                  : m->is_number_integer();
    if (fits)
      out = m->get<T>();
    else
      complain("member \"" + std::string(name) + "\" must be a number that fits");
  }
  void no_others() {
    if (!json_.is_object()) return;
    for (const auto& [name, value] : json_.items())
      if (std::find(known_.begin(), known_.end(), name) == known_.end())
        complain("has an unknown member \"" + name + "\"");
  }

 private:
  const Json& json_;
  std::string place_;
  std::string error_;
  std::vector<std::string> known_;
};

AtomType atom_type(Reader& in, const std::string& name) {
  const auto it = std::find(kTypeNames.begin(), kTypeNames.end(), name);
  if (it != kTypeNames.end()) return static_cast<AtomType>(it - kTypeNames.begin());
  in.complain("has the unknown type \"" + name + "\"");
  return AtomType::string;
}

void read_enum(Reader& in, BaseType& base) {
  const Json* list = in.member("enum");
  if (list == nullptr) return;
  ColumnType type;
  type.key.type = base.type;
  type.max = ColumnType::kUnlimited;
  auto choices = datum_from_json(type, *list, nullptr);
  if (!choices || choices->empty())
    in.complain("has a bad enum: " + (choices ? std::string("it is empty") : choices.error().details));
  else
    base.choices = std::move(*choices);
}

void read_reference(Reader& in, BaseType& base) {
  if (const auto table = in.string("refTable")) base.ref_table_name = *table;
  if (const auto kind = in.string("refType")) {
    if (*kind != "strong" && *kind != "weak") in.complain("has refType \"" + *kind + "\": not strong or weak");
    base.ref_strong = *kind != "weak";
  }
  if (!base.ref_table_name.empty() && base.type != AtomType::uuid) in.complain("has refTable but is not of type uuid");
}

BaseType read_base(Reader& parent, const Json& json, const std::string& place) {
  BaseType base;
  if (json.is_string()) {
    base.type = atom_type(parent, json.get_ref<const std::string&>());
    return base;
  }
  Reader in(json, place);
  const auto name = in.string("type");
  if (!name) in.complain("needs a member \"type\"");
  base.type = atom_type(in, name.value_or("string"));
  read_enum(in, base);
  if (base.type == AtomType::integer) {
    in.number("minInteger", base.min_integer);
    in.number("maxInteger", base.max_integer);
  } else if (base.type == AtomType::real) {
    in.number("minReal", base.min_real);
    in.number("maxReal", base.max_real);
  } else if (base.type == AtomType::string) {
    in.number("minLength", base.min_length);
    in.number("maxLength", base.max_length);
  }
  if (base.min_integer > base.max_integer || base.min_real > base.max_real || base.min_length > base.max_length)
    in.complain("has a minimum above its maximum");
  read_reference(in, base);
  in.no_others();
  parent.adopt(in.error());
  return base;
}

void read_max(Reader& in, ColumnType& type) {
  const Json* max = in.member("max");
  if (max == nullptr) return;
  if (max->is_string() && max->get_ref<const std::string&>() == "unlimited")
    type.max = ColumnType::kUnlimited;
  else if (max->is_number_unsigned() && max->get<std::uint64_t>() >= 1)
    type.max = max->get<std::uint64_t>();
  else
    in.complain("has a \"max\" that is neither a positive integer nor \"unlimited\"");
}

ColumnType read_type(Reader& parent, const Json& json) {
  ColumnType type;
  if (json.is_string()) {
    type.key = read_base(parent, json, parent.place());
    return type;
  }
  Reader in(json, parent.place() + " type");
  if (const Json* key = in.member("key"))
    type.key = read_base(in, *key, in.place() + " key");
  else
    in.complain("needs a member \"key\"");
  if (const Json* value = in.member("value")) type.value = read_base(in, *value, in.place() + " value");
  in.number("min", type.min);
  if (type.min > 1) in.complain("has a \"min\" other than 0 and 1");
  read_max(in, type);
  in.no_others();
  parent.adopt(in.error());
  return type;
}

ColumnSchema read_column(Reader& parent, const std::string& name, const Json& json) {
  ColumnSchema column;
  column.name = name;
  Reader in(json, parent.place() + " column " + name);
  if (!is_identifier(name) || name.starts_with('_')) in.complain("has a name that is not allowed");
  if (const Json* type = in.member("type"))
    column.type = read_type(in, *type);
  else
    in.complain("needs a member \"type\"");
  column.ephemeral = in.boolean("ephemeral", false);
  column.is_mutable = in.boolean("mutable", true);
  in.no_others();
  parent.adopt(in.error());
  return column;
}

void read_indexes(Reader& in, TableSchema& table) {
  const Json* list = in.member("indexes");
  if (list == nullptr) return;
  if (!list->is_array()) return in.complain("member \"indexes\" must be an array of arrays of column names");
  for (const Json& names : *list) {
    std::vector<std::size_t> columns;
    for (const Json& name : names.is_array() ? names : Json::array()) {
      const ColumnSchema* column = name.is_string() ? table.find(name.get_ref<const std::string&>()) : nullptr;
      if (column == nullptr || column->ephemeral)
        return in.complain("has an index on " + dump_brief(name) + ", which is not a stored column");
      columns.push_back(column->index);
    }
    if (columns.empty()) return in.complain("has an index without columns");
    table.indexes.push_back(std::move(columns));
  }
}

TableSchema read_table(Reader& parent, const std::string& name, const Json& json) {
  TableSchema table;
  table.name = name;
  Reader in(json, "table " + name);
  if (!is_identifier(name) || name.starts_with('_')) in.complain("has a name that is not allowed");
  const Json* columns = in.member("columns");
  if (columns == nullptr || !columns->is_object() || columns->empty())
    in.complain("needs a member \"columns\" with at least one column");
  else
    for (const auto& [column, definition] : columns->items()) {
      table.columns.push_back(read_column(in, column, definition));
      table.columns.back().index = table.columns.size() - 1;
    }
  in.number("maxRows", table.max_rows);
  table.is_root = in.boolean("isRoot", false);
  read_indexes(in, table);
  in.no_others();
  parent.adopt(in.error());
  return table;
}

}  // namespace

std::string_view atom_type_name(AtomType type) { return kTypeNames.at(static_cast<std::size_t>(type)); }

const ColumnSchema* TableSchema::find(std::string_view column) const {
  const auto it = std::lower_bound(columns.begin(), columns.end(), column,
                                   [](const ColumnSchema& c, std::string_view wanted) { return c.name < wanted; });
  return it != columns.end() && it->name == column ? &*it : nullptr;
}

const ColumnSchema* TableSchema::find_any(std::string_view column) const {
  const auto hidden = [](const char* column_name, std::size_t position) {
    ColumnSchema c;
    c.name = column_name;
    c.index = position;
    c.type.key.type = AtomType::uuid;
    c.ephemeral = true;
    c.is_mutable = false;
    return c;
  };
  static const ColumnSchema uuid = hidden("_uuid", kUuidColumn);
  static const ColumnSchema version = hidden("_version", kVersionColumn);
  if (column == uuid.name) return &uuid;
  if (column == version.name) return &version;
  return find(column);
}

const TableSchema* Schema::find(std::string_view table) const {
  const auto it = tables_.find(table);
  return it == tables_.end() ? nullptr : &it->second;
}

Result<> Schema::link() {
  std::size_t next = 0;
  // A schema without root tables is older than garbage collection: all of its tables are roots (RFC 7047 section 3.2).
  const bool all_roots = std::none_of(tables_.begin(), tables_.end(), [](const auto& t) { return t.second.is_root; });
  for (auto& [name, table] : tables_) {
    table.index = next++;
    table.is_root = table.is_root || all_roots;
    for (ColumnSchema& column : table.columns) {
      for (BaseType* base : {&column.type.key, column.type.value ? &*column.type.value : nullptr}) {
        if (base == nullptr || base->ref_table_name.empty()) continue;
        base->ref_table = find(base->ref_table_name);
        if (base->ref_table == nullptr)
          return fail(Errc::invalid, "schema: table " + name + " column " + column.name + " refers to table " +
                                         base->ref_table_name + ", which does not exist");
        // An ephemeral column is empty after a restart; its strong references would no longer keep their rows.
        if (column.ephemeral && base->ref_strong)
          return fail(Errc::invalid, "schema: table " + name + " column " + column.name +
                                         " is ephemeral, so its references must be weak");
        // A weak reference changes when its row is deleted.
        if (!base->ref_strong) column.is_mutable = true;
      }
      if (column.type.has_refs()) table.ref_columns.push_back(column.index);
    }
  }
  return {};
}

Result<std::unique_ptr<const Schema>> Schema::parse(std::string_view json) {
  auto parsed = parse_json(json);
  if (!parsed) return std::unexpected(Error{parsed.error().code, "schema: " + parsed.error().text});
  auto schema = std::make_unique<Schema>();
  schema->json_ = std::move(*parsed);
  Reader in(schema->json_, "the database");
  schema->name_ = in.string("name").value_or("");
  schema->version_ = in.string("version").value_or("");
  in.member("cksum");
  if (!is_identifier(schema->name_)) in.complain("needs a \"name\" that is an identifier");
  if (schema->version_.empty()) in.complain("needs a \"version\"");
  const Json* tables = in.member("tables");
  if (tables == nullptr || !tables->is_object())
    in.complain("needs a member \"tables\"");
  else
    for (const auto& [name, definition] : tables->items())
      schema->tables_.emplace(name, read_table(in, name, definition));
  in.no_others();
  if (!in.ok()) return fail(Errc::invalid, in.error());
  if (auto linked = schema->link(); !linked) return std::unexpected(linked.error());
  return schema;
}

}  // namespace heddle::ovsdb
