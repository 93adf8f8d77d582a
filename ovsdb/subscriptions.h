// SPDX-License-Identifier: Apache-2.0
// The monitors of all sessions on one Database: answers the monitor requests and sends the notifications.
//
// Owned by the OvsdbServer, which passes sessions on and says when they go; observes the Database, which must outlive
// it. Bounds: limits::kMonitors per session (over all databases; the caller counts), each of them of a bounded size. A
// commit is rendered once for all sessions whose monitors are alike.
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

  // `params` as the client sent them; the id, params[1], is not in use. The result for the reply.
  Expect<Json> add(RpcSession& session, MonitorKind kind, const Json& params);
  // monitor_cond_change of monitor `id`, which is to be called params[1] from now on. Tells the difference.
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
