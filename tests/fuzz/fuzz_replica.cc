// SPDX-License-Identifier: Apache-2.0
// links: ovsdb
// A grammar-based fuzzer: the input selects transactions, most of them well-formed. Clients that apply update2
// differences must at every moment have the rows that a new client gets; so must a client that reconnects with the id
// of an old transaction.
#include <fuzzer/FuzzedDataProvider.h>

#include <cstdlib>
#include <map>

#include "base/log.h"
#include "ovsdb/history.h"
#include "ovsdb/monitor.h"
#include "ovsdb/value.h"
#include "tests/fuzz/fuzz_schema.h"

namespace {

using namespace heddle::ovsdb;

class Generator {
 public:
  Generator(FuzzedDataProvider& in, const Database& database) : in_(in), database_(database) {}

  Json operations() {
    Json out = Json::array();
    const auto count = in_.ConsumeIntegralInRange(1, 5);
    for (int i = 0; i < count; ++i) out.push_back(operation(i));
    return out;
  }
  Json where(const TableSchema& table) {
    Json out = Json::array();
    const auto count = in_.ConsumeIntegralInRange(0, 2);
    for (int i = 0; i < count; ++i) {
      const ColumnSchema& c = column(table);
      out.push_back(
          Json::array({c.name, in_.PickValueInArray({"==", "!=", "includes", "excludes", "<", ">="}), value(c)}));
    }
    return out;
  }

 private:
  const TableSchema& table() { return *database_.schema().find(in_.ConsumeBool() ? "R" : "K"); }
  const ColumnSchema& column(const TableSchema& table) {
    return table.columns[in_.ConsumeIntegralInRange<std::size_t>(0, table.columns.size() - 1)];
  }
  Json atom(const BaseType& type) {
    switch (type.type) {
      case AtomType::integer:
        return in_.ConsumeIntegralInRange(-6, 101);
      case AtomType::real:
        return in_.ConsumeIntegralInRange(-2, 2) / 2.0;
      case AtomType::boolean:
        return in_.ConsumeBool();
      case AtomType::string:
        return in_.PickValueInArray({"", "a", "b", "ab", "abcde"});
      case AtomType::uuid:
        break;
    }
    const auto rows = type.ref_table != nullptr ? database_.rows(type.ref_table->name) : std::vector<RowRef>{};
    if (rows.empty() || in_.ConsumeIntegralInRange(0, 3) == 0)
      return Json::array({"named-uuid", "n" + std::to_string(in_.ConsumeIntegralInRange(0, 4))});
    const auto i = in_.ConsumeIntegralInRange<std::size_t>(0, rows.size() - 1);
    return Json::array({"uuid", rows[i]->uuid().to_string()});
  }
  Json value(const ColumnSchema& column) {
    const ColumnType& type = column.type;
    if (type.is_scalar()) return atom(type.key);
    Json list = Json::array();
    const auto count = in_.ConsumeIntegralInRange(0, 3);
    for (int i = 0; i < count; ++i) {
      Json key = atom(type.key);
      list.push_back(type.is_map() ? Json::array({std::move(key), atom(*type.value)}) : std::move(key));
    }
    return Json::array({type.is_map() ? "map" : "set", std::move(list)});
  }
  Json row(const TableSchema& table) {
    Json out = Json::object();
    const auto count = in_.ConsumeIntegralInRange(0, 3);
    for (int i = 0; i < count; ++i) {
      const ColumnSchema& c = column(table);
      out[c.name] = value(c);
    }
    return out;
  }
  Json operation(int position) {
    const TableSchema& t = table();
    Json out{{"table", t.name}};
    switch (in_.ConsumeIntegralInRange(0, 3)) {
      case 0:
        out["op"] = "insert";
        out["row"] = row(t);
        out["uuid-name"] = "n" + std::to_string(position);
        break;
      case 1:
        out["op"] = "update";
        out["where"] = where(t);
        out["row"] = row(t);
        break;
      case 2: {
        const ColumnSchema& c = column(t);
        out["op"] = "mutate";
        out["where"] = where(t);
        out["mutations"] = Json::array(
            {Json::array({c.name, in_.PickValueInArray({"+=", "-=", "*=", "%=", "insert", "delete"}), value(c)})});
        break;
      }
      default:
        out["op"] = "delete";
        out["where"] = where(t);
    }
    return out;
  }

