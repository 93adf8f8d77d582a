#include "ovsdb/stream.h"

#include <boost/asio/post.hpp>
#include <boost/asio/write.hpp>
#include <utility>

namespace heddle::ovsdb {

namespace {

class PlainStream final : public Stream {
 public:
  explicit PlainStream(Socket socket) : socket_(std::move(socket)) {}
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

 private:
  Socket socket_;
};

}  // namespace

std::unique_ptr<Stream> plain_stream(Socket socket) { return std::make_unique<PlainStream>(std::move(socket)); }

}  // namespace heddle::ovsdb
