// SPDX-License-Identifier: Apache-2.0
// JSON-RPC 1.0 (RFC 7047 section 4) for any set of methods: it carries the database protocol and vswitchd's control
// socket alike. JsonRpcServer listens on a unix socket; Remotes (remotes.h) does the same on others, and calls out.
//
// Who owns what: the server owns the socket file and the sessions; the handler is the caller's and must outlive the
// server. Threads: everything on the thread that runs the io_context. Bounds: limits::kClients sessions,
// limits::kJsonMessage and kJsonDepth per message; a session whose unread output exceeds limits::kClientQueue is cut
// off, and so is the one that holds most when all of them together exceed limits::kClientMemory. A peer that sends
// something that is not JSON-RPC gets an error message and is disconnected, with a log line.
#pragma once

#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/limits.h"
#include "base/result.h"
#include "ovsdb/json.h"
#include "ovsdb/rpc_memory.h"

namespace heddle::ovsdb {

// The answer to a request: a result, or an error that is not null.
struct RpcReply {
  Json result;
  Json error;
  static RpcReply ok(Json result) { return {std::move(result), nullptr}; }
  static RpcReply fail(Json error) { return {nullptr, std::move(error)}; }
  // {"error": word, "details": text}, the form of an RFC 7047 <error>.
  static RpcReply fail(std::string_view word, std::string_view details);
};

using SessionId = std::uint64_t;

// Answers one request, now or later, once. Does nothing when the session has gone meanwhile. May be copied and kept.
using Responder = std::function<void(RpcReply)>;

class RpcSession {
 public:
  virtual ~RpcSession() = default;
  [[nodiscard]] virtual SessionId id() const = 0;
  // Sends a message that expects no answer. Queues; never blocks.
  virtual void notify(std::string_view method, Json params) = 0;
  // The same of what goes to many sessions and was put into words once: `params` is JSON text, `method` a plain word.
  // It may wait for a few passes of the event loop (RpcOutbox), but not for longer than an answer that comes after it.
  virtual void notify_text(std::string_view method, std::string_view params) = 0;
};

class RpcHandler {
 public:
  virtual ~RpcHandler() = default;
  virtual void opened(RpcSession& session) { (void)session; }
  // `params` is an array. "id" is the request's; handlers need it only to tell requests apart ("cancel").
  virtual void request(RpcSession& session, const Json& id, const std::string& method, const Json& params,
                       Responder respond) = 0;
  virtual void notification(RpcSession& session, const std::string& method, const Json& params) {
    (void)session, (void)method, (void)params;
  }
  // The last call for this session; its pending responders do nothing from now on.
  virtual void closed(SessionId session) { (void)session; }

  // Ids are the handler's, so that it may serve several servers.
  SessionId new_session() { return ++last_session_; }
  // What its sessions hold.
  [[nodiscard]] RpcMemory& memory() { return memory_; }

 private:
  SessionId last_session_ = 0;
  RpcMemory memory_;
};

// A handler that is a table of functions, plus "echo". Unknown methods are answered as such.
class RpcMethods final : public RpcHandler {
 public:
  using Method = std::function<RpcReply(const Json& params)>;
  using DeferredMethod = std::function<void(const Json& params, Responder respond)>;
  RpcMethods();
  void add(std::string name, Method method);
  void add_deferred(std::string name, DeferredMethod method);
  void request(RpcSession& session, const Json& id, const std::string& method, const Json& params,
               Responder respond) override;

 private:
  std::map<std::string, DeferredMethod, std::less<>> methods_;
};

struct RpcCounters {
  std::uint64_t sessions = 0;   // accepted since the start
  std::uint64_t refused = 0;    // over limits::kClients
  std::uint64_t malformed = 0;  // disconnected for what they sent
  std::uint64_t slow = 0;       // cut off for what they did not read
  std::uint64_t greedy = 0;     // cut off for holding most when all clients together held too much
  std::uint64_t silent = 0;     // cut off for not answering a probe, or a handshake
  std::uint64_t untrusted = 0;  // the TLS handshake failed
};

struct RpcLimits {
  std::size_t clients = limits::kClients;
  std::size_t message = limits::kJsonMessage;
  std::size_t queue = limits::kClientQueue;
  Duration probe{};  // silence after which the peer is asked ("echo") whether it is still there; 0: never asked
};

class JsonRpcServer {
 public:
  // Listens on `path` (mode 0600). A socket file left by a dead process is replaced; Errc::exists when somebody listens
  // there. The file is removed again by the destructor, which also closes all sessions.
  static Result<std::unique_ptr<JsonRpcServer>> listen(boost::asio::io_context& io, const std::string& path,
                                                       RpcHandler& handler, const RpcLimits& limits = {});
  virtual ~JsonRpcServer() = default;
  [[nodiscard]] virtual RpcCounters counters() const = 0;
  [[nodiscard]] virtual std::size_t sessions() const = 0;
};

}  // namespace heddle::ovsdb
