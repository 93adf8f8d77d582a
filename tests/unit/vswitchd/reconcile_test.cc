// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/vswitchd/world.h"

namespace heddle::vswitchd {
namespace {

using namespace test_world;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

TEST(Reconcile, EmptyDatabaseGetsItsRoot) {
  World w;
  const auto roots = w.db->rows("Open_vSwitch");
  ASSERT_EQ(roots.size(), 1U);
  EXPECT_EQ(roots[0]->get("ovs_version").string_or(""), HEDDLE_VERSION);
  EXPECT_THAT(roots[0]->get("iface_types").strings(), testing::Contains("vxlan"));
  w.reconciler.run();
  EXPECT_EQ(w.db->rows("Open_vSwitch").size(), 1U);
}

TEST(Reconcile, WhatHasNoEffectIsInTheStatus) {
  World w;
  w.device("vm1");
  w.add_bridge("br0");
  w.add_port("br0", "vm1");
  const auto note = [&](const char* table, const char* name) {
    return w.db->find_by(table, "name", ovsdb::Datum::of(name))->get("status").at("no_effect").value_or("");
  };
  w.set("Bridge", "br0",
        {{"stp_enable", true},
         {"other_config", w.map({{"stp-priority", "1"}, {"mac-aging-time", "60"}, {"mine", "x"}})},
         {"external_ids", w.map({{"a", "b"}})}});
  w.set("Port", "vm1", {{"lacp", "active"}, {"tag", 3}, {"other_config", w.map({{"bond-primary", "x"}})}});
  w.set("Interface", "vm1", {{"cfm_mpid", 5}, {"mac", "02:00:00:00:00:09"}, {"ofport_request", 9}});
  w.set("Interface", "br0", {{"mtu_request", 1400}});  // a device of ours
  EXPECT_EQ(note("Bridge", "br0"), "stp_enable other_config:stp-priority");
  EXPECT_EQ(note("Port", "vm1"), "lacp other_config:bond-primary");
  EXPECT_EQ(note("Interface", "vm1"), "cfm_mpid mac");
  EXPECT_EQ(w.iface("vm1")->get("status").at("driver_name"), "veth");
  EXPECT_EQ(note("Interface", "br0"), "");
  w.set("Bridge", "br0", {{"stp_enable", false}, {"other_config", w.map({})}});
  w.set("Port", "vm1", {{"lacp", Json::array({"set", Json::array()})}, {"other_config", w.map({})}});
  EXPECT_EQ(note("Bridge", "br0") + note("Port", "vm1") + note("Port", "br0"), "");
  w.transact(
      Json::array({{{"op", "update"},
                    {"table", "Open_vSwitch"},
                    {"where", Json::array()},
                    {"row", {{"other_config", w.map({{"dpdk-init", "true"}, {"stats-update-interval", "9"}})}}}}}));
  w.reconciler.run();
  EXPECT_EQ(w.db->rows("Open_vSwitch").front()->get("statistics").at("no_effect"), "other_config:dpdk-init");
}

TEST(Reconcile, TheTour) {
  World w;
  w.device("vm1");
  w.add_bridge("br0");
  w.add_port("br0", "vm1");
  w.add_port("br0", "vm2", Json::object(), {{"tag", 20}});
  w.add_port("br0", "vx10", {{"type", "vxlan"}, {"options", w.map({{"remote_ip", "192.0.2.2"}, {"key", "10"}})}});
  const auto ports = w.dp.all_ports();
  ASSERT_EQ(ports.size(), 4U);
  EXPECT_EQ(ports.at("br0").spec.kind, dp::PortKind::internal);
  EXPECT_EQ(ports.at("vm2").policy.vlan_mode, dp::VlanMode::access);
  EXPECT_EQ(ports.at("vm2").policy.tag, 20);
  EXPECT_EQ(ports.at("vx10").spec.tunnel.vxlan().vni, 10U);
  EXPECT_EQ(w.ofport("br0"), 65534);
  EXPECT_EQ(w.ofport("vm1"), 1);
  EXPECT_EQ(w.error("vm1"), "");
  EXPECT_EQ(w.iface("vm1")->get("mac_in_use").string_or(""), "02:00:00:00:00:07");
  EXPECT_EQ(w.iface("vm1")->get("link_state").string_or(""), "up");
  EXPECT_EQ(w.iface("vm1")->get("status").at("driver_name"), "veth");
  EXPECT_EQ(w.iface("vx10")->get("status").at("guest_mtu"), "1500");
  w.remove_port("br0", "vm1");
  EXPECT_FALSE(w.dp.all_ports().contains("vm1"));
  w.transact(Json::array({{{"op", "update"},
                           {"table", "Open_vSwitch"},
                           {"where", Json::array()},
                           {"row", {{"bridges", Json::array({"set", Json::array()})}}}}}));
  w.reconciler.run();
  EXPECT_THAT(w.dp.all_ports(), IsEmpty());
  EXPECT_THAT(w.sw.bridges(), IsEmpty());
}

TEST(Reconcile, IsIdempotent) {
  World w;
  w.add_bridge("br0");
  w.add_port("br0", "vm1", Json::object(), {{"tag", 5}});
  const auto adds = w.dp.add_calls();
  const auto sets = w.dp.set_calls();
  int commits = 0;
  w.db->add_observer([&](const ovsdb::Change&) { ++commits; });
  w.reconciler.run();
  EXPECT_EQ(w.dp.add_calls(), adds);
  EXPECT_EQ(w.dp.set_calls(), sets);
  EXPECT_EQ(commits, 0) << "nothing differs, so nothing is written";
}

TEST(Reconcile, ConfirmsTheConfiguration) {
  World w;
  w.transact(Json::array({{{"op", "mutate"},
                           {"table", "Open_vSwitch"},
                           {"where", Json::array()},
                           {"mutations", Json::array({Json::array({"next_cfg", "+=", 3})})}}}));
  EXPECT_EQ(w.wishes, 1);
  w.reconciler.run();
  EXPECT_EQ(w.db->rows("Open_vSwitch")[0]->get("cur_cfg").integer_or(0), 3);
  EXPECT_EQ(w.wishes, 1) << "its own writing is no new wish";
}

// A thousand ports take a while; the database goes on in between.
TEST(Reconcile, InPieces) {
  World w;
  w.insert_bridge("br0");
  w.insert_port("br0", "vm1");
  w.insert_port("br0", "vm2");
  const auto ask = [&](int number) {
    w.transact(Json::array(
        {{{"op", "update"}, {"table", "Open_vSwitch"}, {"where", Json::array()}, {"row", {{"next_cfg", number}}}}}));
  };
  const auto applied = [&] { return w.db->rows("Open_vSwitch")[0]->get("cur_cfg").integer_or(0); };
  const auto one_port = [] { return true; };
  ask(5);
  w.reconciler.begin();
  EXPECT_FALSE(w.reconciler.step(one_port));
  EXPECT_EQ(w.dp.all_ports().size(), 1U);
  EXPECT_EQ(applied(), 0);

  w.insert_port("br0", "vm3");  // comes too late for this run,
  ask(6);
  w.device("vm1");  // news that the run leaves for its end
  w.reconciler.refresh_statistics();
  EXPECT_EQ(applied(), 0);
  EXPECT_TRUE(w.iface("br0")->get("statistics").empty()) << "half of the ports have no counters to tell";
  EXPECT_FALSE(w.reconciler.step(one_port));
  EXPECT_FALSE(w.reconciler.step(one_port));
  EXPECT_TRUE(w.reconciler.step(one_port));
  EXPECT_EQ(applied(), 5) << "and is not said to be applied";
  EXPECT_EQ(w.error("vm1"), "");
  EXPECT_EQ(w.iface("vm1")->get("mtu").integer(), 1500);
  EXPECT_EQ(w.dp.number("vm3"), dp::PortNo::none);
  EXPECT_TRUE(w.reconciler.step(one_port)) << "nothing is left to do";
  EXPECT_THAT(w.dp.complaints(), testing::IsEmpty());

  w.reconciler.run();
  EXPECT_EQ(applied(), 6);
  EXPECT_NE(w.dp.number("vm3"), dp::PortNo::none);
}

TEST(Reconcile, PortsGoInPiecesToo) {
  World w;
  w.add_bridge("br0");
  w.add_bridge("br1");
  w.add_port("br1", "vm1");
  w.transact(Json::array({{{"op", "update"},
                           {"table", "Open_vSwitch"},
                           {"where", Json::array()},
                           {"row", {{"bridges", Json::array({"set", Json::array()})}}}}}));
  w.reconciler.begin();
  EXPECT_FALSE(w.reconciler.step([] { return true; }));
  EXPECT_EQ(w.dp.all_ports().size(), 2U);
  w.reconciler.begin();  // anew, from where it is
  while (!w.reconciler.step([] { return true; })) EXPECT_LE(w.dp.all_ports().size(), 2U);
  EXPECT_TRUE(w.dp.all_ports().empty());
  EXPECT_TRUE(w.dp.all_bridges().empty());
  EXPECT_THAT(w.dp.complaints(), testing::IsEmpty());
}

// A device that was replaced while the run was past its port is seen to all the same.
TEST(Reconcile, ADeviceThatIsReplacedMeanwhile) {
  World w;
  w.add_bridge("br0");
  w.device("vm1");
  w.add_port("br0", "vm1", {{"mtu_request", 1400}});
  w.add_port("br0", "vm2");
  w.transact(Json::array({{{"op", "update"}, {"table", "Port"}, {"where", Json::array()}, {"row", {{"tag", 5}}}}}));
  w.reconciler.begin();
  while (!w.reconciler.step([] { return true; })) {
    dp::PortState state;
    state.ifindex = 8;
    state.mtu = 1500;
    w.dp.device("vm1", state);
    w.reconciler.run_control("user", w.dp);
  }
  EXPECT_THAT(w.device_calls, testing::Contains(testing::Field(&test_world::DeviceCall::ifindex, 8)));
  EXPECT_EQ(w.iface("vm1")->get("mtu").integer(), 1400);
}

TEST(Reconcile, ADeviceThatComesAndGoes) {
  World w;
  w.add_bridge("br0");
  w.add_port("br0", "vm1");
  EXPECT_THAT(w.error("vm1"), HasSubstr("network device vm1 not found: it will be taken up when it appears"));
  EXPECT_EQ(w.ofport("vm1"), -1);
  w.device("vm1");
  EXPECT_EQ(w.error("vm1"), "");
  EXPECT_EQ(w.ofport("vm1"), 1);
  w.dp.device("vm1", std::nullopt);
  w.reconciler.run_control("user", w.dp);
  EXPECT_THAT(w.error("vm1"), HasSubstr("not found"));
  EXPECT_TRUE(w.iface("vm1")->get("ifindex").empty());
}

TEST(Reconcile, PortNumbersSurviveARestart) {
  World w;
  w.add_bridge("br0");
  w.add_port("br0", "vmb");
  w.add_port("br0", "vma");
  w.device("vma");
  w.device("vmb");
  EXPECT_EQ(w.ofport("vmb"), 1);
  EXPECT_EQ(w.ofport("vma"), 2);
  w.add_port("br0", "absent");  // has no number yet, and is the first by name
  heddle::test::FakeDatapath fresh(w.time);
  ofproto::Handler handler(fresh.stations(), w.time);
  ofproto::Switch restarted(fresh, handler);
  Reconciler next(*w.db, {{"user", &restarted}}, nullptr);
  next.run();
  EXPECT_EQ(restarted.port("vmb")->ofport, 1);
  EXPECT_EQ(restarted.port("vma")->ofport, 2);
}

TEST(Reconcile, VlanModes) {
  struct Case {
    Json port;
    dp::VlanMode mode;
    dp::VlanId tag;
    std::size_t trunks;
  };
  const Json trunks = Json::array({"set", Json::array({10, 20})});
  World w;
  w.add_bridge("br0");
  int n = 0;
  for (const Case& c :
       {Case{Json::object(), dp::VlanMode::trunk, 0, 0}, Case{{{"tag", 7}}, dp::VlanMode::access, 7, 0},
        Case{{{"trunks", trunks}}, dp::VlanMode::trunk, 0, 2},
        Case{{{"tag", 7}, {"trunks", trunks}}, dp::VlanMode::access, 7, 0},
        Case{{{"tag", 4095}, {"vlan_mode", "trunk"}, {"trunks", 4095}}, dp::VlanMode::trunk, 0, 1},
        Case{{{"tag", 7}, {"vlan_mode", "native-tagged"}}, dp::VlanMode::native_tagged, 7, 0},
        Case{
            {{"tag", 7}, {"vlan_mode", "native-untagged"}, {"trunks", trunks}}, dp::VlanMode::native_untagged, 7, 2}}) {
    const std::string name = "p" + std::to_string(n++);
    w.add_port("br0", name, Json::object(), c.port);
    const auto policy = w.dp.all_ports().at(name).policy;
    EXPECT_EQ(policy.vlan_mode, c.mode) << name;
    EXPECT_EQ(policy.tag, c.tag) << name;
    EXPECT_EQ(policy.trunks.count(), c.trunks) << name;
  }
  w.add_port("br0", "qq", Json::object(), {{"vlan_mode", "dot1q-tunnel"}});
  EXPECT_THAT(w.error("qq"), HasSubstr("vlan_mode dot1q-tunnel is not supported"));
}

TEST(Reconcile, BadRowsSayWhyAndTheRestGoesOn) {
  World w;
  w.add_bridge("br0");
  w.add_port("br0", "g0", {{"type", "geneve"}});
  w.add_port("br0", "vx", {{"type", "vxlan"}, {"options", w.map({{"remote_ip", "192.0.2.2"}, {"key", "16777216"}})}});
  w.add_port("br0", "a-name-that-is-too-long");
  w.device("vm1");
  w.add_port("br0", "vm1");
  EXPECT_THAT(w.error("g0"), HasSubstr("types: system, tap, internal, vxlan, patch"));
  EXPECT_THAT(w.error("vx"), HasSubstr("options:key=16777216: must be a number from 0 to 16777215"));
  EXPECT_THAT(w.error("a-name-that-is-too-long"), HasSubstr("cannot be the name of a network device"));
  EXPECT_EQ(w.ofport("vx"), -1);
  EXPECT_EQ(w.error("vm1"), "");
  w.set("Interface", "vx", {{"options", w.map({{"remote_ip", "192.0.2.2"}, {"key", "16"}})}});
  EXPECT_EQ(w.error("vx"), "");
  EXPECT_GT(w.ofport("vx"), 0);
}

TEST(Reconcile, ABadChangeLeavesAWorkingPortAlone) {
  World w;
  w.add_bridge("br0");
  w.add_port("br0", "vx", {{"type", "vxlan"}, {"options", w.map({{"remote_ip", "192.0.2.2"}, {"key", "1"}})}});
  w.set("Interface", "vx", {{"options", w.map({{"remote_ip", "192.0.2.2"}, {"key", "x"}})}});
  EXPECT_THAT(w.error("vx"), HasSubstr("keeps its former settings"));
  EXPECT_EQ(w.dp.all_ports().at("vx").spec.tunnel.vxlan().vni, 1U);
  EXPECT_EQ(w.ofport("vx"), 1);
}

TEST(Reconcile, TwoTunnelsThatCannotBeToldApart) {
  World w;
  w.add_bridge("br0");
  const Json same = w.map({{"remote_ip", "192.0.2.2"}, {"key", "1"}});
  w.add_port("br0", "vxb", {{"type", "vxlan"}, {"options", same}});
  w.add_port("br0", "vxa", {{"type", "vxlan"}, {"options", same}});
  EXPECT_EQ(w.error("vxb"), "") << "the one that works keeps working, whatever the order of the names";
  EXPECT_THAT(w.error("vxa"), HasSubstr("port vxb has the same remote_ip=192.0.2.2"));
  w.remove_port("br0", "vxb");
  EXPECT_EQ(w.error("vxa"), "");
}

TEST(Reconcile, APortInTwoBridges) {
  World w;
  w.add_bridge("br0");
  w.add_bridge("br1");
  w.add_port("br1", "vm1");
  const auto uuid = w.db->find_by("Port", "name", ovsdb::Datum::of("vm1"))->uuid().to_string();
  w.transact(
      Json::array({{{"op", "mutate"},
                    {"table", "Bridge"},
                    {"where", w.where_name("br0")},
                    {"mutations", Json::array({Json::array({"ports", "insert", Json::array({"uuid", uuid})})})}}}));
  w.reconciler.run();
  EXPECT_THAT(w.error("vm1"), HasSubstr("already in bridge br1"));
  EXPECT_EQ(w.sw.port("vm1")->bridge, "br1");
}

TEST(Reconcile, BondsAreRefused) {
  World w;
  w.add_bridge("br0");
  w.transact(Json::array(
      {w.row("Interface", {{"name", "e0"}}, "i0"),
       w.row("Interface", {{"name", "e1"}}, "i1"),
       w.row("Port",
             {{"name", "bond0"}, {"interfaces", Json::array({"set", Json::array({w.named("i0"), w.named("i1")})})}},
             "p"),
       {{"op", "mutate"},
        {"table", "Bridge"},
        {"where", w.where_name("br0")},
        {"mutations", Json::array({Json::array({"ports", "insert", w.named("p")})})}}}));
  w.reconciler.run();
  EXPECT_THAT(w.error("e0"), HasSubstr("bonds are not supported: port bond0 has 2 interfaces"));
  EXPECT_THAT(w.error("e1"), HasSubstr("bonds are not supported"));
  EXPECT_FALSE(w.dp.all_ports().contains("e0"));
}

TEST(Reconcile, BridgeSettings) {
  World w;
  w.add_bridge("br0", {{"other_config", w.map({{"mac-aging-time", "60"},
                                               {"mac-table-size", "100"},
                                               {"hwaddr", "02:00:00:00:00:aa"},
                                               {"datapath-id", "0xaa"}})}});
  EXPECT_EQ(w.sw.bridge("br0")->aging, std::chrono::seconds(60));
  EXPECT_EQ(w.sw.bridge("br0")->fdb_capacity, 100U);
  EXPECT_EQ(w.dp.all_ports().at("br0").spec.mac, MacAddr::parse("02:00:00:00:00:aa"));
  EXPECT_EQ(w.db->rows("Bridge")[0]->get("datapath_id").string_or(""), "00000000000000aa");
  w.set("Bridge", "br0", {{"other_config", w.map({{"mac-aging-time", "5"}, {"mac-table-size", "many"}})}});
  EXPECT_EQ(w.sw.bridge("br0")->aging, std::chrono::seconds(15));
  EXPECT_EQ(w.sw.bridge("br0")->fdb_capacity, limits::kFdbDefault);
  ASSERT_EQ(w.device_calls.size(), 1U) << "the address changes on the live device";
  const MacAddr derived = w.device_calls[0].mac.value();
  EXPECT_EQ(derived.bytes[0] & 3, 2) << "locally administered, one station";
}

TEST(Reconcile, MtuChangesOnTheLiveDevice) {
  World w;
  w.add_bridge("br0");
  w.add_port("br0", "vi", {{"type", "internal"}});
  const auto adds = w.dp.add_calls();
  w.set("Interface", "vi", {{"mtu_request", 9000}});
  EXPECT_EQ(w.dp.add_calls(), adds);
  ASSERT_EQ(w.device_calls.size(), 1U);
  EXPECT_EQ(w.device_calls[0].mtu, 9000U);
  EXPECT_EQ(w.device_calls[0].mac, std::nullopt);
}

TEST(Reconcile, ASettingThatTheDeviceRefusedIsTriedAgain) {
  World w;
  w.add_bridge("br0");
  bool refuse = true;
  Reconciler other(*w.db, {{"user", &w.sw}}, [&](int, auto, auto) -> Result<> {
    if (refuse) return fail(Errc::system, "MTU 9000: too large");
    return {};
  });
  w.transact(Json::array(
      {{{"op", "update"}, {"table", "Interface"}, {"where", w.where_name("br0")}, {"row", {{"mtu_request", 9000}}}}}));
  other.run();
  other.run();
  EXPECT_EQ(w.error("br0"), "MTU 9000: too large") << "as long as the device has another";
  refuse = false;
  other.run();
  EXPECT_EQ(w.error("br0"), "");
}

TEST(Reconcile, WhatIsNotInTheDatabaseGoes) {
  World w;
  ASSERT_TRUE(w.sw.add_bridge("stranger", {}));
  w.add_bridge("br0");
  EXPECT_THAT(w.sw.bridges(), ElementsAre("br0"));
}

TEST(Reconcile, MoreBridgesThanPossible) {
  World w;
  for (std::size_t i = 0; i < limits::kBridges; ++i) w.insert_bridge("a" + std::to_string(i));
  w.add_bridge("b");
  EXPECT_EQ(w.sw.bridges().size(), limits::kBridges);
  EXPECT_THAT(w.error("b"), HasSubstr("a switch has at most 256 bridges"));
  EXPECT_EQ(w.error("a0"), "");
}

TEST(Reconcile, StatisticsTellDropsFromErrors) {
  World w;
  w.add_bridge("br0");
  w.device("vm1");
  w.add_port("br0", "vm1");
  dp::PortCounters counters;
  counters.rx_packets = 10;
  counters.drops[static_cast<std::size_t>(Drop::vlan_not_member)] = 2;
  counters.drops[static_cast<std::size_t>(Drop::truncated)] = 1;
  counters.drops[static_cast<std::size_t>(Drop::tx_queue_full)] = 4;
  w.dp.count(w.dp.number("vm1"), counters);
  w.reconciler.refresh_statistics();
  const auto& statistics = w.iface("vm1")->get("statistics");
  const auto value = [&](const char* key) {
    return std::get<std::int64_t>(statistics.values().at(statistics.find(ovsdb::Atom(std::string(key))).value()));
  };
  EXPECT_EQ(value("rx_packets"), 10);
  EXPECT_EQ(value("rx_dropped"), 2);
  EXPECT_EQ(value("rx_errors"), 1);
  EXPECT_EQ(value("tx_dropped"), 4);
  EXPECT_THAT(w.control.run("drops", {"vm1"}).value(),
              testing::AllOf(HasSubstr("vm1        2  vlan_not_member"), HasSubstr("tx_queue_full")));
}

// Without a device there is nothing to count, so refreshing passes over such ports; not over tunnels without a route,
// whose drops go on.
TEST(Reconcile, StatisticsOfPortsWithoutADevice) {
  World w;
  w.add_bridge("br0");
  w.add_port("br0", "vm1");
  const Json remote = Json::array({"map", Json::array({Json::array({"remote_ip", "192.0.2.1"})})});
  w.add_port("br0", "vx1", {{"type", "vxlan"}, {"options", remote}});
  const auto counted = [&](const char* name, std::uint64_t packets) {
    dp::PortCounters counters;
    counters.tx_packets = packets;
    w.dp.count(w.dp.number(name), counters);
    w.reconciler.refresh_statistics();
    const auto& statistics = w.iface(name)->get("statistics");
    return std::get<std::int64_t>(
        statistics.values().at(statistics.find(ovsdb::Atom(std::string("tx_packets"))).value()));
  };
  EXPECT_EQ(counted("vm1", 5), 0);
  EXPECT_EQ(counted("vx1", 6), 6);
  w.device("vm1");
  EXPECT_EQ(counted("vm1", 7), 7);
  w.dp.device("vm1", std::nullopt);
  w.reconciler.run_control("user", w.dp);
  EXPECT_EQ(counted("vm1", 8), 7);
  w.reconciler.run();
  EXPECT_EQ(counted("vm1", 9), 7);
  w.device("vm1");
  EXPECT_EQ(counted("vm1", 10), 10);
}

}  // namespace
}  // namespace heddle::vswitchd
