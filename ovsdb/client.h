// SPDX-License-Identifier: Apache-2.0
// A blocking JSON-RPC 1.0 client over a unix or TCP socket, with TLS or without, for command line tools: it speaks to
// the database (RFC 7047 section 4) and to the daemon's control socket alike.
//
// A Client owns one connection. One thread at a time may use it. Every call that waits takes a deadline and returns an
// Error once that has passed; after any Error with code `system` the connection is of no further use. Messages the
// server sends by itself are kept in order for next_notification(); its "echo" requests are answered on the way.
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

// The moment to give up; none = wait for ever.
using Deadline = std::optional<TimePoint>;

class Client {
 public:
  // Fails with Errc::system when nobody listens at `path`. The text says "unix:<path>" and why.
  static Result<Client> connect(const std::string& path, Deadline deadline);
  // The same over TCP. The host is a name or an address; IPv6 addresses without brackets.
  static Result<Client> connect_tcp(const std::string& host, const std::string& port, Deadline deadline,
                                    std::string_view called = "tcp");
  // By an OVSDB connection method (ovsdb(7)): unix:PATH, tcp:HOST:PORT or ssl:HOST:PORT, IPv6 addresses in brackets;
  // the port is 6640 unless given. Others are Errc::unsupported; Errc::invalid: TLS files, or the peer's certificate.
  static Result<Client> connect_to(const std::string& method, Deadline deadline, const TlsFiles& tls = {});

  // What the user should know of how it came about; mostly empty.
  [[nodiscard]] const std::string& notice() const { return notice_; }

  // Sends a request and waits for its reply. The "result" member on success; a reply with an "error" member becomes
  // Errc::invalid with that error in words.
  Result<Json> call(std::string_view method, Json params, Deadline deadline);

  // The next message without an id that the server has sent or sends before the deadline: its "method" and "params".
  Result<Json> next_notification(Deadline deadline);

 private:
  Client(Fd fd, std::string name) : fd_(std::move(fd)), name_(std::move(name)) {}
  static Result<Client> connect_tls(const std::string& host, const std::string& port, Deadline deadline,
                                    const TlsFiles& files);
  Result<> send(const Json& message, Deadline deadline);
  // How many bytes were sent or received, at least one; received 0: the server has closed the connection.
  Result<std::size_t> send_some(std::string_view bytes, Deadline deadline);
  Result<std::size_t> receive_some(std::span<char> into, Deadline deadline);
  Result<Json> receive(Deadline deadline);
  Result<> wait_for(short events, Deadline deadline);

  Fd fd_;
  std::string name_;
  std::string notice_;
  std::shared_ptr<TlsClient> tls_;  // null: none
  JsonFramer framer_;
  std::deque<Json> notifications_;
  std::uint64_t last_id_ = 0;
};

// A JSON-RPC or OVSDB "error" member in words: the string itself, or RFC 7047's <error> as "error: details".
std::string error_text(const Json& error);

}  // namespace heddle::ovsdb