  FuzzedDataProvider& in_;
  const Database& database_;
};

// A client's copy of one table from <table-updates2>.
class Replica {
 public:
  Replica(const Database& database, MonitorKind kind, const Json& requests)
      : database_(database), monitor_(Monitor::parse(database.schema(), kind, requests)) {
    if (monitor_) apply(monitor_->initial(database_));
  }
  void follow(const Change& change) {
    if (monitor_) apply(monitor_->updates(change));
  }
  void change_conditions(const Json& requests) {
    auto changed = monitor_ ? monitor_->with_conditions(database_.schema(), requests) : std::unexpected(Failure{});
    if (!changed) return;
    apply(changed->difference(*monitor_, database_));
    monitor_ = std::move(changed);
  }
  void check() const {
    if (!monitor_) return;
    Replica anew(*this);
    anew.rows_.clear();
    anew.apply(anew.monitor_->initial(database_));
    if (anew.rows_ != rows_) std::abort();
  }

 private:
  using Columns = std::map<std::string, Datum>;

  void apply(const Json& updates) {
    for (const auto& [table, rows] : updates.items())
      for (const auto& [uuid, update] : rows.items()) apply_row(*database_.schema().find(table), uuid, update);
  }
  void apply_row(const TableSchema& table, const std::string& uuid, const Json& update) {
    const auto key = std::pair(table.name, uuid);
    if (update.contains("delete")) {
      if (rows_.erase(key) != 1) std::abort();
      return;
    }
    const bool modify = update.contains("modify");
    if (rows_.contains(key) != modify) std::abort();
    Columns& columns = rows_[key];
    for (const auto& [name, value] : update.begin()->items()) {
      const ColumnSchema& column = *table.find(name);
      auto datum = datum_from_json(column.type, value, nullptr);
      if (!datum) std::abort();
      Datum now = modify ? patched(column.type, columns[name], *datum) : *datum;
      if (is_default(column.type, now))
        columns.erase(name);
      else
        columns[name] = std::move(now);
    }
  }
  static Datum patched(const ColumnType& type, const Datum& before, const Datum& difference) {
    if (type.max == 1) return difference;
    std::map<Atom, std::optional<Atom>> out;
    const auto at = [](const Datum& d, std::size_t i) {
      return d.is_map() ? std::optional(d.values()[i]) : std::nullopt;
    };
    for (std::size_t i = 0; i < before.size(); ++i) out[before.keys()[i]] = at(before, i);
    for (std::size_t i = 0; i < difference.size(); ++i) {
      const Atom& key = difference.keys()[i];
      const auto it = out.find(key);
      if (it != out.end() && it->second == at(difference, i))
        out.erase(it);
      else
        out[key] = at(difference, i);
    }
    std::vector<Atom> keys;
    std::vector<Atom> values;
    for (const auto& [key, value] : out) {
      keys.push_back(key);
      if (value) values.push_back(*value);
    }
    return Datum::of_pairs(std::move(keys), std::move(values));
  }
  static bool is_default(const ColumnType& type, const Datum& value) { return value == default_datum(type); }

  const Database& database_;
  Expect<Monitor> monitor_;
  std::map<std::pair<std::string, std::string>, Columns> rows_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  spdlog::set_level(spdlog::level::off);
  FuzzedDataProvider in(data, size);
  const auto database = Database::open(kFuzzSchema, "").value();
  const History history(*database);
  Generator generator(in, *database);
  const Json columns = Json::array({"name", "n", "r", "o", "s", "m", "k", "w"});
  const Json kid_columns = Json::array({"name", "k", "e"});
  const auto request = [&](const Json& where) {
    return Json{{"R", Json::array({Json{{"columns", columns}, {"where", where}}})},
                {"K", Json::array({Json{{"columns", kid_columns}}})}};
  };
  Replica whole(*database, MonitorKind::cond, request(Json::array()));
  Replica part(*database, MonitorKind::cond, request(generator.where(*database->schema().find("R"))));
  Replica away = whole;
  heddle::ovsdb::Uuid left = database->last_transaction();
  database->add_observer([&](const Change& change) {
    whole.follow(change);
    part.follow(change);
  });
  while (in.remaining_bytes() > 0) {
    (void)database->transact(generator.operations());
    whole.check();
    part.check();
    if (in.ConsumeIntegralInRange(0, 7) == 0)
      part.change_conditions(Json{{"R", Json{{"where", generator.where(*database->schema().find("R"))}}}});
    if (in.ConsumeIntegralInRange(0, 7) != 0) continue;
    const auto missed = history.since(left);
    if (!missed) std::abort();
    away.follow(*missed);
    away.check();
    left = database->last_transaction();
  }
  return 0;
}
