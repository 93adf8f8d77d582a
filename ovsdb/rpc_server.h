// SPDX-License-Identifier: Apache-2.0
// A JSON-RPC 1.0 server (RFC 7047 section 4) for any set of methods: the database protocol, and vswitchd's control
// socket. JsonRpcServer listens on one unix socket; RpcRemotes (remotes.h) adds other listeners and connects to
// managers.
//
// Ownership: the server owns the socket file and the sessions; the handler is the caller's and must outlive the server.
// Threads: the io_context's.
// Bounds: limits::kClients sessions, limits::kJsonMessage and kJsonDepth per message. A session whose unread output
// exceeds limits::kClientQueue is disconnected; so is the session that holds most when all sessions together exceed
// limits::kClientMemory.
// Errors: a peer whose message is not JSON-RPC gets an error message and is disconnected, with a log line.
#pragma once

#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/limits.h"
#include "base/result.h"
#include "ovsdb/json.h"
#include "ovsdb/rpc_memory.h"

namespace heddle::ovsdb {

// The reply to a request: a result, or an error that is not null.
struct RpcReply {
  Json result;
  Json error;
  static RpcReply ok(Json result) { return {std::move(result), nullptr}; }
  static RpcReply fail(Json error) { return {nullptr, std::move(error)}; }
  // {"error": word, "details": details}, an <error> of RFC 7047.
  static RpcReply fail(std::string_view word, std::string_view details);
};

using SessionId = std::uint64_t;

// Sends the reply to one request, once, now or later. Does nothing when the session has ended. May be copied and kept.
using Responder = std::function<void(RpcReply)>;

class RpcSession {
 public:
  virtual ~RpcSession() = default;
  [[nodiscard]] virtual SessionId id() const = 0;
  // Stream::identity().
  [[nodiscard]] virtual std::optional<std::string> identity() const { return std::nullopt; }
  // Queues a notification; never blocks.
  virtual void notify(std::string_view method, Json params) = 0;
  // The same for a notification to many sessions: `params` is JSON text made once, `method` a word without special
  // characters. Sent after some passes of the event loop (RpcOutbox), but before any later reply of this session.
  virtual void notify_text(std::string_view method, std::string_view params) = 0;
};

class RpcHandler {
 public:
  virtual ~RpcHandler() = default;
  virtual void opened(RpcSession& session) { (void)session; }
  // `params` is an array. `id` is the request's "id", by which "cancel" identifies a request.
  virtual void request(RpcSession& session, const Json& id, const std::string& method, const Json& params,
                       Responder respond) = 0;
  virtual void notification(RpcSession& session, const std::string& method, const Json& params) {
    (void)session, (void)method, (void)params;
  }
  // The last call for this session; its pending responders do nothing from now on.
  virtual void closed(SessionId session) { (void)session; }

  // Ids are unique per handler, which may serve several servers.
  SessionId new_session() { return ++last_session_; }
  // The memory of all its sessions.
  [[nodiscard]] RpcMemory& memory() { return memory_; }

 private:
  SessionId last_session_ = 0;
  RpcMemory memory_;
};

// A handler made of functions by method name, with "echo" built in. Other methods get the error "unknown method".
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
  std::uint64_t malformed = 0;  // disconnected for a malformed message
  std::uint64_t slow = 0;       // disconnected for too much unread output
  std::uint64_t greedy = 0;     // disconnected as the largest holder when all clients together held too much memory
  std::uint64_t silent = 0;     // disconnected for an unanswered probe or handshake
  std::uint64_t untrusted = 0;  // the TLS handshake failed
};

struct RpcLimits {
  std::size_t clients = limits::kClients;
  std::size_t message = limits::kJsonMessage;
  std::size_t queue = limits::kClientQueue;
  Duration probe{};  // silence after which an "echo" request probes the peer; 0: no probes
};

class JsonRpcServer {
 public:
  // Listens on `path` (mode 0600). The socket file of a dead process is replaced; Errc::exists: another process listens
  // there. The destructor closes all sessions and removes the file.
  static Result<std::unique_ptr<JsonRpcServer>> listen(boost::asio::io_context& io, const std::string& path,
                                                       RpcHandler& handler, const RpcLimits& limits = {});
  virtual ~JsonRpcServer() = default;
  [[nodiscard]] virtual RpcCounters counters() const = 0;
  [[nodiscard]] virtual std::size_t sessions() const = 0;
};

}  // namespace heddle::ovsdb
