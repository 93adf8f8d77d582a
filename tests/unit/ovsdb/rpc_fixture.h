// SPDX-License-Identifier: Apache-2.0
// A server of the test database, and clients as plain sockets. Server and clients share one thread: a client that waits
// for a message runs the server's io_context step by step.
#pragma once

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>

#include "base/fd.h"
#include "ovsdb/server.h"
#include "tests/unit/ovsdb/fixture.h"

namespace heddle::ovsdb {
using std::chrono::seconds;

class TestClient {
 public:
  TestClient(boost::asio::io_context& io, const std::string& path) : io_(io) {
    fd_.reset(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
    EXPECT_EQ(::connect(fd_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0) << std::strerror(errno);
  }
  TestClient(boost::asio::io_context& io, std::uint16_t port) : io_(io) {
    fd_.reset(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::connect(fd_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0) << std::strerror(errno);
    ::fcntl(fd_.get(), F_SETFL, O_NONBLOCK);
  }
  TestClient(boost::asio::io_context& io, Fd fd) : io_(io), fd_(std::move(fd)) {}
  void send(const std::string& text) {
    EXPECT_EQ(::send(fd_.get(), text.data(), text.size(), MSG_NOSIGNAL), static_cast<ssize_t>(text.size()));
  }
  void request(int id, const std::string& method, const std::string& params) {
    send(dump_json(Json{{"id", id}, {"method", method}, {"params", parse(params)}}));
  }
  // Waits for the next message; null when the server has closed the connection.
  Json next() {
    const auto deadline = Clock::now() + seconds(20);
    while (Clock::now() < deadline) {
      auto message = framer_.next();
      EXPECT_TRUE(message);
      if (message && *message) return std::move(**message);
      if (!read_some()) return nullptr;
    }
    ADD_FAILURE() << "no message arrived";
    return nullptr;
  }
  Json call(int id, const std::string& method, const std::string& params) {
    request(id, method, params);
    return next();
  }
  // The next message as the bytes that came, with what stood before it.
  std::string next_bytes() {
    raw_.clear();
    (void)next();
    return raw_;
  }
  // True when unread bytes wait; does not run the server.
  [[nodiscard]] bool has_mail() const {
    char first = 0;
    return ::recv(fd_.get(), &first, 1, MSG_PEEK) == 1;
  }
  void close() { fd_.reset(); }

 private:
  bool read_some() {
    char buffer[4096];
    const ssize_t n = ::recv(fd_.get(), buffer, sizeof buffer, 0);
    const bool empty = n < 0 && errno == EAGAIN;
    if (n > 0) raw_.append(buffer, static_cast<std::size_t>(n));
    if (n > 0) framer_.append({buffer, static_cast<std::size_t>(n)});
    if (empty) io_.run_one_for(seconds(1));
    return n > 0 || empty;
  }
  boost::asio::io_context& io_;
  Fd fd_;
  JsonFramer framer_;
  std::string raw_;  // what came since next_bytes() was called
};

struct ServerFixture : testing::Test {
  std::string dir;
  std::string path;
  boost::asio::io_context io;
  std::unique_ptr<Database> db = open_test();
  std::unique_ptr<OvsdbServer> ovsdb = std::make_unique<OvsdbServer>(io, *db);
  std::unique_ptr<JsonRpcServer> rpc;

  void SetUp() override {
    dir = (std::filesystem::temp_directory_path() / "heddle-rpc-XXXXXX").string();
    ASSERT_NE(::mkdtemp(dir.data()), nullptr);
    path = dir + "/s";
    start();
  }
  void start(const RpcLimits& limits = {}) {
    auto opened = JsonRpcServer::listen(io, path, *ovsdb, limits);
    ASSERT_TRUE(opened) << opened.error().text;
    rpc = std::move(*opened);
  }
  void TearDown() override {
    rpc.reset();
    ovsdb.reset();
    std::filesystem::remove_all(dir);
  }
};

}  // namespace heddle::ovsdb
