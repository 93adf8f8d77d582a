// SPDX-License-Identifier: Apache-2.0
#include "cli/record.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <vector>

namespace heddle::cli {
namespace {

// Tables whose records are found by the name of the referring record.
struct KnownBy {
  std::string_view table;
  std::string_view referrer;
  std::string_view column;
};
constexpr std::array<KnownBy, 6> kKnownBy{{{"Controller", "Bridge", "controller"},
                                           {"NetFlow", "Bridge", "netflow"},
                                           {"sFlow", "Bridge", "sflow"},
                                           {"IPFIX", "Bridge", "ipfix"},
                                           {"AutoAttach", "Bridge", "auto_attach"},
                                           {"QoS", "Port", "qos"}}};

// A column by whose value records are found: of Flow_Sample_Collector_Set.
constexpr std::string_view kNumberColumn = "id";

const KnownBy* known_by(const Session& session, const TableSchema& table) {
  for (const auto& k : kKnownBy) {
    if (k.table != table.name) continue;
    const auto* referrer = session.catalog.schema().find(k.referrer);
    if (referrer != nullptr && referrer->find(k.column) != nullptr) return &k;
  }
  return nullptr;
}

Result<Record*> sole(const std::vector<Record*>& found, const TableSchema& table, std::string_view word) {
  if (found.size() == 1) return found.front();
  return fail(Errc::invalid, fmt::format("{} records of table {} are called \"{}\"; use a UUID (vsctl list {})",
                                         found.size(), table.name, word, table.name));
}

std::unexpected<Error> no_record(const TableSchema& table, std::string_view word) {
  return fail(Errc::not_found, fmt::format("no row \"{}\" in table {}", word, table.name));
}

bool may_begin_uuid(std::string_view word) {
  constexpr std::size_t shortest = 4;
  return word.size() >= shortest && word.find_first_not_of("0123456789abcdef-") == std::string_view::npos;
}

Result<Record*> find_by_referrer(Session& session, const TableSchema& table, const KnownBy& k, std::string_view word) {
  const auto* referrer = session.model.find_by_name(*session.catalog.schema().find(k.referrer), word);
  if (referrer == nullptr) return no_record(table, word);
  const auto uuids = session.model.get(*referrer, k.column).uuids();
  std::vector<Record*> found;
  for (const auto& uuid : uuids) {
    if (auto* record = session.model.find(table, uuid)) found.push_back(record);
  }
  if (found.empty()) return no_record(table, word);
  return sole(found, table, word);
}

constexpr std::array<std::string_view, 14> kOperators{"{>=}",     "{<=}", "{!=}", "{=}", "{>}", "{<}", "{in}",
                                                      "{not-in}", "!=",   "<=",   ">=",  "=",   "<",   ">"};

std::string_view operator_at(std::string_view text) {
  for (const auto op : kOperators) {
    if (text.starts_with(op)) return op;
  }
  return {};
}

// Orders by the number of members, then by the members.
int compare(const Datum& a, const Datum& b) {
  if (a.size() != b.size()) return a.size() < b.size() ? -1 : 1;
  if (a == b) return 0;
  return a < b ? -1 : 1;
}

// The number of members of `a` that are in `b`, for maps with the same value.
std::size_t common(const Datum& a, const Datum& b) {
  std::size_t n = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const auto at = b.find(a.keys()[i]);
    if (at && (!a.is_map() || !b.is_map() || a.values()[i] == b.values()[*at])) ++n;
  }
  return n;
}

bool evaluate(const Datum& have, std::string_view op, const Datum& want) {
  if (op == "=") return compare(have, want) == 0;
  if (op == "!=") return compare(have, want) != 0;
  if (op == "<") return compare(have, want) < 0;
  if (op == ">") return compare(have, want) > 0;
  if (op == "<=") return compare(have, want) <= 0;
  if (op == ">=") return compare(have, want) >= 0;
  const auto shared = common(have, want);
  const bool subset = shared == have.size();
  const bool superset = shared == want.size();
  if (op == "{=}") return subset && superset;
  if (op == "{!=}") return !(subset && superset);
  if (op == "{<=}" || op == "{in}") return subset;
  if (op == "{<}") return subset && !superset;
  if (op == "{>=}") return superset;
  if (op == "{>}") return superset && !subset;
  return shared == 0;  // {not-in}
}

// The type of a map's value at one key, for conditions on COLUMN:KEY. [] is no value.
ColumnType value_type(const ColumnType& map, bool many) {
  ColumnType type;
  type.key = *map.value;
  type.min = 0;
  if (many) type.max = ColumnType::kUnlimited;
  return type;
}

}  // namespace

void prepare_lookup(Session& session, const TableSchema& table) {
  auto& columns = session.interest[table.name];
  if (table.find(kNumberColumn) != nullptr) columns.insert(std::string(kNumberColumn));
  if (const auto* name = Catalog::name_column(table)) columns.insert(name->name);
  if (const auto* k = known_by(session, table)) {
    auto& referrer = session.interest[std::string(k->referrer)];
    referrer.insert("name");
    referrer.insert(std::string(k->column));
  }
}

Result<> want_columns(Session& session, std::string_view table, std::initializer_list<const char*> columns) {
  auto schema = session.catalog.need(table);
  if (!schema) return std::unexpected(schema.error());
  auto& interest = session.interest[(*schema)->name];
  for (const char* column : columns) {
    if ((*schema)->find(column) != nullptr) interest.insert(column);
  }
  return {};
}

