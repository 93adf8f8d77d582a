// SPDX-License-Identifier: Apache-2.0
// Runs the operations of a "transact" request (RFC 7047 section 5.2) in order against a Transaction.
//
// Lives on the stack of one Database call; the Transaction and the context must outlive it. A failed operation's error
// is the last result.
#pragma once

#include <optional>
#include <span>
#include <string>

#include "base/clock.h"
#include "ovsdb/failure.h"
#include "ovsdb/transaction.h"
#include "ovsdb/value.h"

namespace heddle::ovsdb {

class Operations {
 public:
  Operations(Transaction& transaction, const TransactContext& context) : transaction_(transaction), context_(context) {}

  // Runs the operations and collects their results() in the same order. Stops and returns false when an operation fails
  // (its error is the last result) or is blocked.
  bool run(std::span<const Json> operations);

  [[nodiscard]] const Json& results() const { return results_; }
  [[nodiscard]] Json& results() { return results_; }
  [[nodiscard]] bool durable() const { return durable_; }  // requested by "commit"
  [[nodiscard]] bool blocked() const { return blocked_; }
  [[nodiscard]] const std::string& wait_table() const { return wait_table_; }
  [[nodiscard]] const std::optional<Duration>& wait_timeout() const { return wait_timeout_; }
  [[nodiscard]] const NamedUuids& names() const { return names_; }

 private:
  class Members;
  Expect<Json> run_one(const Json& operation);
  Expect<Uuid> new_uuid(const TableSchema& table, const Json* wanted, const Json* name);
  Expect<Json> insert(Members& in);
  Expect<Json> select(Members& in);
  Expect<Json> update(Members& in);
  Expect<Json> mutate(Members& in);
  Expect<Json> erase(Members& in);
  Expect<Json> wait(Members& in);
  Expect<Json> commit(Members& in);
  Expect<Json> abort(Members& in);
  Expect<Json> comment(Members& in);
  Expect<Json> assert_lock(Members& in);

  Transaction& transaction_;
  const TransactContext& context_;
  NamedUuids names_;
  Json results_ = Json::array();
  bool durable_ = false;
  bool blocked_ = false;
  std::string wait_table_;
  std::optional<Duration> wait_timeout_;
};

}  // namespace heddle::ovsdb
