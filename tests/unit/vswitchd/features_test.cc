// SPDX-License-Identifier: Apache-2.0
// Columns that ask for more than switching: mirrors, fail mode, policing, QoS, patch ports, MTU of others' devices.
#include "tests/unit/vswitchd/world.h"
#include "vswitchd/qos_config.h"

namespace heddle::vswitchd {
namespace {

using namespace test_world;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

struct Features : testing::Test, World {
  Features() {
    for (const char* name : {"p1", "p2", "p3"}) device(name);
    add_bridge("br0");
    for (const char* name : {"p1", "p2", "p3"}) add_port("br0", name);
  }
  ovsdb::RowRef mirror(const std::string& name) const { return db->find_by("Mirror", "name", ovsdb::Datum::of(name)); }
  void give_qos(const std::string& port, const Json& qos, const Json& queue) {
    insert_qos(port, qos, queue);
    reconciler.run();
  }
  std::optional<dp::QosSpec> qos(const std::string& port) const { return dp.all_ports().at(port).qos; }
};

TEST_F(Features, AMirrorIsThePortsItNames) {
  add_mirror("br0", "m0",
             {{"select_src_port", ref("Port", "p1")}, {"select_vlan", 7}, {"output_port", ref("Port", "p3")}});
  const auto policy = dp.bridge_policy("br0");
  ASSERT_THAT(policy.mirrors, SizeIs(1));
  const dp::MirrorSpec& spec = policy.mirrors.at(0);
  EXPECT_THAT(spec.from, ElementsAre(dp.number("p1")));
  EXPECT_THAT(spec.to, IsEmpty());
  EXPECT_EQ(spec.output, dp.number("p3"));
  EXPECT_TRUE(spec.vlans.test(7));
  EXPECT_EQ(spec.vlans.count(), 1U);
}

TEST_F(Features, AMirrorKeepsItsSlotAndItsCounters) {
  add_mirror("br0", "m0", {{"select_all", true}, {"output_port", ref("Port", "p3")}});
  add_mirror("br0", "m1", {{"select_all", true}, {"output_vlan", 99}});
  const dp::BridgeId br0 = dp.all_bridges().at("br0");
  const auto slot = [&](const auto& wanted) {
    for (const auto& [n, spec] : dp.bridge_policy("br0").mirrors)
      if (wanted(spec)) return n;
    return 99U;
  };
  const unsigned rspan = slot([](const dp::MirrorSpec& m) { return m.output_vlan == 99; });
  dp.count_mirror(br0, rspan, {5, 500});
  reconciler.refresh_statistics();
  const auto statistics = mirror("m1")->get("statistics");
  EXPECT_EQ(statistics, ovsdb::Datum::map({{"tx_packets", std::int64_t{5}}, {"tx_bytes", std::int64_t{500}}}));
  transact(Json::array({{{"op", "mutate"},
                         {"table", "Bridge"},
                         {"where", where_name("br0")},
                         {"mutations", Json::array({Json::array({"mirrors", "delete", ref("Mirror", "m0")})})}}}));
  reconciler.run();
  EXPECT_EQ(slot([](const dp::MirrorSpec& m) { return m.output_vlan == 99; }), rspan);
  EXPECT_THAT(dp.bridge_policy("br0").mirrors, SizeIs(1));
}

TEST_F(Features, AMirrorWhoseOutputLeavesIsNoMirrorAny) {
  add_mirror("br0", "m0", {{"select_all", true}, {"output_port", ref("Port", "p3")}});
  remove_port("br0", "p3");
  EXPECT_THAT(dp.bridge_policy("br0").mirrors, IsEmpty());
  EXPECT_TRUE(mirror("m0")->get("statistics").empty());
}

TEST_F(Features, APortThatAMirrorWaitsForIsTakenUp) {
  add_bridge("br1");
  add_mirror("br0", "m0", {{"select_src_port", ref("Port", "p1")}, {"output_port", ref("Port", "p3")}});
  device("p1");
  const dp::PortNo before = dp.number("p1");
  remove_port("br0", "p1");
  EXPECT_THAT(dp.bridge_policy("br0").mirrors.at(0).from, IsEmpty());
  add_port("br1", "p1");
  EXPECT_THAT(dp.bridge_policy("br0").mirrors.at(0).from, IsEmpty()) << "p1 is in br1 now";
  EXPECT_NE(before, dp::PortNo::none);
}

TEST_F(Features, StationsBehindAMirrorsPortAreForgotten) {
  const auto seen = [&](const char* port, dp::VlanId vlan, const char* mac) {
    dp.source_seen({dp.all_bridges().at("br0"), vlan, *MacAddr::parse(mac)}, {dp.number(port), std::nullopt});
    handler.work();
  };
  seen("p1", 0, "02:00:00:00:00:01");
  seen("p2", 8, "02:00:00:00:00:02");
  seen("p3", 0, "02:00:00:00:00:03");
  ASSERT_THAT(dp.fdb(), SizeIs(3));
  add_mirror("br0", "m0", {{"select_all", true}, {"output_port", ref("Port", "p3")}});
  EXPECT_THAT(dp.fdb(), SizeIs(2));
  set("Bridge", "br0", {{"flood_vlans", 8}});
  EXPECT_TRUE(dp.bridge_policy("br0").flood_vlans.test(8));
  EXPECT_THAT(dp.fdb(), SizeIs(1));
}

TEST_F(Features, UnknownFramesCanBeKeptOffTunnels) {
  EXPECT_TRUE(dp.bridge_policy("br0").flood_unknown);
  set("Bridge", "br0", {{"other_config", map({{"flood-unknown", "false"}})}});
  EXPECT_FALSE(dp.bridge_policy("br0").flood_unknown);
  set("Bridge", "br0", {{"other_config", map({{"flood-unknown", "maybe"}})}});
  EXPECT_TRUE(dp.bridge_policy("br0").flood_unknown);
}

TEST_F(Features, FailModeSecureStopsTheBridge) {
  EXPECT_FALSE(dp.bridge_policy("br0").secure);
  set("Bridge", "br0", {{"fail_mode", "secure"}});
  EXPECT_TRUE(dp.bridge_policy("br0").secure);
  set("Bridge", "br0", {{"fail_mode", "standalone"}});
  EXPECT_FALSE(dp.bridge_policy("br0").secure);
}

TEST_F(Features, ABridgeWithoutNewsIsNotSetAgain) {
  add_mirror("br0", "m0", {{"select_all", true}, {"output_port", ref("Port", "p3")}});
  const auto calls = dp.bridge_calls();
  reconciler.run();
  set("Interface", "p1", {{"external_ids", map({{"a", "b"}})}});
  EXPECT_EQ(dp.bridge_calls(), calls);
}

TEST_F(Features, Policing) {
  struct Case {
    Json columns;
    dp::Policing want;
  };
  for (const auto& [columns, want] : std::initializer_list<Case>{
           {{{"ingress_policing_rate", 1000}}, {1'000'000, 8'000'000, 0, 0}},
           {{{"ingress_policing_burst", 100}}, {1'000'000, 100'000, 0, 0}},
           {{{"ingress_policing_rate", 0}}, {}},
           {{{"ingress_policing_kpkts_rate", 2}}, {0, 0, 2000, 16'000}},
           {{{"ingress_policing_kpkts_burst", 1}}, {0, 0, 2000, 1000}},
           {{{"ingress_policing_kpkts_rate", 0}}, {}},
       }) {
    set("Interface", "p1", columns);
    EXPECT_EQ(dp.all_ports().at("p1").policy.policing, want) << columns.dump();
  }
}

TEST_F(Features, QosOfAPort) {
  give_qos(
      "p1", {{"type", "linux-htb"}, {"other_config", map({{"max-rate", "8000000"}})}},
      {{"other_config", map({{"min-rate", "1000"}, {"max-rate", "4000000"}, {"burst", "80000"}, {"priority", "2"}})}});
  const auto spec = qos("p1");
  ASSERT_TRUE(spec);
  EXPECT_EQ(spec->max_rate, 8'000'000U);
  EXPECT_EQ(spec->queues.at(0), (dp::QosQueue{1000, 4'000'000, 10'000, 2}));
  EXPECT_EQ(error("p1"), "");
  set("Port", "p1", {{"qos", Json::array({"set", Json::array()})}});
  EXPECT_FALSE(qos("p1"));
}

TEST_F(Features, QosWithoutARateHasTheLinks) {
  give_qos("p1", {{"type", "linux-htb"}}, Json::object());
  ASSERT_TRUE(qos("p1"));
  EXPECT_EQ(qos("p1")->max_rate, 10'000'000'000U);
}

TEST_F(Features, QosThatCannotBe) {
  give_qos("p1", {{"type", "linux-sfq"}}, Json::object());
  EXPECT_FALSE(qos("p1"));
  EXPECT_EQ(db->find_by("Port", "name", ovsdb::Datum::of("p1"))->get("status").at("no_effect"), "qos");
  add_port("br0", "vx", {{"type", "vxlan"}, {"options", map({{"remote_ip", "192.0.2.2"}})}});
  give_qos("vx", {{"type", "linux-htb"}}, Json::object());
  EXPECT_THAT(error("vx"), HasSubstr("a tunnel has no queues"));
  EXPECT_GT(ofport("vx"), 0) << "the port works all the same";
}

TEST_F(Features, QosNumbersThatAreNone) {
  give_qos("p1", {{"type", "linux-htb"}, {"other_config", map({{"max-rate", "10Mbit"}})}},
           {{"other_config", map({{"min-rate", "9000"}, {"max-rate", "8000"}, {"priority", "88"}})}});
  ASSERT_TRUE(qos("p1"));
  EXPECT_EQ(qos("p1")->max_rate, 10'000'000'000U);
  EXPECT_EQ(qos("p1")->queues.at(0), (dp::QosQueue{8000, 8000, 0, 7}));
}

TEST_F(Features, APatchPortNeedsAPeer) {
  add_port("br0", "a", {{"type", "patch"}});
  EXPECT_THAT(error("a"), HasSubstr("options:peer"));
  EXPECT_EQ(ofport("a"), -1);
  set("Interface", "a", {{"options", map({{"peer", "a"}})}});
  EXPECT_THAT(error("a"), HasSubstr("options:peer")) << "itself";
  set("Interface", "a", {{"options", map({{"peer", "b"}})}});
  EXPECT_EQ(error("a"), "");
  EXPECT_EQ(dp.all_ports().at("a").spec.peer, "b");
  EXPECT_GT(ofport("a"), 0);
  set("Interface", "a", {{"options", map({{"peer", "c"}})}});
  EXPECT_EQ(dp.all_ports().at("a").spec.peer, "c");
}

TEST_F(Features, MtuOfADeviceThatIsNotOurs) {
  set("Interface", "p1", {{"mtu_request", 1400}});
  ASSERT_THAT(device_calls, SizeIs(1));
  EXPECT_EQ(device_calls[0].ifindex, 7);
  EXPECT_EQ(device_calls[0].mtu, 1400U);
  EXPECT_FALSE(device_calls[0].mac);
  reconciler.run();
  EXPECT_THAT(device_calls, SizeIs(1)) << "it has it";
  set("Interface", "p1", {{"mtu_request", 60}});
  EXPECT_THAT(error("p1"), HasSubstr("68 to 65535"));
}

}  // namespace
}  // namespace heddle::vswitchd
