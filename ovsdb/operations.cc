// SPDX-License-Identifier: Apache-2.0
#include "ovsdb/operations.h"

#include <algorithm>
#include <array>
#include <set>
#include <utility>

#include "base/log.h"
#include "ovsdb/condition.h"
#include "ovsdb/mutation.h"

namespace heddle::ovsdb {

namespace {

using Columns = std::vector<const ColumnSchema*>;

Json uuid_json(const Uuid& uuid) { return Json::array({"uuid", uuid.to_string()}); }

Json row_to_json(const Row& row, const Columns& columns) {
  Json out = Json::object();
  Datum scratch;
  for (const ColumnSchema* column : columns)
    out[column->name] = datum_to_json(column->type, column_value(row, *column, scratch));
  return out;
}

// The columns and values of a <row>, checked against their columns' types.
Expect<std::vector<std::pair<const ColumnSchema*, Datum>>> parse_row(const TableSchema& table, const Json& json,
                                                                     NamedUuids& names) {
  std::vector<std::pair<const ColumnSchema*, Datum>> out;
  if (!json.is_object()) return syntax_error("the row " + dump_brief(json) + " is not an object");
  for (const auto& [name, value] : json.items()) {
    auto column = column_from_json(table, Json(name));
    if (!column) return std::unexpected(column.error());
    auto datum = checked_datum_from_json((*column)->type, value, &names);
    if (!datum) return at_place("table " + table.name + ", column " + name, datum.error());
    out.emplace_back(*column, std::move(*datum));
  }
  return out;
}

}  // namespace

// Reads the members of one operation and keeps the first error.
class Operations::Members {
 public:
  Members(const Json& json, const Schema& schema) : json_(json), schema_(schema) { known_.insert("op"); }

  const Json* optional(const char* name, bool (Json::*is)() const noexcept, const char* what) {
    known_.insert(name);
    const auto it = json_.find(name);
    if (it == json_.end()) return nullptr;
    if (!((*it).*is)()) return complain("member \"" + std::string(name) + "\" must be " + what);
    return &*it;
  }
  const Json* required(const char* name, bool (Json::*is)() const noexcept, const char* what) {
    if (!json_.contains(name)) return complain("member \"" + std::string(name) + "\" is missing");
    return optional(name, is, what);
  }
  const Json* array(const char* name) { return required(name, &Json::is_array, "an array"); }
  const Json* string(const char* name) { return required(name, &Json::is_string, "a string"); }
  const TableSchema* table() {
    const Json* name = string("table");
    if (name == nullptr) return nullptr;
    const TableSchema* found = schema_.find(name->get_ref<const std::string&>());
    if (found == nullptr && !failure_)
      failure_ = Failure{"unknown table", "there is no table " + dump_brief(*name) + " in " + schema_.name()};
    return found;
  }
  // To be called last. Fails with the first error, or for an unknown member.
  Expect<> done() {
    for (const auto& [name, value] : json_.items())
      if (!known_.contains(name)) complain("member " + dump_brief(Json(name)) + " does not belong here");
    if (failure_) return std::unexpected(*failure_);
    return {};
  }

 private:
  const Json* complain(const std::string& what) {
    if (!failure_) failure_ = Failure{"syntax error", what};
    return nullptr;
  }

