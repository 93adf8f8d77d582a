// SPDX-License-Identifier: Apache-2.0
// A connection to an FRR daemon's command socket (DAEMON.vty), as vtysh has one: a command ends with a zero byte, an
// answer with three zero bytes and the command's status. The connection ends when the daemon dies, which is how its
// death is seen.
//
// Owner: whoever made it. Threads: the io_context's. Commands are sent one after the other. Bounded: an answer longer
// than limits::kVtyAnswer ends the connection.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <deque>
#include <functional>
#include <memory>
#include <string>

#include "base/result.h"

namespace heddle::overlay::evpn {

class Vty {
 public:
  // Once, later; `why` is a text for a person.
  using Lost = std::function<void(const std::string& why)>;
  // Later; not at all when the connection is lost.
  using Answer = std::function<void(const std::string& text)>;

  // Connects, at once or not at all.
  static Result<std::unique_ptr<Vty>> open(boost::asio::io_context& io, const std::string& path, Lost lost);
  ~Vty();
  Vty(const Vty&) = delete;
  Vty& operator=(const Vty&) = delete;

  void ask(const std::string& command, Answer answer);
  // Commands without an answer yet.
  [[nodiscard]] std::size_t waiting() const;

 private:
  class Session;
  explicit Vty(std::shared_ptr<Session> session);
  std::shared_ptr<Session> session_;  // its callbacks keep it alive
};

}  // namespace heddle::overlay::evpn
