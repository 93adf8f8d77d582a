// SPDX-License-Identifier: Apache-2.0
// A listening socket, unix or TCP, that hands over each connection made to it.
//
// The owner's `accept` is called on the io_context's thread, and not after the Listener has gone. When the process is
// out of descriptors it pauses for a moment, with a log line, and goes on.
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

  // Makes the socket file, mode 0600, and removes it with the object. One left by a dead process is replaced;
  // Errc::exists when somebody listens there.
  static Result<std::unique_ptr<Listener>> on_file(boost::asio::io_context& io, const std::string& path, Accept accept);
  // `address` is numeric, IPv4 or IPv6; empty: every IPv4 address. "::" takes IPv4 too. Port 0: one of the kernel's
  // choice.
  static Result<std::unique_ptr<Listener>> on_tcp(boost::asio::io_context& io, const std::string& address,
                                                  std::uint16_t port, Accept accept);
  [[nodiscard]] virtual std::uint16_t port() const = 0;  // 0 for a file
};

}  // namespace heddle::ovsdb
