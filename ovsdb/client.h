// A blocking JSON-RPC 1.0 client over a unix or TCP socket, for command line tools: it speaks to the database (RFC 7047
// section 4) and to the daemon's control socket alike.
//
// A Client owns one connection. One thread at a time may use it. Every call that waits takes a deadline and returns an
// Error once that has passed; after any Error with code `system` the connection is of no further use. Messages the
// server sends by itself are kept in order for next_notification(); its "echo" requests are answered on the way.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/fd.h"
#include "base/result.h"
#include "ovsdb/json.h"

namespace heddle::ovsdb {

// The moment to give up; none = wait for ever.
using Deadline = std::optional<TimePoint>;

class Client {
 public:
  // Fails with Errc::system when nobody listens at `path`. The text says "unix:<path>" and why.
  static Result<Client> connect(const std::string& path, Deadline deadline);
  // The same over TCP. The host is a name or an address; IPv6 addresses without brackets.
  static Result<Client> connect_tcp(const std::string& host, const std::string& port, Deadline deadline);
  // By an OVSDB connection method (ovsdb(7)): unix:PATH, tcp:HOST:PORT or tcp:[IPV6]:PORT; the port is 6640 unless
  // given. Others are Errc::unsupported.
  static Result<Client> connect_to(const std::string& method, Deadline deadline);

  // Sends a request and waits for its reply. The "result" member on success; a reply with an "error" member becomes
  // Errc::invalid with that error in words.
  Result<Json> call(std::string_view method, Json params, Deadline deadline);

  // The next message without an id that the server has sent or sends before the deadline: its "method" and "params".
  Result<Json> next_notification(Deadline deadline);

 private:
  Client(Fd fd, std::string name) : fd_(std::move(fd)), name_(std::move(name)) {}
  Result<> send(const Json& message, Deadline deadline);
  Result<Json> receive(Deadline deadline);
  Result<> wait_for(short events, Deadline deadline);

  Fd fd_;
  std::string name_;
  JsonFramer framer_;
  std::deque<Json> notifications_;
  std::uint64_t last_id_ = 0;
};

// A JSON-RPC or OVSDB "error" member in words: the string itself, or RFC 7047's <error> as "error: details".
std::string error_text(const Json& error);

}  // namespace heddle::ovsdb
