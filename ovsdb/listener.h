// SPDX-License-Identifier: Apache-2.0
// A listening socket, unix or TCP, that passes each accepted connection to its owner.
//
// Owns the socket and the socket file. Threads: the io_context's; `accept` is called there, and not after the
// Listener's destruction. When accept(2) fails (no descriptors left), the Listener logs a warning and tries again after
// a moment.
#pragma once

#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/result.h"
#include "ovsdb/stream.h"

namespace heddle::ovsdb {

class Listener {
 public:
  using Accept = std::function<void(Socket)>;
  virtual ~Listener() = default;

  // Creates the socket file, mode 0600; the destructor removes it. The file of a dead process is replaced.
  // Errc::exists: another process listens there, or the file is no socket.
  static Result<std::unique_ptr<Listener>> on_file(boost::asio::io_context& io, const std::string& path, Accept accept);
  // `address` is numeric, IPv4 or IPv6; empty: all IPv4 addresses; "::": all IPv6 and IPv4 addresses. Port 0: the
  // kernel selects a port.
  static Result<std::unique_ptr<Listener>> on_tcp(boost::asio::io_context& io, const std::string& address,
                                                  std::uint16_t port, Accept accept);
  [[nodiscard]] virtual std::uint16_t port() const = 0;  // 0 for a file
};

}  // namespace heddle::ovsdb
