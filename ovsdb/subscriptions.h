// SPDX-License-Identifier: Apache-2.0
// The monitors of all sessions on one Database: handles monitor requests and sends the updates.
//
// Owned by the OvsdbServer, which reports ended sessions; observes the Database, which must outlive it. Threads: the
// io_context's. Bounds: limits::kMonitors per session (over all databases; the caller counts), each of a bounded size.
// A commit is converted to JSON once for all sessions with equal monitors. Errors go into the reply.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>

#include "ovsdb/history.h"
#include "ovsdb/monitor.h"
#include "ovsdb/rpc_server.h"

namespace heddle::ovsdb {

class Subscriptions {
 public:
  explicit Subscriptions(Database& database);
  ~Subscriptions();
  Subscriptions(const Subscriptions&) = delete;
  Subscriptions& operator=(const Subscriptions&) = delete;

  // Adds a monitor by the client's `params`; the id, params[1], must not be in use. Returns the result for the reply.
  Expect<Json> add(RpcSession& session, MonitorKind kind, const Json& params);
  // monitor_cond_change of monitor `id`, whose new id is params[1]. Notifies the client of the difference.
  Expect<> change(SessionId session, const Json& id, const Json& params);
  [[nodiscard]] bool has(SessionId session, const Json& id) const;
  [[nodiscard]] std::size_t count(SessionId session) const;
  bool remove(SessionId session, const Json& id);
  void drop(SessionId session) { sessions_.erase(session); }

 private:
  using MonitorRef = std::shared_ptr<const Monitor>;
  struct Followed {
    MonitorRef monitor;
    std::string id_text;  // the client's id as JSON
  };
  struct Session {
    RpcSession* rpc = nullptr;
    std::map<Json, Followed> monitors;  // by the client's id
  };
  MonitorRef shared(Monitor monitor);
  void changed(const Change& change);

  Database& database_;
  History history_;
  Database::ObserverId observer_;
  std::map<SessionId, Session> sessions_;
  std::map<std::string, std::weak_ptr<const Monitor>> shared_;  // by Monitor::key()
};

}  // namespace heddle::ovsdb
