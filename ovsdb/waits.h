// SPDX-License-Identifier: Apache-2.0
// Transactions of one Database with an unsatisfied "wait" operation (RFC 7047 section 5.2.6). A transaction is tried
// again after every change of the awaited table, and for the last time when its timeout has passed.
//
// Owned by the OvsdbServer by shared_ptr (timers and posted retries have weak references); observes the Database, which
// must outlive it. Threads: the io_context's. Bounds: limits::kWaits per session; the caller counts.
#pragma once

#include <boost/asio/io_context.hpp>
#include <functional>
#include <list>
#include <memory>
#include <string>

#include "ovsdb/database.h"
#include "ovsdb/rpc_server.h"

namespace heddle::ovsdb {

class Waits : public std::enable_shared_from_this<Waits> {
 public:
  // Makes the TransactContext of a session for an attempt.
  using Context = std::function<TransactContext(SessionId)>;
  Waits(boost::asio::io_context& io, Database& database, Context context);
  ~Waits();
  Waits(const Waits&) = delete;
  Waits& operator=(const Waits&) = delete;

  void add(SessionId session, const Json& id, Json operations, const TransactOutcome& outcome, Responder respond);
  // Replies "canceled" to the waiting request; false when the request does not wait here.
  bool cancel(SessionId session, const Json& id);
  void drop(SessionId session);
  [[nodiscard]] std::size_t count(SessionId session) const;

 private:
  struct Entry;
  using EntryRef = std::shared_ptr<Entry>;
  void park(const EntryRef& entry, const TransactOutcome& outcome);
  void changed(const Change& change);
  void retry_soon();
  void retry();

  boost::asio::io_context& io_;
  Database& database_;
  Context context_;
  Database::ObserverId observer_;
  std::list<EntryRef> entries_;
  bool retry_posted_ = false;
};

}  // namespace heddle::ovsdb
