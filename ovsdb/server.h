// The RFC 7047 section 4.1 methods, served from a Database: list_dbs, get_schema, transact, cancel, monitor,
// monitor_cancel, echo. Hand it to a JsonRpcServer as its handler:
//
//   OvsdbServer ovsdb(io, *database);
//   auto socket = JsonRpcServer::listen(io, rundir + "/db.sock", ovsdb);
//
// Who owns what: it owns its clients' monitors and waiting transactions, and borrows Database and io_context, which
// must outlive it. Threads: all on the io_context's. Bounds: limits::kMonitors and limits::kWaits per session. Updates
// are sent before the reply to the transaction that caused them.
#pragma once

#include <boost/asio/io_context.hpp>
#include <memory>
#include <string>

#include "ovsdb/database.h"
#include "ovsdb/rpc_server.h"

namespace heddle::ovsdb {

class OvsdbServer final : public RpcHandler {
 public:
  OvsdbServer(boost::asio::io_context& io, Database& database);
  ~OvsdbServer() override;
  OvsdbServer(const OvsdbServer&) = delete;
  OvsdbServer& operator=(const OvsdbServer&) = delete;

  void request(RpcSession& session, const Json& id, const std::string& method, const Json& params,
               Responder respond) override;
  void notification(RpcSession& session, const std::string& method, const Json& params) override;
  void closed(SessionId session) override;

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;  // callbacks under way hold it weakly
};

}  // namespace heddle::ovsdb