Result<Record*> find_record(Session& session, const TableSchema& table, std::string_view word) {
  if (const auto uuid = Uuid::parse(word))
    if (auto* record = session.model.find(table, *uuid)) return record;  // else it may be a name, like libvirt's
  if (Catalog::name_column(table) != nullptr && word != ".") {
    const auto named = session.model.find_all_by_name(table, std::string(word));
    if (!named.empty()) return sole(named, table, word);
  }
  const auto records = session.model.records(table);
  if (word == ".") {
    if (records.size() == 1) return records.front();
    return fail(records.empty() ? Errc::not_found : Errc::invalid,
                fmt::format("\".\" means the only record of a table, but {} has {}", table.name, records.size()));
  }
  std::vector<Record*> found;
  if (const auto* number = table.find(kNumberColumn); number != nullptr) {
    std::ranges::copy_if(records, std::back_inserter(found), [&](const Record* r) {
      return format_datum(session.model.get(*r, *number), number->type) == word;
    });
  }
  if (found.empty() && may_begin_uuid(word)) {
    std::ranges::copy_if(records, std::back_inserter(found),
                         [&](const Record* r) { return r->uuid.to_string().starts_with(word); });
  }
  if (!found.empty()) return sole(found, table, word);
  if (const auto* k = known_by(session, table)) return find_by_referrer(session, table, *k, word);
  return no_record(table, word);
}

Result<ColumnArg> parse_column_arg(const TableSchema& table, std::string_view text) {
  ColumnArg arg;
  std::string_view rest = text;
  const auto word = cut_word(rest, ":=!<>{");
  auto column = Catalog::column(table, word);
  if (!column) return std::unexpected(column.error());
  arg.column = *column;
  if (rest.starts_with(':')) {
    rest.remove_prefix(1);
    arg.key = std::string(cut_word(rest, "=!<>{"));
    if (arg.key->empty()) return fail(Errc::invalid, fmt::format("\"{}\": a key is missing after the colon", text));
  }
  arg.op = operator_at(rest);
  if (arg.op.empty() && !rest.empty()) {
    return fail(Errc::invalid, fmt::format("\"{}\": \"{}\" is no operator", text, rest));
  }
  arg.value = rest.substr(arg.op.size());
  return arg;
}

Error in_column(const TableSchema& table, const ColumnSchema& column, Error error) {
  error.text = fmt::format("table {}, column {}: {}", table.name, column.name, error.text);
  return error;
}

Result<> set_column(Session& session, Record& record, std::string_view text) {
  const auto& table = *record.table;
  auto arg = parse_column_arg(table, text);
  if (!arg) return std::unexpected(arg.error());
  const auto& column = *arg->column;
  const auto wrong = [&](const Error& e) { return std::unexpected(in_column(table, column, e)); };
  if (arg->op != "=" || arg->value.empty()) {
    return fail(Errc::invalid,
                fmt::format("\"{}\" sets nothing: write {}[:KEY]=VALUE, where \"\" (quoted for the shell "
                            "too) is the empty string, [] the empty set and {{}} the empty map",
                            text, column.name));
  }
  if (!column.is_mutable && !record.is_new) {
    return wrong({Errc::invalid, fmt::format("it is read-only; \"{}\" cannot be set", text)});
  }
  if (!arg->key) {
    auto datum = parse_datum(arg->value, column.type, session.names());
    if (!datum) return wrong(datum.error());
    Model::set(record, column, std::move(*datum));
    return {};
  }
  if (!column.type.is_map()) {
    return wrong(
        {Errc::invalid, fmt::format("it is not a map; write {}=VALUE without \":{}\"", column.name, *arg->key)});
  }
  auto key = parse_atom(*arg->key, column.type.key, session.names());
  if (!key) return wrong(key.error());
  auto value = parse_atom(arg->value, *column.type.value, session.names());
  if (!value) return wrong(value.error());
  const auto before = session.model.get(record, column);
  const auto after = with(before, *key, *value);
  if (auto ok = check_count(after.size(), column.type); !ok) return wrong(ok.error());
  if (after != before) Model::rely_on(record, column.name);
  Model::set(record, column, after);
  return {};
}

Result<bool> meets(Session& session, const Record& record, std::string_view condition) {
  auto arg = parse_column_arg(*record.table, condition);
  if (!arg) return std::unexpected(arg.error());
  const auto& column = *arg->column;
  const auto wrong = [&](const Error& e) { return std::unexpected(in_column(*record.table, column, e)); };
  if (arg->op.empty() || arg->value.empty()) {
    return fail(Errc::invalid, fmt::format("\"{}\" is no condition: write {}[:KEY]=VALUE, where \"\" (quoted for the "
                                           "shell too) is the empty string",
                                           condition, column.name));
  }
  const bool set_operator = arg->op.starts_with('{');
  const auto members = set_operator ? Members::some : Members::all;
  const auto have = session.model.get(record, column);
  if (!arg->key) {
    auto type = column.type;
    if (set_operator) type.max = ColumnType::kUnlimited;
    auto want = parse_datum(arg->value, type, session.names(), members);
    if (!want) return wrong(want.error());
    return evaluate(have, arg->op, *want);
  }
  if (!column.type.is_map())
    return wrong({Errc::invalid, fmt::format("it is not a map and has no keys ({})", condition)});
  auto key = parse_atom(*arg->key, column.type.key, session.names());
  if (!key) return wrong(key.error());
  auto want = parse_datum(arg->value, value_type(column.type, set_operator), session.names(), members);
  if (!want) return wrong(want.error());
  // A missing key fails the comparisons, but is an empty set for the set operators (ovs-vsctl(8)).
  const auto at = have.find(*key);
  if (!at) return set_operator && evaluate(Datum{}, arg->op, *want);
  return evaluate(Datum::set({have.values()[*at]}), arg->op, *want);
}

}  // namespace heddle::cli
