// SPDX-License-Identifier: Apache-2.0
#include "ovsdb/database.h"

#include <algorithm>
#include <deque>
#include <tuple>
#include <unordered_set>
#include <utility>

#include "base/log.h"
#include "ovsdb/integrity.h"
#include "ovsdb/journal.h"
#include "ovsdb/loader.h"
#include "ovsdb/operations.h"
#include "ovsdb/store.h"
#include "ovsdb/tables.h"
#include "ovsdb/transaction.h"
#include "ovsdb/value.h"

namespace heddle::ovsdb {

namespace {

class DatabaseImpl final : public Database {
 public:
  DatabaseImpl(std::unique_ptr<const Schema> schema, std::unique_ptr<Store> store)
      : schema_(std::move(schema)), tables_(*schema_), store_(std::move(store)) {}
  ~DatabaseImpl() override;
  DatabaseImpl(const DatabaseImpl&) = delete;
  DatabaseImpl& operator=(const DatabaseImpl&) = delete;

  Result<> load();
  [[nodiscard]] const Schema& schema() const override { return *schema_; }
  [[nodiscard]] std::vector<RowRef> rows(std::string_view table) const override;
  [[nodiscard]] RowRef find(std::string_view table, const Uuid& uuid) const override;
  [[nodiscard]] RowRef find_by(std::string_view table, std::string_view column, const Datum& value) const override;
  TransactOutcome try_transact(std::span<const Json> operations, const TransactContext& context) override;
  [[nodiscard]] const Uuid& last_transaction() const override { return last_; }
  Result<bool> update(std::span<const RowUpdate> updates, Origin origin) override;
  ObserverId add_observer(Observer observer) override;
  void remove_observer(ObserverId id) override { observers_.erase(id); }

 private:
  Result<> stage(Transaction& transaction, const RowUpdate& update) const;
  // True when a row changed.
  Expect<bool> commit(Transaction& transaction, Store::Sync sync, Origin origin, const TransactContext::Permit& permit);
  Expect<> store(const Change& change, Store::Sync sync);
  Result<> fold(const Change& change, Store::Sync sync);
  Result<> append(const Change& change, Store::Sync sync);
  void notify(Change change);

