// SPDX-License-Identifier: Apache-2.0
// The recent transactions of a Database, so that a monitoring client that was away for a moment gets what it missed and
// not everything (monitor_cond_since, ovsdb-server(7) section 4.1.15).
//
// Observes the Database, which must outlive it. Bounds: limits::kHistory transactions with limits::kHistoryRows row
// changes together, and with limits::kHistoryBytes of rows that are no more; what is older is forgotten. Transaction
// ids are of this process: after a restart none is known.
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

  // What all transactions after `id` did together, each row once; nothing when it is not known any more.
  [[nodiscard]] std::optional<Change> since(const Uuid& id) const;

 private:
  void record(const Change& change);

  Database& database_;
  Database::ObserverId observer_;
  Uuid start_;  // the state before changes_
  struct Entry {
    Change change;
    std::size_t bytes = 0;  // of the rows that were before it, about
  };
  void forget_oldest();

  std::deque<Entry> entries_;
  std::size_t rows_ = 0;
  std::size_t bytes_ = 0;
};

}  // namespace heddle::ovsdb
