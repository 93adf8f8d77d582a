// SPDX-License-Identifier: Apache-2.0
#include "cli/model.h"

#include <fmt/format.h>

#include <algorithm>

namespace heddle::cli {
namespace {

// An <id> for a new row (RFC 7047 section 3.1): letters, digits and '_'.
std::string id_of(const Uuid& uuid) {
  std::string id = "row" + uuid.to_string();
  std::replace(id.begin(), id.end(), '-', '_');
  return id;
}

Json where_uuid(const Uuid& uuid) { return Json::array({Json::array({"_uuid", "==", plain_uuid(uuid)})}); }

Atom zero_atom(ovsdb::AtomType type) {
  switch (type) {
    case ovsdb::AtomType::integer:
      return std::int64_t{0};
    case ovsdb::AtomType::real:
      return 0.0;
    case ovsdb::AtomType::boolean:
      return false;
    case ovsdb::AtomType::string:
      return std::string();
    case ovsdb::AtomType::uuid:
      break;
  }
  return Uuid{};
}

// The value of a column that the database leaves out (RFC 7047 section 5.2.1), which may violate the column's
// constraints.
Datum zero_datum(const ovsdb::ColumnType& type) {
  if (type.min == 0) return {};
  std::vector<Atom> values;
  if (type.value) values.push_back(zero_atom(type.value->type));
  return Datum::of_pairs({zero_atom(type.key.type)}, std::move(values));
}

const ColumnSchema* column_named(const TableSchema& table, std::string_view name) {
  return name == Catalog::uuid_column().name ? &Catalog::uuid_column() : table.find(name);
}

}  // namespace

Json Model::requests(const Interest& interest) {
  Json out = Json::object();
  for (const auto& [table, columns] : interest) {
    Json names = Json::array();
    for (const auto& column : columns) {
      if (column != "_uuid") names.push_back(column);
    }
    if (names.empty()) names.push_back("_uuid");
    const Json once{{"initial", true}, {"insert", false}, {"delete", false}, {"modify", false}};
    out[table] = Json::array({Json{{"columns", std::move(names)}, {"select", once}}});
  }
  return out;
}

Result<> Model::load_record(const TableSchema& table, const std::string& uuid, const Json& row,
                            const std::set<std::string>& asked_for) {
  const auto parsed = Uuid::parse(uuid);
  const auto initial = row.find("initial");
  if (!parsed || initial == row.end() || !initial->is_object()) {
    return fail(Errc::invalid, "the database sent a record of table " + table.name + " that cannot be read");
  }
  auto record = std::make_unique<Record>();
  record->owner = this;
  record->table = &table;
  record->uuid = *parsed;
  record->asked_for = &asked_for;
  for (const auto& [name, value] : initial->items()) {
    const auto* column = table.find(name);
    if (column == nullptr) continue;
    auto datum = from_json(value, column->type);
    if (!datum) {
      return fail(Errc::invalid, fmt::format("column {} of table {}: {}", name, table.name, datum.error().text));
    }
    record->columns[name] = std::move(*datum);
  }
  auto& slot = tables_[&table][*parsed];
  slot = std::move(record);
  index_name(*slot);
  return {};
}

Result<> Model::load(const Interest& interest, const Json& updates) {
  for (const auto& [name, columns] : interest) {
    const auto table = catalog_.need(name);
    if (!table) return std::unexpected(table.error());
    const auto rows = updates.find(name);
    if (rows == updates.end()) continue;
    for (const auto& [uuid, row] : rows->items()) {
      if (auto ok = load_record(**table, uuid, row, columns); !ok) return ok;
    }
  }
  return {};
}

std::vector<Record*> Model::records(const TableSchema& table) const {
  std::vector<Record*> out;
  if (const auto it = tables_.find(&table); it != tables_.end()) {
    for (const auto& [uuid, record] : it->second) {
      if (!record->deleted) out.push_back(record.get());
    }
  }
  if (Catalog::name_column(table) != nullptr) {
    std::stable_sort(out.begin(), out.end(),
                     [&](const Record* a, const Record* b) { return name_of(*a) < name_of(*b); });
  }
  return out;
}

Record* Model::find(const TableSchema& table, const Uuid& uuid) const {
  const auto it = tables_.find(&table);
  if (it == tables_.end()) return nullptr;
  const auto row = it->second.find(uuid);
  return row == it->second.end() || row->second->deleted ? nullptr : row->second.get();
}

std::vector<Record*> Model::find_all_by_name(const TableSchema& table, const std::string& name) const {
  std::vector<Record*> out;
  if (const auto it = names_.find(&table); it != names_.end()) {
    const auto [begin, end] = it->second.equal_range(name);
    for (auto entry = begin; entry != end; ++entry) {
      if (!entry->second->deleted) out.push_back(entry->second);
    }
  }
  std::ranges::sort(out, {}, &Record::uuid);
  return out;
}

Record* Model::find_by_name(const TableSchema& table, std::string_view name) const {
  const auto found = find_all_by_name(table, std::string(name));
  return found.empty() ? nullptr : found.front();
}

void Model::index_name(Record& record) {
  const auto* column = Catalog::name_column(*record.table);
  const auto name = column == nullptr ? std::nullopt : get(record, *column).string();
  if (name) names_[record.table].emplace(*name, &record);
}

void Model::forget_name(const Record& record) {
  const auto it = names_.find(record.table);
  if (it == names_.end()) return;
  const auto [begin, end] = it->second.equal_range(name_of(record));
  const auto entry = std::find_if(begin, end, [&](const auto& e) { return e.second == &record; });
  if (entry != end) it->second.erase(entry);
}

std::optional<Datum> Model::loaded(const Record& record, const ColumnSchema& column) {
  if (const auto it = record.columns.find(column.name); it != record.columns.end()) return it->second;
  if (record.asked_for == nullptr || !record.asked_for->contains(column.name)) return std::nullopt;
  return zero_datum(column.type);
}

Datum Model::get(const Record& record, const ColumnSchema& column) const {
  if (&column == &Catalog::uuid_column()) return Datum::of(record.uuid);
  if (const auto it = record.changes.find(column.name); it != record.changes.end()) return it->second;
  if (auto value = loaded(record, column)) return *std::move(value);
  return default_datum(column.type);
}

Datum Model::get(const Record& record, std::string_view column) const {
  const auto* found = column_named(*record.table, column);
  return found == nullptr ? Datum{} : get(record, *found);
}

std::string Model::name_of(const Record& record) const {
  const auto* column = Catalog::name_column(*record.table);
  const auto name = column == nullptr ? std::nullopt : get(record, *column).string();
  return name ? *name : record.uuid.to_string();
}

Record* Model::insert(const TableSchema& table, const std::optional<Uuid>& uuid) {
  auto record = std::make_unique<Record>();
  record->owner = this;
  record->table = &table;
  record->uuid = uuid ? *uuid : Uuid::random();
  record->is_new = true;
  new_.insert(record->uuid);
  auto& slot = tables_[&table][record->uuid];
  slot = std::move(record);
  index_name(*slot);
  return slot.get();
}

void Model::set(Record& record, const ColumnSchema& column, Datum value) {
  const bool renames = &column == Catalog::name_column(*record.table);
  if (renames) record.owner->forget_name(record);
  if (loaded(record, column) == value) {
    record.changes.erase(column.name);
  } else {
    record.changes[column.name] = std::move(value);
  }
  if (renames) record.owner->index_name(record);
}

void Model::set(Record& record, std::string_view column, Datum value) {
  if (const auto* found = record.table->find(column)) set(record, *found, std::move(value));
}

void Model::rely_on(Record& record, std::string_view column) {
  if (!record.is_new) record.relied_on.insert(std::string(column));
}

std::vector<const Record*> Model::all() const {
  std::vector<const Record*> out;
  for (const auto& [table, records] : tables_) {
    for (const auto& [uuid, record] : records) out.push_back(record.get());
  }
  return out;
}

bool Model::changed() const {
  const auto records = all();
  return std::any_of(records.begin(), records.end(),
                     [](const Record* r) { return r->is_new ? !r->deleted : r->deleted || !r->changes.empty(); });
}

std::vector<const Record*> Model::changed_records() const {
  std::vector<const Record*> out;
  for (const Record* record : all()) {
    if (!record->deleted && (record->is_new || !record->changes.empty())) out.push_back(record);
  }
  return out;
}

Json Model::uuid_json(const Uuid& uuid) const {
  return new_.contains(uuid) ? Json::array({"named-uuid", id_of(uuid)}) : plain_uuid(uuid);
}

Json Model::changed_row(const Record& record) const {
  Json row = Json::object();
  for (const auto& [name, value] : record.changes) {
    const auto* column = record.table->find(name);
    if (record.is_new && value == default_datum(column->type)) continue;
    row[name] = to_json(value, column->type, [this](const Uuid& u) { return uuid_json(u); });
  }
  return row;
}

// A "wait" with timeout 0 fails the transaction unless the columns still have these values. Changes that rely on no
// value require that the record still exists, since an "update" of no row would succeed.
void Model::add_waits(const Record& record, Json& ops) const {
  const bool changes = record.deleted || !record.changes.empty();
  if (record.is_new || (!changes && record.relied_on.empty())) return;
  Json columns = Json::array();
  Json row = Json::object();
  for (const auto& name : record.relied_on) {
    const auto* column = record.table->find(name);
    const auto value = column == nullptr ? std::nullopt : loaded(record, *column);
    if (!value) continue;
    columns.push_back(name);
    row[name] = to_json(*value, column->type);
  }
  if (columns.empty()) {
    columns.push_back("_uuid");
    row["_uuid"] = plain_uuid(record.uuid);
  }
  ops.push_back({{"op", "wait"},
                 {"table", record.table->name},
                 {"where", where_uuid(record.uuid)},
                 {"columns", std::move(columns)},
                 {"until", "=="},
                 {"rows", Json::array({std::move(row)})},
                 {"timeout", 0}});
}

Transaction Model::transaction() const {
  Transaction t;
  const auto records = all();
  for (const Record* r : records) add_waits(*r, t.ops);
  for (const Record* r : records) {
    if (!r->deleted || r->is_new) continue;
    t.ops.push_back({{"op", "delete"}, {"table", r->table->name}, {"where", where_uuid(r->uuid)}});
  }
  for (const Record* r : records) {
    if (!r->is_new || r->deleted) continue;
    t.inserts.emplace_back(t.ops.size(), r->uuid);
    t.ops.push_back(
        {{"op", "insert"}, {"table", r->table->name}, {"row", changed_row(*r)}, {"uuid-name", id_of(r->uuid)}});
    if (r->keeps_uuid) t.ops.back()["uuid"] = r->uuid.to_string();  // ovsdb-server(7): an extension of RFC 7047
  }
  for (const Record* r : records) {
    if (r->is_new || r->deleted || r->changes.empty()) continue;
    t.ops.push_back(
        {{"op", "update"}, {"table", r->table->name}, {"where", where_uuid(r->uuid)}, {"row", changed_row(*r)}});
  }
  return t;
}

}  // namespace heddle::cli
