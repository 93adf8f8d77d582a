// SPDX-License-Identifier: Apache-2.0
// Bridges and ports between two datapaths.
#include "tests/unit/vswitchd/world.h"

namespace heddle::vswitchd {
namespace {

using namespace test_world;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

TEST(Reconcile, UnknownDatapathType) {
  World w;
  w.add_bridge("br0", {{"datapath_type", "system"}});
  EXPECT_THAT(w.error("br0"), HasSubstr("datapath type \"system\" is not available here"));
  w.set("Bridge", "br0", {{"datapath_type", "netdev"}});
  EXPECT_EQ(w.error("br0"), "");
  EXPECT_TRUE(w.dp.all_ports().contains("br0"));
}

// Two datapaths over one database.
struct TwoDatapaths {
  World w;  // its "user" half and the database
  heddle::test::FakeDatapath kernel_dp{w.time};
  ofproto::Handler kernel_handler{kernel_dp.stations(), w.time};
  ofproto::Switch kernel{kernel_dp, kernel_handler};
  Reconciler reconciler{*w.db, {{"user", &w.sw}, {"kernel", &kernel}}, nullptr};
};

TEST(Reconcile, DatapathTypesAndTheStandard) {
  const DatapathOffer both{{{"kernel", {}}, {"user", {}}}, "", {}};
  const DatapathOffer user{{{"user", {}}}, "", {}};
  EXPECT_EQ(canonical_datapath("", both), "kernel");
  EXPECT_EQ(canonical_datapath("", user), "user");
  EXPECT_EQ(canonical_datapath("", {{{"kernel", {}}, {"user", {}}}, "user", {}}), "user");
  EXPECT_EQ(canonical_datapath("", {{{"user", {}}}, "kernel", {}}), "kernel") << "asked for, so no other will do";
  for (const DatapathOffer& offer : {both, user}) {
    EXPECT_EQ(canonical_datapath("system", offer), "kernel");
    EXPECT_EQ(canonical_datapath("kernel", offer), "kernel");
    EXPECT_EQ(canonical_datapath("netdev", offer), "user");
    EXPECT_EQ(canonical_datapath("warp", offer), "warp");
  }
  EXPECT_THAT(offered_words(both), ElementsAre("kernel", "netdev", "system", "user"));
  EXPECT_THAT(offered_words(user), ElementsAre("netdev", "user"));
}

TEST(Reconcile, TheKernelDatapathThatIsNotThereSaysWhy) {
  World w;
  Reconciler other(*w.db, {{"user", &w.sw}}, nullptr, {{}, "", {{"kernel", "no CAP_BPF"}}});
  w.insert_bridge("br0", {{"datapath_type", "system"}});
  w.insert_bridge("br1");
  other.run();
  EXPECT_THAT(w.error("br0"),
              HasSubstr("datapath type \"system\" is not available here (no CAP_BPF); set datapath_type "
                        "to one of: netdev, user"));
  EXPECT_EQ(w.error("br1"), "");
  EXPECT_THAT(w.db->rows("Open_vSwitch")[0]->get("datapath_types").strings(), ElementsAre("netdev", "user"));
}

TEST(Reconcile, ALiveBridgeMovesToAnotherDatapathAndBack) {
  TwoDatapaths t;
  World& w = t.w;
  w.insert_bridge("br0", {{"datapath_type", "user"}});
  w.add_port("br0", "vm1", Json::object(), {{"tag", 7}});
  w.add_port("br0", "vx", {{"type", "vxlan"}, {"options", w.map({{"remote_ip", "192.0.2.2"}, {"key", "1"}})}});
  t.reconciler.run();
  ASSERT_EQ(w.dp.all_ports().size(), 3U);
  EXPECT_THAT(w.db->rows("Open_vSwitch")[0]->get("datapath_types").strings(),
              ElementsAre("kernel", "netdev", "system", "user"));
  const auto number = w.ofport("vx");
  for (const auto& [type, to, from] : {std::tuple{"system", &t.kernel_dp, &w.dp}, {"netdev", &w.dp, &t.kernel_dp}}) {
    w.transact(Json::array(
        {{{"op", "update"}, {"table", "Bridge"}, {"where", w.where_name("br0")}, {"row", {{"datapath_type", type}}}}}));
    t.reconciler.run();
    EXPECT_THAT(from->all_ports(), IsEmpty()) << type;
    EXPECT_THAT(from->all_bridges(), IsEmpty()) << type;
    ASSERT_EQ(to->all_ports().size(), 3U) << type;
    EXPECT_EQ(to->all_ports().at("vm1").policy.tag, 7);
    EXPECT_EQ(w.ofport("vx"), number) << type;
    for (const char* port : {"br0", "vx"}) EXPECT_EQ(w.error(port), "") << type;
    EXPECT_THAT(from->complaints(), IsEmpty());
  }
}

// All of the old goes before any of the new comes, also when the switch that comes first by name is the one that gains.
TEST(Reconcile, APortMovesBetweenBridgesOfTwoDatapaths) {
  TwoDatapaths t;
  World& w = t.w;
  w.insert_bridge("bu", {{"datapath_type", "user"}});
  w.insert_bridge("bk", {{"datapath_type", "kernel"}});
  w.add_port("bu", "vm1");
  t.reconciler.run();
  ASSERT_TRUE(w.dp.all_ports().contains("vm1"));
  const auto uuid = Json::array({"uuid", w.db->find_by("Port", "name", ovsdb::Datum::of("vm1"))->uuid().to_string()});
  const auto mutate = [&](const char* bridge, const char* how) {
    return Json{{"op", "mutate"},
                {"table", "Bridge"},
                {"where", w.where_name(bridge)},
                {"mutations", Json::array({Json::array({"ports", how, uuid})})}};
  };
  w.transact(Json::array({mutate("bu", "delete"), mutate("bk", "insert")}));
  t.reconciler.run();
  EXPECT_FALSE(w.dp.all_ports().contains("vm1"));
  EXPECT_TRUE(t.kernel_dp.all_ports().contains("vm1"));
}

// A port whose row has become wrong keeps its settings where it is, but does not hold its bridge back.
TEST(Reconcile, ABrokenPortDoesNotStayBehindWhenItsBridgeMoves) {
  TwoDatapaths t;
  World& w = t.w;
  w.insert_bridge("br0", {{"datapath_type", "user"}});
  w.add_port("br0", "vx", {{"type", "vxlan"}, {"options", w.map({{"remote_ip", "192.0.2.2"}, {"key", "1"}})}});
  t.reconciler.run();
  w.transact(Json::array(
      {{{"op", "update"}, {"table", "Bridge"}, {"where", w.where_name("br0")}, {"row", {{"datapath_type", "kernel"}}}},
       {{"op", "update"},
        {"table", "Interface"},
        {"where", w.where_name("vx")},
        {"row", {{"options", w.map({{"key", "x"}})}}}}}));
  t.reconciler.run();
  EXPECT_THAT(w.dp.all_ports(), IsEmpty());
  EXPECT_THAT(w.error("vx"), testing::Not(HasSubstr("keeps its former settings")));
  EXPECT_EQ(w.ofport("vx"), -1);
}

TEST(Reconcile, PatchPortsOfTwoDatapathsAreParted) {
  TwoDatapaths w;
  const auto patch = [](const char* peer) {
    return Json{{"type", "patch"}, {"options", World::map({{"peer", peer}})}};
  };
  w.w.insert_bridge("br0", {{"datapath_type", "user"}});
  w.w.insert_bridge("br1", {{"datapath_type", "kernel"}});
  w.reconciler.run();
  w.w.add_port("br0", "a", patch("b"));
  w.w.add_port("br1", "b", patch("a"));
  w.reconciler.run();
  EXPECT_THAT(w.w.error("a"), HasSubstr("bridge br1, whose datapath is kernel and not user"));
  EXPECT_THAT(w.w.error("b"), HasSubstr("same datapath_type"));
  w.w.set("Bridge", "br1", {{"datapath_type", "user"}});
  w.reconciler.run();
  EXPECT_EQ(w.w.error("a") + w.w.error("b"), "");
  EXPECT_EQ(w.w.dp.all_ports().at("a").spec.peer, "b");
}

}  // namespace
}  // namespace heddle::vswitchd
