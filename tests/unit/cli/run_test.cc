// SPDX-License-Identifier: Apache-2.0
// Whole command lines with the real database engine.
#include <chrono>

#include "tests/unit/cli/fake_switch.h"

namespace heddle::cli {
namespace {

using Vsctl = FakeSwitch;

TEST_F(Vsctl, TheTour) {
  ok("add-br br0");
  ok("add-port br0 vm1");
  ok("add-port br0 vm2 tag=20");
  ok("add-port br0 vx10 -- set Interface vx10 type=vxlan options:remote_ip=192.0.2.2 options:key=10");
  const auto tree = ok("show");
  EXPECT_EQ(tree.substr(tree.find('\n') + 1), R"(    Bridge br0
        Port br0
            Interface br0
                type: internal
        Port vm1
            Interface vm1
        Port vm2
            tag: 20
            Interface vm2
        Port vx10
            Interface vx10
                type: vxlan
                options: {key="10", remote_ip="192.0.2.2"}
)");
  EXPECT_EQ(ok("list-ports br0"), "vm1\nvm2\nvx10\n");
  EXPECT_EQ(ok("port-to-br vx10"), "br0\n");
  EXPECT_EQ(ok("iface-to-br vm1"), "br0\n");
  EXPECT_EQ(ok("get Interface vm1 ofport error"), "1\n[]\n");
  ok("del-port br0 vm1");
  ok("del-br br0");
  EXPECT_EQ(ok("list-br") + ok("list Port") + ok("list Interface"), "");
}

TEST_F(Vsctl, AFaultyInterfaceIsAnErrorAndStays) {
  ok("add-br br0");
  const auto said = vsctl("add-port br0 missing1");
  EXPECT_EQ(said.code, 1);
  EXPECT_NE(said.err.find("vsctl: interface missing1: no such device"), std::string::npos) << said.err;
  EXPECT_NE(said.err.find("vsctl del-port br0 missing1"), std::string::npos) << said.err;
  EXPECT_EQ(ok("list-ports br0"), "missing1\n");
  ok("add-port br0 vm1");                                // another port's error does not matter
  refuses("set Port missing1 tag=3", "no such device");  // a port has the errors of its interfaces
  refuses("add-br missing2", "vsctl del-br missing2");   // a bridge has the error of its own interface
  EXPECT_EQ(vsctl("--no-wait set Port missing1 tag=4").code, 0);
}

TEST_F(Vsctl, ATransactionIsAllOrNothing) {
  ok("add-br br0");
  refuses("add-port br0 vm1 -- add-port br9 vm2", "no bridge named br9");
  refuses("add-port br0 vm1 -- set Port vm1 tag=5000", "table Port, column tag: 5000 is out of range");
  refuses("add-port br0 vm1 trunks=1,4096", "table Port, column trunks: 4096 is out of range");
  refuses("add-port br0 vm1 vlan_mode=both", "both is not one of: access, trunk");
  EXPECT_EQ(ok("list-ports br0"), "");
  ok("--dry-run add-port br0 vm1");
  EXPECT_EQ(ok("list-ports br0"), "");
}

TEST_F(Vsctl, MayExistAndIfExistsAcceptExistingAndMissingRecords) {
  ok("add-br br0 -- add-port br0 vm1 -- add-br br1");
  refuses("add-br br0", "a bridge named br0 already exists");
  ok("--may-exist add-br br0 -- --may-exist add-port br0 vm1");
  refuses("--may-exist add-port br1 vm1", "a port of bridge br0");
  refuses("add-port br1 vm1", "a port named vm1 already exists on bridge br0");
  refuses("add-br vm1", "a port named vm1 already exists on bridge br0");
  refuses("del-port br1 vm1", "a port of bridge br0");
  refuses("del-port br0 br0", "del-br br0");
  refuses("del-port vm9", "no port named vm9");
  ok("--if-exists del-port vm9 -- --if-exists del-br br9");
  EXPECT_EQ(vsctl("br-exists br0").code, 0);
  const auto absent = vsctl("br-exists br9");
  EXPECT_EQ(absent.code, 2);
  EXPECT_EQ(absent.out + absent.err, "");
}

TEST_F(Vsctl, RecordsAreReadAndChanged) {
  ok("add-br br0 -- add-port br0 vm1");
  ok("set bridge br0 external-ids:a=1 EXTERNAL_IDS:b=x:y -- add Bridge br0 external_ids c=3");
  EXPECT_EQ(ok("get Bridge br0 ext"), "{a=\"1\", b=\"x:y\", c=\"3\"}\n");
  ok("remove Bridge br0 external_ids a b=other c=3");
  EXPECT_EQ(ok("br-get-external-id br0"), "b=x:y\n");
  ok("set Port vm1 trunks=3,1 -- add Port vm1 trunks 2 -- remove Port vm1 trunks 1");
  EXPECT_EQ(ok("get Port vm1 trunks"), "[2, 3]\n");
  ok("clear Port vm1 trunks");
  EXPECT_EQ(ok("get Port vm1 trunks"), "[]\n");
  refuses("get Bridge br0 external_ids:none", "no key none in record br0");
  EXPECT_EQ(ok("--if-exists get Bridge br0 external_ids:none"), "\n");
  refuses("set Port vm1 name=vm2", "read-only");
  refuses("clear Port vm1 interfaces", "cannot be empty");
  refuses("set Port vm1 t=1", "more than one column of table Port: tag, trunks");
  refuses("get Port . name", "has 2");
  const auto uuid = ok("get Port vm1 _uuid");
  EXPECT_EQ(ok("get Port " + uuid.substr(0, 8) + " name"), "vm1\n");
}

TEST_F(Vsctl, ConditionsSelectRecords) {
  ok("add-br br0 -- add-port br0 a tag=1 -- add-port br0 b tag=2 trunks=1,2 -- set Interface b options:key=5");
  const std::pair<const char*, const char*> cases[] = {
      {"Port tag=1", "a\n"},
      {"Port tag>1", "b\n"},
      {"Port tag=[]", "br0\n"},
      {"Port trunks{>=}1", "b\n"},
      {"Port trunks{>=}3", ""},
      {"Port tag{in}2,3 name!=br0", "b\n"},
      {"Interface options:key=5", "b\n"},
      {"Interface options:key!=5", ""},
  };
  for (const auto& [words, names] : cases) {
    EXPECT_EQ(ok(std::string("--no-headings --columns=name find ") + words), names) << words;
  }
}

TEST_F(Vsctl, NewRecordsHaveNames) {
  ok("add-br br0 -- add-port br0 vm1");
  const auto uuid = ok("set Port vm1 qos=@q -- --id=@q create QoS type=linux-htb other_config:max-rate=1");
  EXPECT_EQ(ok("get Port vm1 qos"), uuid);
  EXPECT_EQ(ok("get QoS vm1 type"), "linux-htb\n");  // found by its port's name
  EXPECT_EQ(ok("--id=@p get Port vm1 -- remove Port vm1 qos " + uuid.substr(0, 36)), "");
  refuses("set Port vm1 qos=@x", "@x is used, but no command makes it");
  const auto warned = vsctl("create Controller target=x");
  EXPECT_NE(warned.err.find("nothing refers to the new record"), std::string::npos) << warned.err;
}

TEST_F(Vsctl, OutputFormats) {
  ok("add-br br0 -- add-port br0 vm1 trunks=1,2");
  EXPECT_EQ(ok("--columns=name,trunks list Port vm1"), "name                : vm1\ntrunks              : [1, 2]\n");
  EXPECT_EQ(ok("--format=table --columns=name,trunks list Port vm1"), "name trunks\n---- ------\nvm1  [1, 2]\n");
  EXPECT_EQ(ok("--format=csv --columns=name,trunks list Port vm1"), "name,trunks\nvm1,\"[1, 2]\"\n");
  EXPECT_EQ(ok("--format=json --columns=name,trunks list Port vm1"),
            R"({"data":[["vm1",["set",[1,2]]]],"headings":["name","trunks"]})"
            "\n");
  EXPECT_EQ(ok("--oneline list-ports br0 -- get Port vm1 name trunks"), "vm1\nvm1\\n[1, 2]\n");
}

TEST_F(Vsctl, WithoutAReplyItTimesOut) {
  ok("add-br br0");
  refuses("--timeout=1 wait-until Bridge br9", "not met in time");
  on_switch([this] { confirms_ = false; });
  refuses("--timeout=1 add-port br0 vm1", "timed out while waiting for the switch to apply configuration");
  EXPECT_EQ(ok("list-ports br0"), "vm1\n");  // but the change is committed
}

TEST_F(Vsctl, WaitUntilSeesAnotherClientsChange) {
  auto waiting =
      std::async(std::launch::async, [this] { return vsctl("--timeout=20 wait-until Bridge br0 -- list-br"); });
  ok("add-br br0");
  const auto said = waiting.get();
  EXPECT_EQ(said.code, 0) << said.err;
  EXPECT_EQ(said.out, "br0\n");
}

TEST_F(Vsctl, ConcurrentRunsLoseNoChange) {
  ok("add-br br0");
  constexpr int kWriters = 4;
  constexpr int kEach = 8;
  std::vector<std::future<void>> writers;
  for (int w = 0; w < kWriters; ++w) {
    writers.push_back(std::async(std::launch::async, [this, w] {
      for (int i = 0; i < kEach; ++i) {
        const auto name = "p" + std::to_string(w) + "-" + std::to_string(i);
        ok("add-port br0 " + name + " -- set Bridge br0 external_ids:" + name + "=x");
      }
    }));
  }
  for (auto& writer : writers) writer.get();
  const auto ports = ok("list-ports br0");
  EXPECT_EQ(std::count(ports.begin(), ports.end(), '\n'), kWriters * kEach);
  const auto ids = ok("br-get-external-id br0");
  EXPECT_EQ(std::count(ids.begin(), ids.end(), '\n'), kWriters * kEach);
}

TEST_F(Vsctl, TheDaemonIsAskedAfterTheDatabase) {
  refuses("fdb-show br0", "is vswitchd running?");
  serve_control();
  EXPECT_EQ(ok("add-br br0 -- fdb-show br0 -- list-br -- drops"), "br0\nfdb-show [\"br0\"]\ndrops []\n");
  EXPECT_EQ(ok("fdb-add br0 vm1 20 02:00:00:00:00:01"), "fdb-add [\"br0\",\"vm1\",\"20\",\"02:00:00:00:00:01\"]\n");
  refuses("fdb-add br0 vm1 5000 02:00:00:00:00:01", "fdb-add: \"5000\" is not a VLAN");
  EXPECT_EQ(ok("fdb-add br0 vx 0 02:00:00:00:00:01 192.0.2.3"),
            "fdb-add [\"br0\",\"vx\",\"0\",\"02:00:00:00:00:01\",\"192.0.2.3\"]\n");
  refuses("fdb-add br0 vx 0 02:00:00:00:00:01 192.0.2", "fdb-add: \"192.0.2\" is not an IP address");
  refuses("fdb-add br0 vx 0 02:00:00:00:00:01 192.0.2.3 more", "BRIDGE PORT VLAN MAC [REMOTE]");
  refuses("fdb-del br0 1 02:00", "\"02:00\" is not a MAC address");
  refuses("fdb-flush brX", "fdb-flush: no bridge brX");
  std::ofstream(dir_ + "/vswitchd.pid") << "99\n";  // of a dead daemon
  EXPECT_EQ(ok("drops vm1"), "drops [\"vm1\"]\n");
}

TEST(VsctlAlone, NeedsADaemon) {
  std::ostringstream out;
  std::ostringstream err;
  EXPECT_EQ(run({"--rundir=/nonexistent", "show"}, "", out, err), 1);
  EXPECT_EQ(err.str(),
            "vsctl: cannot connect to unix:/nonexistent/db.sock: No such file or directory; is vswitchd running?\n");
  std::ostringstream tcp;
  EXPECT_EQ(run({"--db=tcp:127.0.0.1:1", "show"}, "", out, tcp), 1);  // no server listens on TCP port 1
  EXPECT_EQ(run({"--db=tcp:[::1", "show"}, "", out, tcp), 1);
  EXPECT_EQ(run({"--db=tcp:", "show"}, "", out, tcp), 1);
  EXPECT_NE(tcp.str().find("cannot connect to tcp:127.0.0.1:1: Connection refused"), std::string::npos) << tcp.str();
  EXPECT_NE(tcp.str().find("cannot connect to tcp:: it takes tcp:HOST:PORT"), std::string::npos) << tcp.str();
  EXPECT_EQ(run({"--version"}, "", out, err), 0);
  EXPECT_EQ(out.str(), "vsctl (Heddle) " HEDDLE_VERSION "\n");
}

}  // namespace
}  // namespace heddle::cli
