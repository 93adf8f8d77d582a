// SPDX-License-Identifier: Apache-2.0
// The locks of RFC 7047 section 4.1.8: each name has a queue of sessions, of which the first holds the lock. A lock
// protects nothing by itself; the "assert" operation checks that the client holds it.
//
// Owned by the OvsdbServer, one Locks for all of its databases. Threads: the io_context's. Bounds: limits::kLocks per
// session. Errors: "syntax error" for a client's mistake, "resources exhausted" at the limit.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <string_view>

#include "ovsdb/failure.h"
#include "ovsdb/rpc_server.h"

namespace heddle::ovsdb {

class Locks {
 public:
  // Notifies a session that it now holds a lock ("locked") or has lost it ("stolen").
  using Tell = std::function<void(SessionId session, std::string_view method, const std::string& lock)>;
  explicit Locks(Tell tell) : tell_(std::move(tell)) {}

  // True when the session now holds the lock, false when it waits in the queue.
  Expect<bool> lock(SessionId session, const Json& params);
  // Gives the lock to this session. A holder by lock() becomes the next in the queue; a holder by steal() leaves the
  // queue, but still has to unlock() (RFC 7047 leaves both open; ovsdb-server does the same).
  Expect<> steal(SessionId session, const Json& params);
  Expect<> unlock(SessionId session, const Json& params);
  // Removes an ended session from all queues; its locks pass on.
  void drop(SessionId session);
  [[nodiscard]] bool holds(SessionId session, const std::string& lock) const;

 private:
  Expect<std::string> admit(SessionId session, const Json& params, const char* method);
  void leave(SessionId session, const std::string& lock);

  struct Turn {
    SessionId session;
    bool stole;
  };

  Tell tell_;
  std::map<std::string, std::deque<Turn>, std::less<>> queues_;    // by lock, never empty; the first holds the lock
  std::map<SessionId, std::set<std::string, std::less<>>> asked_;  // locked or stolen, and not yet unlocked
};

}  // namespace heddle::ovsdb
