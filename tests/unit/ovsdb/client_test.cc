// SPDX-License-Identifier: Apache-2.0
// The client with a scripted peer: a thread that reads requests and writes bytes.
#include "ovsdb/client.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <cstring>
#include <filesystem>
#include <functional>
#include <string>
#include <thread>

#include "base/fd.h"

namespace heddle::ovsdb {
namespace {

class ClientTest : public ::testing::Test {
 protected:
  using Script = std::function<void(int fd)>;

  void SetUp() override {
    std::string pattern = (std::filesystem::temp_directory_path() / "client-test-XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    dir_ = pattern;
    path_ = dir_ + "/s";
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path_.c_str(), sizeof address.sun_path - 1);
    listener_ = Fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    ASSERT_EQ(::bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    ASSERT_EQ(::listen(listener_.get(), 1), 0);
  }
  void TearDown() override {
    if (peer_.joinable()) peer_.join();
    std::filesystem::remove_all(dir_);
  }

  // Connects a client to a peer that runs `script` and then closes the connection.
  Client connect(Script script) {
    auto client = Client::connect(path_, in(5000));
    EXPECT_TRUE(client.has_value());
    peer_ = std::thread([this, script = std::move(script)] {
      const Fd fd(::accept(listener_.get(), nullptr, nullptr));
      script(fd.get());
    });
    return std::move(*client);
  }
  static Deadline in(int ms) { return Clock::now() + std::chrono::milliseconds(ms); }
  static void write(int fd, const std::string& text) {
    ASSERT_EQ(::send(fd, text.data(), text.size(), MSG_NOSIGNAL), static_cast<ssize_t>(text.size()));
  }
  static Json read(int fd) {
    JsonFramer framer;
    std::array<char, 4096> buffer{};
    while (true) {
      auto message = framer.next();
      if (!message) return {};
      if (*message) return **message;
      const auto n = ::recv(fd, buffer.data(), buffer.size(), 0);
      if (n <= 0) return {};
      framer.append({buffer.data(), static_cast<std::size_t>(n)});
    }
  }

  std::string dir_;
  std::string path_;
  Fd listener_;
  std::thread peer_;
};

TEST_F(ClientTest, ReadsRepliesInPiecesAndAmongOtherMessages) {
  Json echo;
  auto client = connect([&](int fd) {
    const auto request = read(fd);
    EXPECT_EQ(request["method"], "transact");
    EXPECT_EQ(request["params"], Json::array({"db"}));
    write(fd, R"({"id":null,"method":"update","params":[1]}{"id":"e","method":"echo","params":["hi"]})");
    echo = read(fd);
    write(fd, R"({"id":99,"result":"not ours","error":null} {"id":)");
    write(fd, request["id"].dump() + R"(,"result":{"a":"}\"]"},"error":null})");
  });
  const auto result = client.call("transact", Json::array({"db"}), in(5000));
  ASSERT_TRUE(result.has_value()) << result.error().text;
  EXPECT_EQ((*result)["a"], "}\"]");
  peer_.join();
  EXPECT_EQ(echo["id"], "e");
  EXPECT_EQ(echo["result"], Json::array({"hi"}));
  const auto update = client.next_notification(in(5000));
  ASSERT_TRUE(update.has_value());
  EXPECT_EQ((*update)["params"], Json::array({1}));
}

TEST_F(ClientTest, ErrorRepliesBecomeTexts) {
  auto client = connect([](int fd) {
    for (const char* error : {R"("no bridge br9")", R"({"error":"unknown database","details":"x"})", "[1]"}) {
      write(fd, R"({"id":)" + read(fd)["id"].dump() + R"(,"result":null,"error":)" + error + "}");
    }
  });
  for (const char* text : {"no bridge br9", "unknown database: x", "[1]"}) {
    const auto result = client.call("m", Json::array(), in(5000));
    ASSERT_FALSE(result.has_value());
    EXPECT_EQ(result.error().code, Errc::invalid);
    EXPECT_EQ(result.error().text, text);
  }
}

TEST_F(ClientTest, ASilentServerTimesOut) {
  auto client = connect([](int fd) {
    read(fd);
    read(fd);  // until the client closes the connection
  });
  const auto result = client.call("m", Json::array(), in(50));
  ASSERT_FALSE(result.has_value());
  EXPECT_EQ(result.error().text, "unix:" + path_ + ": no answer in time");
  client = std::move(*Client::connect(path_, in(1000)));  // closes the first connection, so that the peer ends
}

TEST_F(ClientTest, AClosedConnectionOrMalformedMessageIsAnError) {
  for (const auto& [bytes, text] : {std::pair{"", "connection closed"}, std::pair{"HTTP/1.0 400\r\n", ""},
                                    std::pair{"[1]", "not a JSON-RPC message"},
                                    std::pair{R"({"id":1,"method":7,"params":[]})", "not a JSON-RPC message"}}) {
    auto client = connect([bytes = std::string(bytes)](int fd) {
      read(fd);
      write(fd, bytes);
    });
    const auto result = client.call("m", Json::array(), in(5000));
    ASSERT_FALSE(result.has_value());
    EXPECT_EQ(result.error().code, Errc::system);
    EXPECT_NE(result.error().text.find(text), std::string::npos) << result.error().text;
    peer_.join();
  }
}

TEST_F(ClientTest, RefusesAnImpossiblePath) {
  for (const auto& path : {std::string(), std::string(200, 'x'), dir_ + "/none"}) {
    const auto client = Client::connect(path, in(1000));
    ASSERT_FALSE(client.has_value());
    EXPECT_NE(client.error().text.find("cannot connect to unix:" + path), std::string::npos) << client.error().text;
  }
}

}  // namespace
}  // namespace heddle::ovsdb
