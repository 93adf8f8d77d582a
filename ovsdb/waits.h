// SPDX-License-Identifier: Apache-2.0
// Transactions of one Database whose "wait" operation is not satisfied yet (RFC 7047 section 5.2.6): tried again when
// the table they wait for has changed, and for the last time when their timeout has passed.
//
// Owned by the OvsdbServer by shared_ptr (timers and posted retries hold it weakly); observes the Database. Threads:
// the io_context's. Bounds: limits::kWaits per session; the caller counts.
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
  // What the database must know of a session at the time of a try.
  using Context = std::function<TransactContext(SessionId)>;
  Waits(boost::asio::io_context& io, Database& database, Context context);
  ~Waits();
  Waits(const Waits&) = delete;
  Waits& operator=(const Waits&) = delete;

  void add(SessionId session, const Json& id, Json operations, const TransactOutcome& outcome, Responder respond);
  // Answers the request with "canceled"; false when it does not wait here.
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
