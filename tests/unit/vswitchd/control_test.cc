// SPDX-License-Identifier: Apache-2.0
// The control socket's commands.
#include "tests/unit/vswitchd/world.h"

namespace heddle::vswitchd {
namespace {

using namespace test_world;
using testing::HasSubstr;

TEST(Control, FdbShowReadsWell) {
  World w;
  w.add_bridge("br0");
  w.add_port("br0", "vm1");
  w.add_port("br0", "vx", {{"type", "vxlan"}, {"options", w.map({{"remote_ip", "flow"}})}});
  const auto bridge = w.dp.all_ports().at("vm1").policy.bridge;
  w.dp.source_seen({bridge, 0, MacAddr::from_u64(0x020000000002)}, {w.dp.number("vm1"), std::nullopt});
  w.dp.source_seen({bridge, 0, MacAddr::from_u64(0x020000000003)}, {w.dp.number("vx"), IpAddr::parse("192.0.2.2")});
  w.handler.work();
  ASSERT_TRUE(w.control.run("fdb-add", {"br0", "vm1", "20", "02:00:00:00:00:01"}));
  ASSERT_TRUE(w.control.run("fdb-add", {"br0", "vx", "20", "02:00:00:00:00:02", "192.0.2.3"}));
  w.time.advance(std::chrono::seconds(12));
  EXPECT_EQ(w.control.run("fdb-show", {"br0"}).value(),
            "port  VLAN  MAC                   Age  remote     origin\n"
            " vm1     0  02:00:00:00:00:02      12\n"
            "  vx     0  02:00:00:00:00:03      12  192.0.2.2\n"
            " vm1    20  02:00:00:00:00:01  static             configured\n"
            "  vx    20  02:00:00:00:00:02  static  192.0.2.3  configured\n");
  EXPECT_EQ(w.control.run("fdb-flush", {}).value(), "2 entries flushed\n");
  EXPECT_TRUE(w.control.run("fdb-del", {"br0", "20", "02:00:00:00:00:01"}));
  EXPECT_EQ(w.control.run("drops", {}).value(), "no drops\n");
}

TEST(Control, FdbStatsTellOriginsApart) {
  World w;
  w.add_bridge("br0");
  w.add_port("br0", "vm1");
  const dp::FdbKey key{w.dp.all_ports().at("vm1").policy.bridge, 0, MacAddr::from_u64(0x020000000002)};
  const dp::FdbTarget here{w.dp.number("vm1"), std::nullopt};
  // The columns' width is the longest name's affair.
  const auto stats = [&] {
    std::string text = w.control.run("fdb-stats", {"br0"}).value();
    for (std::size_t at = 0; (at = text.find("  ", at)) != std::string::npos;)
      text.replace(at, text.find_first_not_of(' ', at) - at, ": ");
    return text;
  };
  EXPECT_THAT(stats(), HasSubstr("of them static: 0\n"));
  EXPECT_THAT(stats(), testing::Not(HasSubstr("evpn")));
  ASSERT_TRUE(w.handler.call([&](ofproto::Fdb& fdb) { return fdb.put(ofproto::Origin::evpn, key, here); }));
  w.dp.source_seen(key, {w.dp.number("br0"), std::nullopt});
  w.handler.work();
  EXPECT_THAT(stats(), HasSubstr("entries: 1\n"));
  EXPECT_THAT(stats(), HasSubstr("of them evpn: 1\n"));
  EXPECT_THAT(stats(), HasSubstr("refused: moves of evpn entries: 1\n"));
  EXPECT_THAT(stats(), HasSubstr("refused: moves of static entries: 0\n"));
}

TEST(Control, ClientsAreShownByTheDoorTheyCameBy) {
  World w;
  ovsdb::RpcCounters counters;
  counters.sessions = 120;
  counters.refused = 3;
  counters.untrusted = 7;
  w.control.set_clients([&] { return Clients{{{"db.sock", 12, counters}, {"ptcp:6640", 0, {}}}, 4096}; });
  EXPECT_EQ(w.control.run("clients-show", {}).value(),
            "where      clients  accepted  refused  malformed  slow  greedy  silent  untrusted\n"
            "db.sock         12       120        3          0     0       0       0          7\n"
            "ptcp:6640        0         0        0          0     0       0       0          0\n"
            "waiting to be read, or read in part: 4096 bytes (limit 1073741824)\n");
}

TEST(Control, ExitWithCleanUpIsTheLastCommand) {
  World w;
  EXPECT_TRUE(w.control.run("exit", {})) << "what main does about it is not the matter here";
  EXPECT_THAT(w.control.run("exit", {"--clean"}).error().text, HasSubstr("usage: exit [--cleanup]"));
  EXPECT_EQ(w.cleaned_up, 0);
  EXPECT_TRUE(w.control.run("exit", {"--cleanup"}));
  EXPECT_EQ(w.cleaned_up, 1);
  EXPECT_EQ(w.control.run("port-stats", {}).error().text, "the daemon is ending");
}

struct Nobody final : ovsdb::RpcSession {
  [[nodiscard]] ovsdb::SessionId id() const override { return 1; }
  void notify(std::string_view /*method*/, ovsdb::Json /*params*/) override {}
  void notify_text(std::string_view /*method*/, std::string_view /*params*/) override {}
};

// The socket is there before the switches are.
TEST(Control, CommandsWaitForTheSwitches) {
  World w;
  w.add_bridge("br0");
  bool ended = false;
  Control control{{[] {}, [&] { ended = true; }}};
  ovsdb::RpcMethods methods;
  control.add_to(methods);
  Nobody session;
  std::vector<std::string> answers;
  const auto ask = [&](const char* command, const Json& params) {
    methods.request(session, 1, command, params, [&](const ovsdb::RpcReply& reply) {
      answers.push_back(reply.error.is_null() ? reply.result.get<std::string>() : reply.error.dump());
    });
  };
  ask("drops", Json::array());
  ask("drops", Json::array({"vm9"}));
  ask("exit", Json::array());
  EXPECT_TRUE(answers.empty());
  EXPECT_FALSE(ended);
  for (std::size_t i = 3; i < limits::kClients; ++i) ask("drops", Json::array());
  EXPECT_TRUE(answers.empty());
  ask("drops", Json::array());
  EXPECT_THAT(answers, testing::ElementsAre(HasSubstr("the daemon is starting; try again")));

  answers.clear();
  control.begin({{"user", &w.sw}});
  ASSERT_EQ(answers.size(), limits::kClients);
  EXPECT_EQ(answers[0], "no drops\n");
  EXPECT_THAT(answers[1], HasSubstr("ports: br0"));
  EXPECT_TRUE(ended);
  ask("drops", Json::array());
  EXPECT_EQ(answers.back(), "no drops\n") << "from now on at once";
}

TEST(Control, LogLevelsInTheWordsPeopleKnow) {
  World w;
  const auto level = [&](std::vector<std::string> args) {
    EXPECT_TRUE(w.control.run("vlog/set", args)) << args.front();
    return spdlog::get_level();
  };
  const auto before = spdlog::get_level();
  EXPECT_EQ(level({"dbg"}), spdlog::level::debug);
  EXPECT_EQ(level({"err"}), spdlog::level::err);
  EXPECT_EQ(level({"ANY:file:dbg"}), spdlog::level::debug);
  EXPECT_EQ(level({"any:console:WARN"}), spdlog::level::warn);
  EXPECT_THAT(w.control.run("vlog/list", {}).value(), HasSubstr("ANY"));
  EXPECT_THAT(w.control.run("vlog/list", {}).value(), HasSubstr("WARN"));
  EXPECT_EQ(level({"emer"}), spdlog::level::critical);
  EXPECT_EQ(level({"info", "file:off"}), spdlog::level::off);
  EXPECT_EQ(level({"trace"}), spdlog::level::trace);
  EXPECT_EQ(level({"syslog:off"}), spdlog::level::trace) << "there is none";
  spdlog::set_level(before);
}

TEST(Control, CommandsOfOpenVSwitchThatExportersSend) {
  World w;
  w.add_bridge("br0");
  w.add_port("br0", "vm1");
  const auto answer = [&](const std::string& command) { return w.control.run(command, {}).value(); };
  EXPECT_EQ(answer("ofproto/list"), "br0\n");
  EXPECT_THAT(answer("dpif/show"), HasSubstr("  br0:\n    br0 65534/"));
  EXPECT_THAT(answer("dpif/show"), HasSubstr("    vm1 1/"));
  EXPECT_THAT(answer("dpctl/show"), HasSubstr(": vm1 (system)\n"));
  EXPECT_EQ(answer("memory/show"), "bridges:1 ports:2 macs:0\n");
  EXPECT_EQ(answer("ovsdb-server/compact"), "");
}

TEST(Control, ErrorsNameTheObject) {
  World w;
  w.add_bridge("br0");
  w.add_bridge("br1");
  const auto error = [&](const std::string& command, const Control::Args& args) {
    const auto r = w.control.run(command, args);
    return r ? "no error" : r.error().text;
  };
  EXPECT_EQ(error("fdb-show", {"br9"}), "bridge br9 does not exist; bridges: br0, br1");
  EXPECT_EQ(error("fdb-show", {}), "usage: fdb-show BRIDGE");
  EXPECT_THAT(error("fdb-add", {"br0", "br0", "4096", "02:00:00:00:00:01"}), HasSubstr("VLAN \"4096\""));
  EXPECT_THAT(error("fdb-add", {"br0", "br0", "1", "02:00"}), HasSubstr("\"02:00\" is not a MAC address"));
  EXPECT_THAT(error("fdb-add", {"br0", "br0", "1", "01:00:5e:00:00:01"}), HasSubstr("not the address of one station"));
  EXPECT_THAT(error("fdb-add", {"br0", "br0", "0", "02:00:00:00:00:01", "192.0.2"}),
              HasSubstr("\"192.0.2\" is not an IP address"));
  EXPECT_THAT(error("fdb-add", {"br0", "br0", "0", "02:00:00:00:00:01", "192.0.2.1"}),
              HasSubstr("leave 192.0.2.1 out"));
  EXPECT_THAT(error("drops", {"vm9"}), HasSubstr("ports: br0, br1"));
  EXPECT_THAT(error("vlog/set", {"loud"}), HasSubstr("\"loud\""));
  EXPECT_THAT(error("vlog/set", {"bridge:file:dbg"}), HasSubstr("leave module names out"));
  EXPECT_THAT(error("vlog/set", {"syslog:dbg"}), HasSubstr("nothing is logged to syslog"));
  EXPECT_THAT(error("vlog/set", {"PATTERN:file:%m"}), HasSubstr("the form of the log's lines is fixed"));
  EXPECT_THAT(error("coverage/show", {}), HasSubstr("no coverage counters; drops and port-stats"));
  EXPECT_EQ(error("ofproto/list", {"br0"}), "usage: ofproto/list");
  EXPECT_THAT(error("no-such", {}), HasSubstr("\"no-such\" is not a command"));
}

}  // namespace
}  // namespace heddle::vswitchd
