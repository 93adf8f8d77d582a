// SPDX-License-Identifier: Apache-2.0
// The recent transactions of a Database, so that a client that reconnects gets only the missed changes and not the
// whole database (monitor_cond_since, ovsdb-server(7) section 4.1.15).
//
// Observes the Database, which must outlive it. Threads: the Database's. Nothing fails. Bounds: limits::kHistory
// transactions with limits::kHistoryRows row changes together, and limits::kHistoryBytes of replaced or deleted rows;
// older transactions are forgotten. Transaction ids belong to this process: after a restart all are unknown.
#pragma once

#include <deque>
#include <optional>

#include "ovsdb/database.h"

namespace heddle::ovsdb {

class History {
 public:
  explicit History(Database& database);
  ~History();
  History(const History&) = delete;
  History& operator=(const History&) = delete;

  // The combined effect of all transactions after `id`, each row once; nothing when `id` is unknown or forgotten.
  [[nodiscard]] std::optional<Change> since(const Uuid& id) const;

 private:
  void record(const Change& change);

  Database& database_;
  Database::ObserverId observer_;
  Uuid start_;  // the state before changes_
  struct Entry {
    Change change;
    std::size_t bytes = 0;  // approximate size of the row versions that the change replaced
  };
  void forget_oldest();

  std::deque<Entry> entries_;
  std::size_t rows_ = 0;
  std::size_t bytes_ = 0;
};

}  // namespace heddle::ovsdb
