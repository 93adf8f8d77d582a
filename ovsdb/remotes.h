// SPDX-License-Identifier: Apache-2.0
// The places beside its own socket file at which a JSON-RPC handler serves: listening (punix:, ptcp:, pssl:) and
// calling out to somebody who wants to be called (unix:, tcp:, ssl:).
//
// Who owns what: Remotes owns listeners, timers and sessions; handler and Tls must outlive it. Threads: the
// io_context's, except that host names are looked up on a thread of Asio's own. Bounds: limits::kRemotes remotes,
// limits::kClients sessions for each listening one. Failure: nothing here is fatal; what cannot be had now (a port in
// use, a host that does not answer) is tried again, after 1 s at first and max_backoff in the end, and says so in
// status() and, once, in the log.
#pragma once

#include <boost/asio/io_context.hpp>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/limits.h"
#include "ovsdb/rpc_server.h"
#include "ovsdb/target.h"
#include "ovsdb/tls.h"

namespace heddle::ovsdb {

struct RemoteOptions {
  Duration probe = std::chrono::seconds(limits::kProbeSeconds);  // for TCP and TLS; files have none
  Duration max_backoff = std::chrono::seconds(limits::kBackoffSeconds);
  bool operator==(const RemoteOptions&) const = default;
};

struct RemoteStatus {
  bool connected = false;  // at least one session is open
  std::size_t sessions = 0;
  RpcCounters counters;
  std::string state;       // LISTENING, ACTIVE, CONNECTING or BACKOFF
  std::string last_error;  // empty: none so far
  std::uint16_t port = 0;  // listening on TCP: which
  std::optional<TimePoint> last_connect;
  std::optional<TimePoint> last_disconnect;
};

class Remote {
 public:
  virtual ~Remote() = default;
  virtual void use(const RemoteOptions& options) = 0;
  [[nodiscard]] virtual RemoteStatus status() const = 0;
};

// What all remotes of one set use.
struct RemoteParts {
  boost::asio::io_context& io;
  RpcHandler& handler;
  std::shared_ptr<Tls> tls;
  std::function<void()> changed;  // never empty
};

class Remotes {
 public:
  using Changed = std::function<void()>;
  // `changed` (may be empty) is called when a status() is another one: sessions come and go, an attempt fails.
  Remotes(boost::asio::io_context& io, RpcHandler& handler, std::shared_ptr<Tls> tls, Changed changed = {});
  // Serves at these places and no others; those that it has already go on undisturbed. Not to be called from within
  // the handler: sessions are closed.
  void set(const std::map<std::string, std::pair<Target, RemoteOptions>>& wanted);
  [[nodiscard]] std::optional<RemoteStatus> status(const std::string& target) const;
  // Of all, by Target::text.
  [[nodiscard]] std::map<std::string, RemoteStatus> statuses() const;

 private:
  RemoteParts parts_;
  std::map<std::string, std::unique_ptr<Remote>> remotes_;  // by Target::text
};

// The two kinds, for Remotes.
std::unique_ptr<Remote> listening_remote(const RemoteParts& parts, const Target& target, const RemoteOptions& options);
std::unique_ptr<Remote> calling_remote(const RemoteParts& parts, const Target& target, const RemoteOptions& options);
// Files are not probed.
RpcLimits remote_limits(const Target& target, const RemoteOptions& options);

}  // namespace heddle::ovsdb
