// SPDX-License-Identifier: Apache-2.0
// The connected byte stream of a JSON-RPC session: a unix or TCP socket, with or without TLS.
//
// Owned by its session, which the pending callbacks keep alive. Threads: the io_context's. One read and one write at a
// time. Errors come as error codes to the callback; after an error the stream is unusable.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>

namespace heddle::ovsdb {

using Socket = boost::asio::generic::stream_protocol::socket;  // unix or TCP

class Stream {
 public:
  using Done = std::function<void(const boost::system::error_code&, std::size_t)>;
  using Ready = std::function<void(const boost::system::error_code&)>;
  virtual ~Stream() = default;
  // Must be called once, before reading and writing.
  virtual void handshake(Ready ready) = 0;
  virtual void read_some(boost::asio::mutable_buffer into, Done done) = 0;
  virtual void write_all(boost::asio::const_buffer from, Done done) = 0;
  virtual void close() = 0;  // pending callbacks get operation_aborted
  virtual boost::asio::any_io_executor executor() = 0;
  // The peer's name for the log: "tcp:192.0.2.1:4711", "process 123".
  [[nodiscard]] virtual std::string peer() const = 0;
  // Our own IP address of the connection; empty for a unix socket.
  [[nodiscard]] virtual std::string local() const = 0;
  // The common name in the peer's certificate (empty: it has none), after a handshake in which that was verified;
  // nothing: no certificate was.
  [[nodiscard]] virtual std::optional<std::string> identity() const { return std::nullopt; }
};

// Stream::peer() of a connected socket.
std::string peer_of(Socket& socket);
// Stream::local() of a connected socket.
std::string local_of(Socket& socket);

std::unique_ptr<Stream> plain_stream(Socket socket);

}  // namespace heddle::ovsdb
