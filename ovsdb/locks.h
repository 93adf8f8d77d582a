// SPDX-License-Identifier: Apache-2.0
// The locks of RFC 7047 section 4.1.8: names that clients take in turn. A lock protects nothing by itself; the "assert"
// operation asks who has it.
//
// Owned by the OvsdbServer, one set for all of its databases. Bounds: limits::kLocks per session. Failures are the
// client's mistakes ("syntax error"), or its limit.
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
  // Tells a session that it has got a lock it waited for ("locked"), or lost one ("stolen").
  using Tell = std::function<void(SessionId session, std::string_view method, const std::string& lock)>;
  explicit Locks(Tell tell) : tell_(std::move(tell)) {}

  // True when the session holds it from now on, false when it has to wait for its turn.
  Expect<bool> lock(SessionId session, const Json& params);
  // Takes the lock from whoever holds it. Who got it by lock() is the next in turn; who stole it does not wait for it
  // (RFC 7047 leaves both open; this is what ovsdb-server does), but has to unlock() it all the same.
  Expect<> steal(SessionId session, const Json& params);
  Expect<> unlock(SessionId session, const Json& params);
  // The session has gone: so have its locks and its places in the queues.
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
  std::map<std::string, std::deque<Turn>, std::less<>> queues_;    // never empty; the first one holds the lock
  std::map<SessionId, std::set<std::string, std::less<>>> asked_;  // to be unlocked
};

}  // namespace heddle::ovsdb
