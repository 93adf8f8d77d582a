// SPDX-License-Identifier: Apache-2.0
// A blocking JSON-RPC 1.0 client over a unix or TCP socket, with or without TLS, for command line tools: it connects to
// the database (RFC 7047 section 4) or to the daemon's control socket.
//
// A Client owns one connection. One thread at a time may use it. Every call that waits takes a deadline and returns an
// Error when the deadline has passed; after an Error with code `system` the
// connection is unusable. Notifications of the server are kept in order for next_notification(); its "echo" requests
// are answered while a call waits.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/fd.h"
#include "base/result.h"
#include "ovsdb/json.h"
#include "ovsdb/tls_client.h"

namespace heddle::ovsdb {

// The time at which a call gives up; none = never.
using Deadline = std::optional<TimePoint>;

class Client {
 public:
  // Fails with Errc::system when no process listens at `path`. The text has "unix:<path>" and the reason.
  static Result<Client> connect(const std::string& path, Deadline deadline);
  // The same over TCP. The host is a name or an address; IPv6 addresses without brackets.
  static Result<Client> connect_tcp(const std::string& host, const std::string& port, Deadline deadline,
                                    std::string_view called = "tcp");
  // Connects by an OVSDB connection method (ovsdb(7)): unix:PATH, tcp:HOST[:PORT] or ssl:HOST[:PORT], IPv6 addresses in
  // brackets, port 6640 by default. Errc::unsupported: another method. Errc::invalid: unusable TLS files, or a
  // certificate of the peer that cannot be verified.
  static Result<Client> connect_to(const std::string& method, Deadline deadline, const TlsFiles& tls = {});

  // A message for the user about the new connection (a saved certificate); mostly empty.
  [[nodiscard]] const std::string& notice() const { return notice_; }

  // Sends a request and waits for its reply. Returns the "result" member; a reply with an "error" member becomes
  // Errc::invalid with error_text() as its text.
  Result<Json> call(std::string_view method, Json params, Deadline deadline);

  // The next notification (a message without an id) that arrives before the deadline, with its "method" and "params".
  Result<Json> next_notification(Deadline deadline);

 private:
  Client(Fd fd, std::string name) : fd_(std::move(fd)), name_(std::move(name)) {}
  static Result<Client> connect_tls(const std::string& host, const std::string& port, Deadline deadline,
                                    const TlsFiles& files);
  Result<> send(const Json& message, Deadline deadline);
  // Return the number of bytes sent or received, at least one; 0: the server has closed the connection.
  Result<std::size_t> send_some(std::string_view bytes, Deadline deadline);
  Result<std::size_t> receive_some(std::span<char> into, Deadline deadline);
  Result<Json> receive(Deadline deadline);
  Result<> wait_for(short events, Deadline deadline);

  Fd fd_;
  std::string name_;
  std::string notice_;
  std::shared_ptr<TlsClient> tls_;  // null: no TLS
  JsonFramer framer_;
  std::deque<Json> notifications_;
  std::uint64_t last_id_ = 0;
};

// The text of a JSON-RPC or OVSDB "error" member: the string itself, or RFC 7047's <error> as "error: details".
std::string error_text(const Json& error);

}  // namespace heddle::ovsdb
