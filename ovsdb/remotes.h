// SPDX-License-Identifier: Apache-2.0
// The remotes of a JSON-RPC handler, beside its socket file: OVSDB connection methods (ovsdb(7)) by which the handler
// serves clients. A passive remote (punix:, ptcp:, pssl:) listens; an active remote (unix:, tcp:, ssl:) connects to a
// manager.
//
// Ownership: RpcRemotes owns listeners, timers and sessions; the handler must outlive it.
// Threads: the io_context's; Asio looks up host names on a thread of its own.
// Bounds: limits::kRemotes remotes, RemoteOptions::clients sessions of each passive remote.
// Errors: none is fatal. A remote that fails (a port in use, a host that does not answer) tries again: an active remote
// after 1 s at first and at most max_backoff, a passive remote every max_backoff. status() has the error; the log has
// each new error once.
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
  Duration probe = std::chrono::seconds(limits::kProbeSeconds);  // for TCP and TLS; unix sockets are not probed
  Duration max_backoff = std::chrono::seconds(limits::kBackoffSeconds);
  std::size_t clients = limits::kClients;  // sessions of a passive remote
  bool operator==(const RemoteOptions&) const = default;
};

struct RemoteStatus {
  bool connected = false;  // at least one session is open
  std::size_t sessions = 0;
  RpcCounters counters;
  std::string state;       // LISTENING, ACTIVE, CONNECTING or BACKOFF
  std::string last_error;  // empty: no error so far
  std::uint16_t port = 0;  // of a TCP listener
  std::optional<TimePoint> last_connect;
  std::optional<TimePoint> last_disconnect;
};

class Remote {
 public:
  virtual ~Remote() = default;
  virtual void use(const RemoteOptions& options) = 0;
  [[nodiscard]] virtual RemoteStatus status() const = 0;
};

// Shared by all remotes of one RpcRemotes.
struct RemoteParts {
  boost::asio::io_context& io;
  RpcHandler& handler;
  std::shared_ptr<Tls> tls;
  std::function<void()> changed;  // never empty
};

class RpcRemotes {
 public:
  using Changed = std::function<void()>;
  // `changed` (may be empty) is called when a status() changes: a session starts or ends, or an attempt fails.
  RpcRemotes(boost::asio::io_context& io, RpcHandler& handler, std::shared_ptr<Tls> tls, Changed changed = {});
  // Adds and removes remotes until exactly `wanted` are served; the others are not disturbed. Must not be called from
  // the handler, since it closes the sessions of removed remotes.
  void set(const std::map<std::string, std::pair<Target, RemoteOptions>>& wanted);
  [[nodiscard]] std::optional<RemoteStatus> status(const std::string& target) const;
  // The status of all remotes, by Target::text.
  [[nodiscard]] std::map<std::string, RemoteStatus> statuses() const;

 private:
  RemoteParts parts_;
  std::map<std::string, std::unique_ptr<Remote>> remotes_;  // by Target::text
};

// The two kinds of remotes, for RpcRemotes.
std::unique_ptr<Remote> listening_remote(const RemoteParts& parts, const Target& target, const RemoteOptions& options);
std::unique_ptr<Remote> calling_remote(const RemoteParts& parts, const Target& target, const RemoteOptions& options);
// The limits of a remote's sessions. Unix sockets are not probed.
RpcLimits remote_limits(const Target& target, const RemoteOptions& options);

}  // namespace heddle::ovsdb
