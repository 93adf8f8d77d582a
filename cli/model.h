// SPDX-License-Identifier: Apache-2.0
// The part of the database that one run of vsctl looks at, as it was at one moment, with this run's own changes on top.
// Commands read and change it as if it were the database; transaction() then turns the changes into one RFC 7047
// transaction that applies only if nobody changed in between what the commands relied on.
//
// A Model belongs to one attempt: after a conflict a new one is loaded and the commands run again. One thread.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "cli/catalog.h"
#include "cli/value.h"

namespace heddle::cli {

// Which columns of which tables are to be read. _uuid always is.
using Interest = std::map<std::string, std::set<std::string>, std::less<>>;

class Model;

struct Record {
  Model* owner = nullptr;
  const TableSchema* table = nullptr;
  Uuid uuid;
  const std::set<std::string>* asked_for = nullptr;   // columns; null: a new record
  std::map<std::string, Datum, std::less<>> columns;  // of those, what the database has something in
  std::map<std::string, Datum, std::less<>> changes;  // by this run
  std::set<std::string> relied_on;                    // columns whose loaded value the changes rest on
  bool is_new = false;
  bool keeps_uuid = false;  // a new one whose UUID was asked for, where others get the database's
  bool deleted = false;
};

// What to send: the operations, and for every record made, where its result stands in the reply.
struct Transaction {
  Json ops = Json::array();
  std::vector<std::pair<std::size_t, Uuid>> inserts;
};

class Model {
 public:
  explicit Model(const Catalog& catalog) : catalog_(catalog) {}
  Model(const Model&) = delete;  // its records point at it
  Model& operator=(const Model&) = delete;

  // What "monitor_cond" is to be asked for `interest` (ovsdb-server(7) section 4.1.12), and its answer: all at one
  // moment, and without the columns that have nothing in them, which are most. `interest` must outlive the Model.
  [[nodiscard]] static Json requests(const Interest& interest);
  Result<> load(const Interest& interest, const Json& updates);

  // Present records, by name where the table has names, else by UUID. Pointers stay valid as long as the Model.
  [[nodiscard]] std::vector<Record*> records(const TableSchema& table) const;
  [[nodiscard]] Record* find(const TableSchema& table, const Uuid& uuid) const;
  // In order of their UUIDs; the first one, or null.
  [[nodiscard]] std::vector<Record*> find_all_by_name(const TableSchema& table, const std::string& name) const;
  [[nodiscard]] Record* find_by_name(const TableSchema& table, std::string_view name) const;

  // The value with this run's changes; the column's default when it was not loaded.
  [[nodiscard]] Datum get(const Record& record, const ColumnSchema& column) const;
  [[nodiscard]] Datum get(const Record& record, std::string_view column) const;
  // What people call the record: its name, else its UUID.
  [[nodiscard]] std::string name_of(const Record& record) const;

  Record* insert(const TableSchema& table, const std::optional<Uuid>& uuid = std::nullopt);
  static void set(Record& record, const ColumnSchema& column, Datum value);
  static void set(Record& record, std::string_view column, Datum value);
  // The transaction is to apply only if the column still has the value that was loaded.
  static void rely_on(Record& record, std::string_view column);
  static void remove(Record& record) { record.deleted = true; }

  [[nodiscard]] bool changed() const;
  // Present records that this run made or changed.
  [[nodiscard]] std::vector<const Record*> touched() const;
  [[nodiscard]] Transaction transaction() const;

 private:
  [[nodiscard]] Json uuid_json(const Uuid& uuid) const;
  [[nodiscard]] Json changed_row(const Record& record) const;
  void add_waits(const Record& record, Json& ops) const;
  [[nodiscard]] std::vector<const Record*> all() const;

  Result<> load_record(const TableSchema& table, const std::string& uuid, const Json& row,
                       const std::set<std::string>& asked_for);
  // The value in the database; none when it was not asked for, and of a new record.
  static std::optional<Datum> loaded(const Record& record, const ColumnSchema& column);
  void index_name(Record& record);
  void forget_name(const Record& record);

  const Catalog& catalog_;
  // Names of all records of a table: one command line may add thousands, and asks of each whether its name is taken.
  std::map<const TableSchema*, std::unordered_multimap<std::string, Record*>> names_;
  std::map<const TableSchema*, std::map<Uuid, std::unique_ptr<Record>>> tables_;
  std::set<Uuid> new_;
};

}  // namespace heddle::cli