  std::unique_ptr<const Schema> schema_;
  Tables tables_;
  std::unique_ptr<Store> store_;                      // null: in memory
  std::unordered_set<RowKey, RowKeyHash> journaled_;  // rows that the store's journal names
  Uuid last_ = Uuid::random();
  // Held by pointer, so that an observer may remove itself while it runs.
  std::map<ObserverId, std::shared_ptr<Observer>> observers_;
  ObserverId next_observer_ = 1;
  std::deque<Change> undelivered_;
  bool delivering_ = false;
};

Result<> DatabaseImpl::load() {
  if (!store_) return {};
  auto stored_schema = store_->schema();
  if (!stored_schema) return std::unexpected(stored_schema.error());
  auto stored = store_->load();
  if (!stored) return std::unexpected(stored.error());

  Transaction transaction(*schema_, tables_);
  auto altered = load_rows(stored->rows, transaction);
  if (!altered) return std::unexpected(altered.error());
  const Change change{transaction.changes(), last_, nullptr};
  const std::string schema_text = dump_json(schema_->json());
  if (*stored_schema != schema_text || *altered) {
    if (!stored_schema->empty())
      spdlog::info("database {}: the stored rows are taken over under schema version {}", schema_->name(),
                   schema_->version());
    std::vector<StoredRow> rows;
    rows.reserve(change.rows.size());
    for (const RowChange& row : change.rows) rows.push_back(to_stored(row));
    if (auto ok = store_->replace(schema_text, rows); !ok) return ok;
  } else {
    // The journal was written under this schema, which therefore has all these tables.
    for (const auto& [name, uuid_text] : stored->journaled) {
      const TableSchema* table = schema_->find(name);
      const auto uuid = Uuid::parse(uuid_text);
      if (table != nullptr && uuid) journaled_.insert({table, *uuid});
    }
  }
  tables_.apply(change);
  return {};
}

std::vector<RowRef> DatabaseImpl::rows(std::string_view table) const {
  std::vector<RowRef> out;
  const TableSchema* found = schema_->find(table);
  if (found == nullptr) return out;
  out.reserve(tables_.rows(*found).size());
  for (const auto& [uuid, row] : tables_.rows(*found)) out.push_back(row);
  return out;
}

RowRef DatabaseImpl::find(std::string_view table, const Uuid& uuid) const {
  const TableSchema* found = schema_->find(table);
  return found == nullptr ? nullptr : tables_.find(*found, uuid);
}

RowRef DatabaseImpl::find_by(std::string_view table, std::string_view column, const Datum& value) const {
  const TableSchema* found = schema_->find(table);
  const ColumnSchema* wanted = found == nullptr ? nullptr : found->find(column);
  if (wanted == nullptr) return nullptr;
  for (std::size_t i = 0; i < found->indexes.size(); ++i) {
    if (found->indexes[i] != std::vector{wanted->index}) continue;
    const auto uuid = tables_.find_index(*found, i, {value});
    return uuid ? tables_.find(*found, *uuid) : nullptr;
  }
  for (const auto& [uuid, row] : tables_.rows(*found))
    if (row->at(wanted->index) == value) return row;
  return nullptr;
}

TransactOutcome refused(const std::unexpected<Failure>& why) {
  TransactOutcome out;
  out.reply = Json::array({why.error().to_json()});
  return out;
}

TransactOutcome DatabaseImpl::try_transact(std::span<const Json> operations, const TransactContext& context) {
  if (operations.size() > limits::kOperations)
    return refused(failure("resources exhausted",
                           "a transaction may have " + std::to_string(limits::kOperations) + " operations at most"));

  TransactOutcome out;
  Transaction transaction(*schema_, tables_);
  Operations engine(transaction, context);
  const bool ran = engine.run(operations);
  if (engine.blocked()) {
    out.blocked = true;
    out.wait_table = engine.wait_table();
    out.wait_timeout = engine.wait_timeout();
    return out;
  }
  out.reply = std::move(engine.results());
  if (!ran) {  // RFC 7047 section 4.1.3: the results of operations after the failed one are null
    while (out.reply.size() < operations.size()) out.reply.push_back(nullptr);
    return out;
  }
  if (const std::string* name = engine.names().undefined()) {
    out.reply.push_back(
        Failure{"referential integrity violation", "named-uuid \"" + *name + "\" is the uuid-name of no insert"}
            .to_json());
    return out;
  }
  const auto sync = engine.durable() ? Store::Sync::now : Store::Sync::later;
  if (auto committed = commit(transaction, sync, context.origin, context.permit); !committed)
    out.reply.push_back(committed.error().to_json());
  return out;
}

Result<> DatabaseImpl::stage(Transaction& transaction, const RowUpdate& update) const {
  const TableSchema* table = schema_->find(update.table);
  if (table == nullptr) return fail(Errc::invalid, "database " + schema_->name() + " has no table " + update.table);
  const RowRef row = transaction.find(*table, update.uuid);
  if (!row) return {};
  for (const auto& [name, value] : update.columns) {
    const ColumnSchema* column = table->find(name);
    if (column != nullptr && row->at(column->index) == value) continue;  // the usual case for status
    const std::string place = "table " + table->name + ", column " + name + ": ";
    if (column == nullptr) return fail(Errc::invalid, place + "there is no such column");
    if (!column->is_mutable) return fail(Errc::invalid, place + "it cannot be changed after the insert");
    auto ok = check_atoms(column->type, value);
    if (ok) ok = check_size(column->type, value);
    if (!ok) return fail(Errc::invalid, place + ok.error().details);
    auto edited = transaction.edit(*table, update.uuid);
    if (!edited) return fail(Errc::limit, edited.error().details);
    (*edited)->edit(column->index) = value;
  }
  return {};
}

Result<bool> DatabaseImpl::update(std::span<const RowUpdate> updates, Origin origin) {
  Transaction transaction(*schema_, tables_);
  for (const RowUpdate& one : updates)
    if (auto ok = stage(transaction, one); !ok) return std::unexpected(ok.error());
  auto committed = commit(transaction, Store::Sync::later, origin, {});
  if (!committed) return fail(Errc::invalid, committed.error().details);
  return *committed;
}

Expect<bool> DatabaseImpl::commit(Transaction& transaction, Store::Sync sync, Origin origin,
                                  const TransactContext::Permit& permit) {
  if (auto ok = enforce_integrity(transaction); !ok) return std::unexpected(ok.error());
  Change change{transaction.changes(), Uuid::random(), origin};
  if (const auto why = permit ? permit(change.rows) : std::nullopt) return failure("permission error", *why);
  if (auto ok = store(change, sync); !ok) return std::unexpected(ok.error());
  if (change.rows.empty()) return false;
  tables_.apply(change);
  last_ = change.id;
  notify(std::move(change));
  return true;
}

Expect<> DatabaseImpl::store(const Change& change, Store::Sync sync) {
  if (!store_) return {};
  const auto written = append(change, sync);
  if (written) return {};
  spdlog::error("{}", written.error().text);
  return failure("I/O error", written.error().text);
}

Result<> DatabaseImpl::append(const Change& change, Store::Sync sync) {
  const std::string entry = journal_entry(change);
  if (store_->is_due(entry.size())) {
    auto folded = fold(change, sync);
    if (!folded) {
      store_->make_room();
      folded = fold(change, sync);
    }
    if (folded || !store_->has_room(entry.size())) return folded;
    store_->put_off();
    spdlog::warn("{}; the journal grows until there is room", folded.error().text);
  }
  auto done = store_->append(entry, sync);
  if (!done) {
    store_->make_room();
    done = store_->append(entry, sync);
  }
  if (done)
    for (const RowChange& row : change.rows)
      if (row.stored()) journaled_.insert({row.table, row.uuid});
  return done;
}

// Writes all rows that the journal names, as `change` leaves them.
Result<> DatabaseImpl::fold(const Change& change, Store::Sync sync) {
  std::vector<StoredRow> rows;
  auto others = journaled_;
  for (const RowChange& row : change.rows) {
    if (!row.stored()) continue;
    rows.push_back(to_stored(row));
    others.erase({row.table, row.uuid});
  }
  for (const RowKey& key : others)
    rows.push_back(to_stored({key.table, key.uuid, nullptr, tables_.find(*key.table, key.uuid)}));
  // In the file's key order, so that each page is written once.
  std::sort(rows.begin(), rows.end(), [](const StoredRow& a, const StoredRow& b) {
    return std::tie(a.table, a.uuid) < std::tie(b.table, b.uuid);
  });
  auto done = store_->fold(rows, sync);
  if (done) journaled_.clear();
  return done;
}

// Folds the journal, so that the next start is faster. On failure the journal keeps its entries.
DatabaseImpl::~DatabaseImpl() {
  if (!store_ || journaled_.empty()) return;
  if (auto done = fold({}, Store::Sync::later); !done) spdlog::warn("{}", done.error().text);
}

Database::ObserverId DatabaseImpl::add_observer(Observer observer) {
  observers_.emplace(next_observer_, std::make_shared<Observer>(std::move(observer)));
  return next_observer_++;
}

void DatabaseImpl::notify(Change change) {
  undelivered_.push_back(std::move(change));
  if (delivering_) return;  // an observer committed: the loop below, further up the stack, delivers this change
  delivering_ = true;
  while (!undelivered_.empty()) {
    const Change next = std::move(undelivered_.front());
    undelivered_.pop_front();
    const auto observers = observers_;
    for (const auto& [id, observer] : observers)
      if (observers_.contains(id)) (*observer)(next);
  }
  delivering_ = false;
}

}  // namespace

TransactOutcome Database::try_transact(const Json& operations, const TransactContext& context) {
  if (!operations.is_array()) return refused(syntax_error("the operations are not an array"));
  return try_transact(std::span(operations.get_ref<const Json::array_t&>()), context);
}

Result<std::unique_ptr<Database>> Database::open(std::string_view schema_json, const std::string& path) {
  auto schema = Schema::parse(schema_json);
  if (!schema) return std::unexpected(schema.error());
  std::unique_ptr<Store> store;
  if (!path.empty()) {
    auto opened = Store::open(path);
    if (!opened) return std::unexpected(opened.error());
    store = std::move(*opened);
  }
  auto database = std::make_unique<DatabaseImpl>(std::move(*schema), std::move(store));
  if (auto loaded = database->load(); !loaded) return std::unexpected(loaded.error());
  return std::unique_ptr<Database>(std::move(database));
}

}  // namespace heddle::ovsdb
