// SPDX-License-Identifier: Apache-2.0
// Passive and active remotes. TLS is tested with the real clients (tests/conformance/test_ovsdb.py).
#include "ovsdb/remotes.h"

#include "tests/unit/ovsdb/rpc_fixture.h"

namespace heddle::ovsdb {
namespace {

using std::chrono::milliseconds;

TEST(Target, ParsesConnectionMethods) {
  const auto check = [](const char* text, bool passive, bool tls, const char* place, std::uint16_t port) {
    const auto target = Target::parse(text);
    ASSERT_TRUE(target) << text;
    EXPECT_EQ(target->passive, passive) << text;
    EXPECT_EQ(target->tls, tls) << text;
    EXPECT_EQ(target->place, place) << text;
    EXPECT_EQ(target->port, port) << text;
  };
  check("ptcp:", true, false, "", 6640);
  check("ptcp:6632", true, false, "", 6632);
  check("ptcp:0:127.0.0.1", true, false, "127.0.0.1", 0);
  check("pssl:6640:[::1]", true, true, "::1", 6640);
  check("tcp:192.0.2.1", false, false, "192.0.2.1", 6640);
  check("tcp:[2001:db8::1]:99", false, false, "2001:db8::1", 99);
  check("ssl:manager.example:6640", false, true, "manager.example", 6640);
  EXPECT_EQ(Target::parse("punix:/x/y:z")->place, "/x/y:z");
  for (const char* bad : {"", "tcp", "tcp:", "tcp::5", "ptcp:x", "ptcp:70000", "ptcp:-1", "tcp:a:0", "tcp:a:b",
                          "http:a:1", "pssl:1:2:3", "tcp:[::1:5", "tcp:2001:db8::1:5", "unix:", "punix:", "ptcp:1:[]"})
    EXPECT_FALSE(Target::parse(bad)) << bad;
  EXPECT_FALSE(Target::parse("unix:/" + std::string(200, 'x')));
}

struct RemotesTest : ServerFixture {
  std::unique_ptr<RpcRemotes> remotes;
  std::map<std::string, std::pair<Target, RemoteOptions>> wanted;

  void TearDown() override {
    remotes.reset();
    ServerFixture::TearDown();
  }
  void add(const std::string& text, RemoteOptions options = {}) {
    wanted.insert_or_assign(text, std::pair(Target::parse(text).value(), options));
    if (!remotes) remotes = std::make_unique<RpcRemotes>(io, *ovsdb, Tls::make());
    remotes->set(wanted);
  }
  template <typename Condition>
  void until(const Condition& condition, const char* what) {
    const auto deadline = Clock::now() + seconds(20);
    while (!condition()) {
      ASSERT_LT(Clock::now(), deadline) << what;
      io.run_one_for(milliseconds(20));
    }
  }
};

TEST_F(RemotesTest, ListensOnTcpAndFilesUntilRemoved) {
  add("ptcp:0:127.0.0.1");
  add("punix:" + dir + "/other");
  const auto port = remotes->status("ptcp:0:127.0.0.1")->port;
  ASSERT_NE(port, 0);
  TestClient a(io, port);
  TestClient b(io, dir + "/other");
  EXPECT_EQ(a.call(1, "list_dbs", "[]")["result"][0], "T");
  EXPECT_EQ(b.call(1, "list_dbs", "[]")["result"][0], "T");
  EXPECT_TRUE(remotes->status("ptcp:0:127.0.0.1")->connected);
  struct stat info {};
  ASSERT_EQ(::stat((dir + "/other").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777U, 0600U);

  wanted.erase("punix:" + dir + "/other");
  remotes->set(wanted);
  EXPECT_TRUE(b.next().is_null()) << "closed with its remote";
  EXPECT_NE(::access((dir + "/other").c_str(), F_OK), 0);
  EXPECT_EQ(a.call(2, "echo", "[]")["id"], 2) << "the other session is not disturbed";
  EXPECT_FALSE(remotes->status("punix:" + dir + "/other"));
}

TEST_F(RemotesTest, AFailedListenerTriesAgain) {
  const std::string text = "punix:" + path;
  RemoteOptions options;
  options.max_backoff = milliseconds(20);
  add(text, options);  // the fixture's own server listens there
  EXPECT_EQ(remotes->status(text)->state, "BACKOFF");
  EXPECT_NE(remotes->status(text)->last_error.find("listens there already"), std::string::npos);
  rpc.reset();
  until([&] { return remotes->status(text)->state == "LISTENING"; }, "it listens once the place is free");
  EXPECT_EQ(TestClient(io, path).call(1, "echo", "[]")["id"], 1);

  add("pssl:0:127.0.0.1", options);
  EXPECT_NE(remotes->status("pssl:0:127.0.0.1")->last_error.find("--private-key"), std::string::npos);
}

// A manager that listens for the switch to connect.
struct Manager {
  Fd listener;
  std::uint16_t port = 0;
  Manager() : listener(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    EXPECT_EQ(::bind(listener.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(::listen(listener.get(), 4), 0);
    EXPECT_EQ(::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &size), 0);
    port = ntohs(address.sin_port);
  }
};

TEST_F(RemotesTest, ConnectsToAManagerAndReconnects) {
  Manager manager;
  const std::string text = "tcp:127.0.0.1:" + std::to_string(manager.port);
  RemoteOptions options;
  options.max_backoff = milliseconds(20);
  options.probe = Duration::zero();
  add(text, options);
  for (int round = 0; round < 2; ++round) {
    Fd fd;
    until([&] { return fd.reset(::accept4(manager.listener.get(), nullptr, nullptr, SOCK_NONBLOCK)), bool(fd); },
          "a call comes");
    until([&] { return remotes->status(text)->connected; }, "the session is open");
    EXPECT_EQ(remotes->status(text)->state, "ACTIVE");
    TestClient peer(io, std::move(fd));
    EXPECT_EQ(peer.call(1, "list_dbs", "[]")["result"][0], "T");
    peer.close();
    until([&] { return !remotes->status(text)->connected; }, "the end is noticed");
    EXPECT_FALSE(remotes->status(text)->last_error.empty());
  }
}

TEST_F(RemotesTest, ASilentPeerIsProbedAndDisconnected) {
  RemoteOptions options;
  options.probe = milliseconds(30);
  add("ptcp:0:127.0.0.1", options);
  const auto port = remotes->status("ptcp:0:127.0.0.1")->port;
  TestClient silent(io, port);
  EXPECT_EQ(silent.next(), parse("{'id':'echo','method':'echo','params':[]}"));
  EXPECT_TRUE(silent.next().is_null()) << "it did not answer";
  until([&] { return remotes->status("ptcp:0:127.0.0.1")->last_error.find("probe") != std::string::npos; },
        "the status says why");

  TestClient alive(io, port);
  for (int i = 0; i < 4; ++i) {
    EXPECT_EQ(alive.next()["method"], "echo") << "probe " << i;
    alive.send(R"({"id":"echo","result":[],"error":null})");
  }
}

}  // namespace
}  // namespace heddle::ovsdb
