// SPDX-License-Identifier: Apache-2.0
// A snapshot of the tables and columns that one run of vsctl reads, overlaid with the run's own changes. Commands read
// and change the Model like the database; transaction() converts the changes to one RFC 7047 transaction, which fails
// if another client has since changed a value on which the commands rely.
//
// A Model owns its records and belongs to one attempt: after a conflict a new Model is loaded and the commands run
// again. One thread. Only load() fails, for an answer that does not fit the schema.
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

// The columns to read, by table; _uuid is always read.
using Interest = std::map<std::string, std::set<std::string>, std::less<>>;

class Model;

struct Record {
  Model* owner = nullptr;
  const TableSchema* table = nullptr;
  Uuid uuid;
  const std::set<std::string>* asked_for = nullptr;   // columns that were read; null: a new record
  std::map<std::string, Datum, std::less<>> columns;  // values read, without columns at their default
  std::map<std::string, Datum, std::less<>> changes;  // by this run
  std::set<std::string> relied_on;                    // columns on whose loaded value the changes rely
  bool is_new = false;
  bool keeps_uuid = false;  // a new record with the user's UUID; for others the database makes one
  bool deleted = false;
};

// The operations to send, and for each new record the position of its result in the reply.
struct Transaction {
  Json ops = Json::array();
  std::vector<std::pair<std::size_t, Uuid>> inserts;
};

class Model {
 public:
  explicit Model(const Catalog& catalog) : catalog_(catalog) {}
  Model(const Model&) = delete;  // records have pointers to their Model
  Model& operator=(const Model&) = delete;

  // The requests for "monitor_cond" (ovsdb-server(7) section 4.1.12), and the loading of its reply, which is a
  // consistent snapshot without the columns at their default. `interest` must outlive the Model.
  [[nodiscard]] static Json requests(const Interest& interest);
  Result<> load(const Interest& interest, const Json& updates);

  // Records that are not deleted, by name where the table has names, else by UUID. Pointers are valid as long as the
  // Model.
  [[nodiscard]] std::vector<Record*> records(const TableSchema& table) const;
  [[nodiscard]] Record* find(const TableSchema& table, const Uuid& uuid) const;
  // The records with a name in order of their UUIDs; the first of them, or null.
  [[nodiscard]] std::vector<Record*> find_all_by_name(const TableSchema& table, const std::string& name) const;
  [[nodiscard]] Record* find_by_name(const TableSchema& table, std::string_view name) const;

  // The value with this run's changes; the default for a column that was not read.
  [[nodiscard]] Datum get(const Record& record, const ColumnSchema& column) const;
  [[nodiscard]] Datum get(const Record& record, std::string_view column) const;
  // The record's name, else its UUID.
  [[nodiscard]] std::string name_of(const Record& record) const;

  Record* insert(const TableSchema& table, const std::optional<Uuid>& uuid = std::nullopt);
  static void set(Record& record, const ColumnSchema& column, Datum value);
  static void set(Record& record, std::string_view column, Datum value);
  // Lets the transaction fail if the column no longer has the loaded value.
  static void rely_on(Record& record, std::string_view column);
  static void remove(Record& record) { record.deleted = true; }

  [[nodiscard]] bool changed() const;
  // New and changed records that are not deleted.
  [[nodiscard]] std::vector<const Record*> changed_records() const;
  [[nodiscard]] Transaction transaction() const;

 private:
  [[nodiscard]] Json uuid_json(const Uuid& uuid) const;
  [[nodiscard]] Json changed_row(const Record& record) const;
  void add_waits(const Record& record, Json& ops) const;
  [[nodiscard]] std::vector<const Record*> all() const;

  Result<> load_record(const TableSchema& table, const std::string& uuid, const Json& row,
                       const std::set<std::string>& asked_for);
  // The value in the database; none for a column that was not read and for a new record.
  static std::optional<Datum> loaded(const Record& record, const ColumnSchema& column);
  void index_name(Record& record);
  void forget_name(const Record& record);

  const Catalog& catalog_;
  // The names of all records, for a quick test whether a name is taken: one command line may add thousands of records.
  std::map<const TableSchema*, std::unordered_multimap<std::string, Record*>> names_;
  std::map<const TableSchema*, std::map<Uuid, std::unique_ptr<Record>>> tables_;
  std::set<Uuid> new_;
};

}  // namespace heddle::cli
