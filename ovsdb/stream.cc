// SPDX-License-Identifier: Apache-2.0
#include "ovsdb/stream.h"

#include <sys/socket.h>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/write.hpp>
#include <cstring>
#include <sstream>
#include <utility>

namespace heddle::ovsdb {

namespace {

class PlainStream final : public Stream {
 public:
  explicit PlainStream(Socket socket)
      : socket_(std::move(socket)), peer_(peer_of(socket_)), local_(local_of(socket_)) {}
  void handshake(Ready ready) override {
    boost::asio::post(socket_.get_executor(), [ready = std::move(ready)] { ready({}); });
  }
  void read_some(boost::asio::mutable_buffer into, Done done) override {
    socket_.async_read_some(into, std::move(done));
  }
  void write_all(boost::asio::const_buffer from, Done done) override {
    boost::asio::async_write(socket_, from, std::move(done));
  }
  void close() override {
    boost::system::error_code ignored;
    socket_.close(ignored);
  }
  boost::asio::any_io_executor executor() override { return socket_.get_executor(); }
  [[nodiscard]] std::string peer() const override { return peer_; }
  [[nodiscard]] std::string local() const override { return local_; }

 private:
  Socket socket_;
  std::string peer_;  // read at the start: a closed socket does not know its peer
  std::string local_;
};

}  // namespace

std::string peer_of(Socket& socket) {
  boost::system::error_code error;
  const auto far = socket.remote_endpoint(error);
  if (error) return "somebody who has gone";
  boost::asio::ip::tcp::endpoint tcp;
  if (far.protocol().family() != AF_UNIX && far.size() <= tcp.capacity()) {
    std::memcpy(tcp.data(), far.data(), far.size());
    std::ostringstream text;
    text << "tcp:" << tcp;
    return text.str();
  }
  ucred who{};
  socklen_t size = sizeof who;
  if (::getsockopt(socket.native_handle(), SOL_SOCKET, SO_PEERCRED, &who, &size) != 0 || who.pid == 0)
    return "a local process";
  return "process " + std::to_string(who.pid);
}

std::string local_of(Socket& socket) {
  boost::system::error_code error;
  const auto here = socket.local_endpoint(error);
  boost::asio::ip::tcp::endpoint tcp;
  if (error || here.protocol().family() == AF_UNIX || here.size() > tcp.capacity()) return {};
  std::memcpy(tcp.data(), here.data(), here.size());
  return tcp.address().to_string();
}

std::unique_ptr<Stream> plain_stream(Socket socket) { return std::make_unique<PlainStream>(std::move(socket)); }

}  // namespace heddle::ovsdb
