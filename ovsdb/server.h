// SPDX-License-Identifier: Apache-2.0
// The methods of RFC 7047 section 4.1 and the extensions that Open vSwitch's clients expect (ovsdb-server(7)), served
// from a Database and from "_Server", which describes it: list_dbs, get_schema, transact, cancel, monitor,
// monitor_cond, monitor_cond_since, monitor_cond_change, monitor_cancel, lock, steal, unlock, echo, get_server_id,
// set_db_change_aware. An OvsdbServer is the handler of JsonRpcServers and RpcRemotes:
//
//   OvsdbServer ovsdb(io, *database);
//   auto socket = JsonRpcServer::listen(io, rundir + "/db.sock", ovsdb);
//
// Not served: "convert" (the schema changes only with the program, at a restart).
//
// Ownership: owns its clients' monitors, locks and waiting transactions; Database and io_context must outlive it.
// Threads: the io_context's. Bounds: limits::kMonitors, kLocks and kWaits per session. Errors go into the replies.
// Updates are sent before the reply to the transaction that caused them.
#pragma once

#include <boost/asio/io_context.hpp>
#include <functional>
#include <memory>
#include <string>

#include "ovsdb/database.h"
#include "ovsdb/rpc_server.h"

namespace heddle::ovsdb {

class OvsdbServer final : public RpcHandler {
 public:
  // What a session may change; an empty function: everything.
  using Permits = std::function<TransactContext::Permit(const RpcSession& session)>;
  OvsdbServer(boost::asio::io_context& io, Database& database, Permits permits = {});
  ~OvsdbServer() override;
  OvsdbServer(const OvsdbServer&) = delete;
  OvsdbServer& operator=(const OvsdbServer&) = delete;

  void opened(RpcSession& session) override;
  void request(RpcSession& session, const Json& id, const std::string& method, const Json& params,
               Responder respond) override;
  void notification(RpcSession& session, const std::string& method, const Json& params) override;
  void closed(SessionId session) override;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace heddle::ovsdb