  const Json& json_;
  const Schema& schema_;
  std::set<std::string, std::less<>> known_;
  std::optional<Failure> failure_;
};

namespace {

Expect<Columns> parse_columns(const TableSchema& table, const Json* json, bool with_hidden) {
  Columns out;
  if (json == nullptr) {
    for (const ColumnSchema& column : table.columns) out.push_back(&column);
    if (with_hidden) {
      out.push_back(table.find_any("_uuid"));
      out.push_back(table.find_any("_version"));
    }
    return out;
  }
  for (const Json& name : *json) {
    auto column = column_from_json(table, name);
    if (!column) return std::unexpected(column.error());
    if (std::find(out.begin(), out.end(), *column) != out.end())
      return syntax_error("table " + table.name + ": column " + (*column)->name + " is asked for twice");
    out.push_back(*column);
  }
  return out;
}

}  // namespace

// The new row's UUID: the client's ("uuid", an Open vSwitch extension), or a random one.
Expect<Uuid> Operations::new_uuid(const TableSchema& table, const Json* wanted, const Json* name) {
  std::optional<Uuid> uuid;
  if (wanted != nullptr) {
    uuid = Uuid::parse(wanted->get_ref<const std::string&>());
    if (!uuid) return syntax_error("uuid " + dump_brief(*wanted) + " is not a UUID");
    if (transaction_.knows(table, *uuid))
      return failure("duplicate uuid", "table " + table.name + " has a row " + uuid->to_string() +
                                           ", or had it before this transaction deleted it");
  }
  if (name == nullptr) return uuid ? *uuid : Uuid::random();
  if (!is_identifier(name->get_ref<const std::string&>()))
    return syntax_error("uuid-name " + dump_brief(*name) + " is not an identifier");
  return names_.define(name->get<std::string>(), uuid);
}

Expect<Json> Operations::insert(Members& in) {
  const TableSchema* table = in.table();
  const Json* row = in.required("row", &Json::is_object, "an object");
  const Json* name = in.optional("uuid-name", &Json::is_string, "a string");
  const Json* wanted = in.optional("uuid", &Json::is_string, "a string");
  if (auto ok = in.done(); !ok) return std::unexpected(ok.error());

  const auto uuid = new_uuid(*table, wanted, name);
  if (!uuid) return std::unexpected(uuid.error());
  auto values = parse_row(*table, *row, names_);
  if (!values) return std::unexpected(values.error());
  auto inserted = transaction_.insert(*table, *uuid);
  if (!inserted) return std::unexpected(inserted.error());
  for (auto& [column, datum] : *values) {
    if (column->index >= table->columns.size())
      return failure("constraint violation",
                     "table " + table->name + ", column " + column->name + ": it cannot be set");
    (*inserted)->edit(column->index) = std::move(datum);
  }
  return Json{{"uuid", uuid_json(*uuid)}};
}

Expect<Json> Operations::select(Members& in) {
  const TableSchema* table = in.table();
  const Json* where = in.array("where");
  const Json* names = in.optional("columns", &Json::is_array, "an array");
  if (auto ok = in.done(); !ok) return std::unexpected(ok.error());
  auto condition = Condition::parse(*table, *where, &names_);
  if (!condition) return std::unexpected(condition.error());
  auto columns = parse_columns(*table, names, true);
  if (!columns) return std::unexpected(columns.error());

  Json rows = Json::array();
  for (const RowRef& row : transaction_.select(*table, &*condition)) rows.push_back(row_to_json(*row, *columns));
  return Json{{"rows", std::move(rows)}};
}

Expect<Json> Operations::update(Members& in) {
  const TableSchema* table = in.table();
  const Json* where = in.array("where");
  const Json* row = in.required("row", &Json::is_object, "an object");
  if (auto ok = in.done(); !ok) return std::unexpected(ok.error());
  auto condition = Condition::parse(*table, *where, &names_);
  if (!condition) return std::unexpected(condition.error());
  auto values = parse_row(*table, *row, names_);
  if (!values) return std::unexpected(values.error());
  for (const auto& [column, datum] : *values)
    if (!column->is_mutable)
      return failure("constraint violation",
                     "table " + table->name + ", column " + column->name + ": it cannot be changed after the insert");

  const auto rows = transaction_.select(*table, &*condition);
  for (const RowRef& found : rows) {
    auto edited = transaction_.edit(*table, found->uuid());
    if (!edited) return std::unexpected(edited.error());
    for (const auto& [column, datum] : *values) (*edited)->edit(column->index) = datum;
  }
  return Json{{"count", rows.size()}};
}

Expect<Json> Operations::mutate(Members& in) {
  const TableSchema* table = in.table();
  const Json* where = in.array("where");
  const Json* list = in.array("mutations");
  if (auto ok = in.done(); !ok) return std::unexpected(ok.error());
  auto condition = Condition::parse(*table, *where, &names_);
  if (!condition) return std::unexpected(condition.error());
  auto mutations = Mutations::parse(*table, *list, names_);
  if (!mutations) return std::unexpected(mutations.error());

  const auto rows = transaction_.select(*table, &*condition);
  for (const RowRef& found : rows) {
    auto edited = transaction_.edit(*table, found->uuid());
    if (!edited) return std::unexpected(edited.error());
    if (auto ok = mutations->apply(**edited); !ok) return std::unexpected(ok.error());
  }
  return Json{{"count", rows.size()}};
}

Expect<Json> Operations::erase(Members& in) {
  const TableSchema* table = in.table();
  const Json* where = in.array("where");
  if (auto ok = in.done(); !ok) return std::unexpected(ok.error());
  auto condition = Condition::parse(*table, *where, &names_);
  if (!condition) return std::unexpected(condition.error());

  const auto rows = transaction_.select(*table, &*condition);
  for (const RowRef& row : rows)
    if (auto erased = transaction_.erase(*table, row->uuid()); !erased) return std::unexpected(erased.error());
  return Json{{"count", rows.size()}};
}

namespace {

// A set of rows, each reduced to the compared columns.
using RowSet = std::set<std::vector<Datum>>;

Expect<RowSet> parse_expected(const TableSchema& table, const Columns& columns, const Json& rows, NamedUuids& names) {
  RowSet out;
  for (const Json& json : rows) {
    auto values = parse_row(table, json, names);
    if (!values) return std::unexpected(values.error());
    std::vector<Datum> row;
    for (const ColumnSchema* column : columns) {
      const auto given = std::find_if(values->begin(), values->end(), [&](const auto& v) { return v.first == column; });
      row.push_back(given != values->end() ? given->second : default_datum(column->type));
    }
    out.insert(std::move(row));
  }
  return out;
}

Expect<std::optional<Duration>> parse_timeout(const Json* json) {
  if (json == nullptr) return std::nullopt;
  if (!json->is_number_unsigned())
    return syntax_error("timeout " + dump_brief(*json) + " is not a number of milliseconds, 0 or more");
  // At most a year, so that sums with it do not overflow.
  const auto ms = std::min<std::uint64_t>(json->get<std::uint64_t>(), std::uint64_t{366} * 24 * 3600 * 1000);
  return std::chrono::milliseconds(ms);
}

}  // namespace

Expect<Json> Operations::wait(Members& in) {
  const TableSchema* table = in.table();
  const Json* where = in.array("where");
  const Json* names = in.optional("columns", &Json::is_array, "an array");
  const Json* until = in.string("until");
  const Json* rows = in.array("rows");
  const Json* timeout_json = in.optional("timeout", &Json::is_number, "a number of milliseconds");
  if (auto ok = in.done(); !ok) return std::unexpected(ok.error());
  if (*until != "==" && *until != "!=") return syntax_error("until " + dump_brief(*until) + " is not == or !=");
  auto parsed_timeout = parse_timeout(timeout_json);
  if (!parsed_timeout) return std::unexpected(parsed_timeout.error());
  const std::optional<Duration> timeout = *parsed_timeout;
  auto condition = Condition::parse(*table, *where, &names_);
  if (!condition) return std::unexpected(condition.error());
  auto columns = parse_columns(*table, names, false);
  if (!columns) return std::unexpected(columns.error());
  auto expected = parse_expected(*table, *columns, *rows, names_);
  if (!expected) return std::unexpected(expected.error());

  RowSet actual;
  Datum scratch;
  for (const RowRef& row : transaction_.select(*table, &*condition)) {
    std::vector<Datum> values;
    for (const ColumnSchema* column : *columns) values.push_back(column_value(*row, *column, scratch));
    actual.insert(std::move(values));
  }
  if ((actual == *expected) == (*until == "==")) return Json::object();

  if (context_.elapsed && (!timeout || *context_.elapsed < *timeout)) {
    blocked_ = true;
    wait_table_ = table->name;
    wait_timeout_ = timeout;
  }
  return failure("timed out", "table " + table->name + ": the rows " +
                                  (*until == "==" ? "are not those" : "are still those") + " that were given");
}

Expect<Json> Operations::commit(Members& in) {
  const Json* durable = in.required("durable", &Json::is_boolean, "true or false");
  if (auto ok = in.done(); !ok) return std::unexpected(ok.error());
  durable_ = durable_ || durable->get<bool>();
  return Json::object();
}

Expect<Json> Operations::abort(Members& in) {
  if (auto ok = in.done(); !ok) return std::unexpected(ok.error());
  return failure("aborted", "the transaction asked for it");
}

Expect<Json> Operations::comment(Members& in) {
  const Json* text = in.string("comment");
  if (auto ok = in.done(); !ok) return std::unexpected(ok.error());
  spdlog::debug("database {}: transaction comment {}", transaction_.schema().name(), dump_brief(*text));
  return Json::object();
}

Expect<Json> Operations::assert_lock(Members& in) {
  const Json* lock = in.string("lock");
  if (auto ok = in.done(); !ok) return std::unexpected(ok.error());
  if (context_.holds_lock && context_.holds_lock(lock->get<std::string>())) return Json::object();
  return failure("not owner", "lock " + dump_brief(*lock) + " is not held by this session");
}

Expect<Json> Operations::run_one(const Json& operation) {
  using Run = Expect<Json> (Operations::*)(Members&);
  static constexpr std::array<std::pair<std::string_view, Run>, 10> known{{{"insert", &Operations::insert},
                                                                           {"select", &Operations::select},
                                                                           {"update", &Operations::update},
                                                                           {"mutate", &Operations::mutate},
                                                                           {"delete", &Operations::erase},
                                                                           {"wait", &Operations::wait},
                                                                           {"commit", &Operations::commit},
                                                                           {"abort", &Operations::abort},
                                                                           {"comment", &Operations::comment},
                                                                           {"assert", &Operations::assert_lock}}};
  if (!operation.is_object()) return syntax_error(dump_brief(operation) + " is not an operation: it is no object");
  const auto op = operation.find("op");
  if (op == operation.end() || !op->is_string()) return syntax_error("an operation needs a string member \"op\"");
  for (const auto& [name, run] : known) {
    if (name != op->get_ref<const std::string&>()) continue;
    if (context_.read_only && (name == "insert" || name == "update" || name == "mutate" || name == "delete"))
      return failure("permission error", "database " + transaction_.schema().name() + " can only be read");
    Members members(operation, transaction_.schema());
    return (this->*run)(members);
  }
  return failure("unknown operation", "there is no operation " + dump_brief(*op));
}

bool Operations::run(std::span<const Json> operations) {
  for (const Json& operation : operations) {
    auto result = run_one(operation);
    if (!result) {
      results_.push_back(result.error().to_json());
      return false;
    }
    results_.push_back(std::move(*result));
  }
  return true;
}

}  // namespace heddle::ovsdb
