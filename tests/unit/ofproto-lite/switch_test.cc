// SPDX-License-Identifier: Apache-2.0
#include "ofproto-lite/switch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/fake_datapath.h"

namespace heddle::ofproto {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

struct World {
  FakeTime time;
  test::FakeDatapath dp{time};
  Handler handler{dp.stations(), time};  // not started: its work runs where it is called
  Switch sw{dp, handler};

  static PortConfig port(const std::string& name, dp::PortKind kind = dp::PortKind::netdev) {
    PortConfig config;
    config.spec.name = name;
    config.spec.kind = kind;
    return config;
  }
  void bridge(const std::string& name, MacAddr mac = {}) {
    ASSERT_TRUE(sw.add_bridge(name, {}));
    PortConfig local = port(name, dp::PortKind::internal);
    local.spec.mac = mac;
    ASSERT_TRUE(sw.add_port(name, local));
  }
  BridgeFdb& fdb(const std::string& bridge) { return sw.find_bridge(bridge).value()->fdb(); }
  void seen(const std::string& port, std::uint64_t mac, dp::VlanId vlan = 0) {
    const dp::PortNo number = dp.number(port);
    dp.source_seen({dp.all_ports().at(port).policy.bridge, vlan, MacAddr::from_u64(mac)}, {number, std::nullopt});
    handler.work();
  }
};

TEST(Switch, GivesNumbersAndTellsThemApart) {
  World w;
  w.bridge("br0");
  w.bridge("br1");
  ASSERT_TRUE(w.sw.add_port("br0", w.port("vm1")));
  ASSERT_TRUE(w.sw.add_port("br1", w.port("vm2")));
  EXPECT_EQ(w.sw.port("br0")->ofport, limits::kOfportLocal);
  EXPECT_EQ(w.sw.port("vm1")->ofport, 1);
  EXPECT_EQ(w.sw.port("vm2")->ofport, 1) << "numbers are per bridge";
  EXPECT_NE(w.dp.all_ports().at("vm1").policy.bridge, w.dp.all_ports().at("vm2").policy.bridge);
  const auto twice = w.sw.add_port("br1", w.port("vm1"));
  EXPECT_THAT(twice.error().text, HasSubstr("already in bridge br0"));
  EXPECT_THAT(w.sw.add_port("br9", w.port("vm9")).error().text, HasSubstr("bridges: br0, br1"));
}

TEST(Switch, FindsPortsByNameAndByNumber) {
  World w;
  w.bridge("br0");
  w.bridge("br1");
  ASSERT_TRUE(w.sw.add_port("br1", w.port("vm1")));
  const SwitchPort* vm1 = w.sw.port("vm1");
  EXPECT_EQ(vm1->bridge, "br1");
  EXPECT_EQ(*w.sw.port_name(w.dp.number("vm1")), "vm1");
  EXPECT_EQ(w.sw.find_bridge("br1").value()->port("vm1"), vm1);
  EXPECT_EQ(w.sw.find_bridge("br0").value()->port("vm1"), nullptr);
  const dp::PortNo number = vm1->number;
  ASSERT_TRUE(w.sw.remove_port("vm1"));
  EXPECT_EQ(w.sw.port("vm1"), nullptr);
  EXPECT_EQ(w.sw.port_name(number), nullptr);
  EXPECT_THAT(w.sw.remove_port("vm1").error().text, HasSubstr("port vm1 does not exist"));
  w.sw.remove_bridge("br1");
  EXPECT_THAT(w.sw.ports(), ElementsAre("br0"));
}

TEST(Switch, RemovingABridgeTakesItsPortsAndEntries) {
  World w;
  w.bridge("br0");
  w.bridge("br1");
  ASSERT_TRUE(w.sw.add_port("br0", w.port("vm1")));
  ASSERT_TRUE(w.sw.add_port("br1", w.port("vm2")));
  w.seen("vm1", 0x020000000001);
  w.seen("vm2", 0x020000000002);
  ASSERT_EQ(w.dp.fdb().size(), 2U);
  w.sw.remove_bridge("br0");
  EXPECT_EQ(w.dp.fdb().size(), 1U);
  EXPECT_THAT(w.sw.ports(), ElementsAre("br1", "vm2"));
  EXPECT_EQ(w.dp.all_ports().size(), 2U);
  EXPECT_EQ(w.dp.all_bridges().size(), 1U);
  EXPECT_THAT(w.dp.complaints(), IsEmpty()) << "its ports have left it before";
}

TEST(Switch, ABridgeGetsBackTheNumberThatTheDatapathRemembers) {
  World w;
  w.dp.remember_bridge("br1", dp::BridgeId{0});
  w.dp.remember_bridge("gone", dp::BridgeId{1});
  w.bridge("br0");
  w.bridge("br1");
  ASSERT_TRUE(w.sw.add_port("br0", w.port("vm0")));
  ASSERT_TRUE(w.sw.add_port("br1", w.port("vm1")));
  EXPECT_EQ(w.dp.all_ports().at("vm1").policy.bridge, dp::BridgeId{0});
  EXPECT_EQ(w.dp.all_ports().at("vm0").policy.bridge, dp::BridgeId{2}) << "0 and 1 are other bridges'";
  w.seen("vm1", 0x020000000001);
  EXPECT_EQ(w.fdb("br1").lines().size(), 1U);
  EXPECT_EQ(w.fdb("br0").lines().size(), 0U);
}

TEST(Switch, ABridgeThatCannotBeHadLeavesNothing) {
  World w;
  w.dp.limit_fdb(100);
  const auto r = w.sw.add_bridge("br0", {.fdb_capacity = 200});
  ASSERT_FALSE(r);
  EXPECT_THAT(r.error().text, HasSubstr("bridge br0: no memory for 200 entries"));
  EXPECT_FALSE(w.sw.has_bridge("br0"));
  EXPECT_TRUE(w.dp.all_bridges().empty());
  ASSERT_TRUE(w.sw.add_bridge("br1", {.fdb_capacity = 50}));
  EXPECT_EQ(w.dp.all_bridges().at("br1"), dp::BridgeId{0});
  ASSERT_FALSE(w.sw.set_bridge("br1", {.fdb_capacity = 200}));
  EXPECT_EQ(w.sw.bridge("br1")->fdb_capacity, 50U);
}

TEST(Switch, NewVlanRulesForgetWhatWasLearned) {
  World w;
  w.bridge("br0");
  PortConfig vm1 = w.port("vm1");
  ASSERT_TRUE(w.sw.add_port("br0", vm1));
  w.seen("vm1", 0x020000000001);
  vm1.policy.protected_port = true;
  ASSERT_TRUE(w.sw.set_port(vm1));
  EXPECT_EQ(w.dp.fdb().size(), 1U);
  vm1.policy.vlan_mode = dp::VlanMode::access;
  vm1.policy.tag = 10;
  ASSERT_TRUE(w.sw.set_port(vm1));
  EXPECT_EQ(w.dp.all_ports().at("vm1").policy.tag, 10);
  EXPECT_TRUE(w.dp.fdb().empty());
}

TEST(Switch, OfportRequestMovesThePort) {
  World w;
  w.bridge("br0");
  PortConfig vm1 = w.port("vm1");
  ASSERT_TRUE(w.sw.add_port("br0", vm1));
  vm1.ofport_request = 42;
  ASSERT_TRUE(w.sw.set_port(vm1));
  EXPECT_EQ(w.sw.port("vm1")->ofport, 42);
  ASSERT_TRUE(w.sw.add_port("br0", w.port("vm2")));
  EXPECT_EQ(w.sw.port("vm2")->ofport, 2) << "1 was freed just now and rests";
}

TEST(Switch, FdbByName) {
  World w;
  const MacAddr own = *MacAddr::parse("02:00:00:00:00:ff");
  w.bridge("br0", own);
  PortConfig vm1 = w.port("vm1");
  ASSERT_TRUE(w.sw.add_port("br0", vm1));
  w.seen("vm1", 0x020000000002, 5);
  w.seen("vm1", 0x020000000003);
  w.seen("vm1", own.to_u64());
  ASSERT_TRUE(w.fdb("br0").add("br0", 0, *MacAddr::parse("02:00:00:00:00:01"), {}));
  const auto lines = w.fdb("br0").lines();
  ASSERT_EQ(lines.size(), 3U) << "the bridge's own address is not learned elsewhere";
  EXPECT_EQ(lines[0].port, "br0");
  EXPECT_EQ(lines[0].row.origin, Origin::configured);
  EXPECT_EQ(lines[1].port, "vm1");
  EXPECT_EQ(lines[2].row.key.vlan, 5);
  EXPECT_EQ(w.fdb("br0").stats().own_mac, 1U);
  EXPECT_EQ(w.fdb("br0").flush(), 2U);
  EXPECT_THAT(w.fdb("br0").add("vm7", 0, {}, {}).error().text, HasSubstr("its ports: br0, vm1"));
  EXPECT_THAT(w.fdb("br0").remove(0, MacAddr::from_u64(7)).error().text, HasSubstr("bridge br0: there is no entry"));
  EXPECT_THAT(w.sw.find_bridge("br7").error().text, HasSubstr("bridge br7 does not exist; bridges: br0"));
}

TEST(Switch, AStaticEntryIsReplacedOnlyAfterItsRemoval) {
  World w;
  w.bridge("br0");
  ASSERT_TRUE(w.sw.add_port("br0", w.port("vm1")));
  const MacAddr mac = *MacAddr::parse("02:00:00:00:00:01");
  BridgeFdb& fdb = w.fdb("br0");
  ASSERT_TRUE(fdb.add("br0", 0, mac, {}));
  EXPECT_TRUE(fdb.add("br0", 0, mac, {})) << "the same again changes nothing";
  const auto other = fdb.add("vm1", 0, mac, {});
  EXPECT_EQ(other.error().code, Errc::exists);
  EXPECT_EQ(other.error().text,
            "bridge br0: 02:00:00:00:00:01 in VLAN 0 already has a static entry on port br0; remove it with fdb-del "
            "first");
  ASSERT_TRUE(fdb.remove(0, mac));
  EXPECT_TRUE(fdb.add("vm1", 0, mac, {}));
}

TEST(Switch, EntriesOfOtherOriginsAreNotTheOperatorsToRemove) {
  World w;
  w.bridge("br0");
  const MacAddr mac = *MacAddr::parse("02:00:00:00:00:01");
  const dp::FdbKey key{w.dp.all_bridges().at("br0"), 0, mac};
  const dp::FdbTarget target{w.dp.number("br0"), std::nullopt};
  ASSERT_TRUE(w.handler.call([&](Fdb& fdb) { return fdb.put(Origin::evpn, key, target); }));
  EXPECT_THAT(w.fdb("br0").remove(0, mac).error().text, HasSubstr("is of origin evpn, which alone may withdraw it"));
  ASSERT_TRUE(w.fdb("br0").add("br0", 0, mac, {}));
  ASSERT_TRUE(w.fdb("br0").remove(0, mac));
  EXPECT_EQ(w.fdb("br0").lines().at(0).row.origin, Origin::evpn) << "the static entry is gone, EVPN's word is left";
}

TEST(Switch, AStaticEntryNamesTheVtepOfAMultipointTunnel) {
  World w;
  w.bridge("br0");
  ASSERT_TRUE(w.sw.add_port("br0", w.port("vm1")));
  PortConfig tunnel = w.port("vx", dp::PortKind::vxlan);
  ASSERT_TRUE(w.sw.add_port("br0", tunnel));
  tunnel = w.port("vx6", dp::PortKind::vxlan);
  tunnel.spec.tunnel.v6 = true;
  ASSERT_TRUE(w.sw.add_port("br0", tunnel));
  tunnel = w.port("pair", dp::PortKind::vxlan);
  tunnel.spec.tunnel.remote = *IpAddr::parse("192.0.2.1");
  ASSERT_TRUE(w.sw.add_port("br0", tunnel));
  const MacAddr mac = *MacAddr::parse("02:00:00:00:00:01");
  const auto add = [&](const std::string& port, const char* remote) -> std::string {
    const auto r = w.fdb("br0").add(port, 0, mac, remote == nullptr ? std::nullopt : IpAddr::parse(remote));
    return r ? "added" : r.error().text;
  };
  EXPECT_EQ(add("vx", nullptr),
            "port vx is a multipoint tunnel: name the VTEP behind which the station is, as in fdb-add BRIDGE vx VLAN "
            "MAC 192.0.2.1");
  EXPECT_THAT(add("vx6", nullptr), HasSubstr("MAC 2001:db8::1"));
  EXPECT_EQ(add("vm1", "192.0.2.3"),
            "port vm1 is no multipoint tunnel (type=vxlan, options:remote_ip=flow) and takes no remote VTEP; leave "
            "192.0.2.3 out");
  EXPECT_EQ(add("pair", "192.0.2.3"),
            "port pair is a tunnel to 192.0.2.1 alone (options:remote_ip) and takes no other; leave 192.0.2.3 out");
  EXPECT_EQ(add("vx", "2001:db8::3"),
            "port vx is a tunnel over IPv4, and 2001:db8::3 an IPv6 address; name the VTEP's IPv4 address");
  EXPECT_THAT(add("vx6", "192.0.2.3"), HasSubstr("name the VTEP's IPv6 address"));
  EXPECT_EQ(add("vx", "0.0.0.0"), "port vx: 0.0.0.0 is the unspecified address; name the address of one VTEP");
  EXPECT_EQ(add("vx6", "ff02::1"), "port vx6: ff02::1 is a multicast address; name the address of one VTEP");
  EXPECT_THAT(w.dp.fdb(), IsEmpty());
  EXPECT_EQ(add("vx", "192.0.2.3"), "added");
  EXPECT_EQ(w.dp.fdb().begin()->second.remote, IpAddr::parse("192.0.2.3"));
  EXPECT_THAT(add("vx", "192.0.2.4"), HasSubstr("a static entry on port vx behind 192.0.2.3"));
}

TEST(Switch, ADeviceThatGoesTakesItsEntries) {
  World w;
  w.bridge("br0");
  w.dp.device("vm1", dp::PortState{});
  ASSERT_TRUE(w.sw.add_port("br0", w.port("vm1")));
  w.seen("vm1", 0x020000000001);
  w.sw.refresh(w.dp.number("vm1"));
  EXPECT_EQ(w.dp.fdb().size(), 1U);
  w.dp.device("vm1", std::nullopt);
  w.sw.refresh(w.dp.number("vm1"));
  EXPECT_TRUE(w.dp.fdb().empty());
}

TEST(Switch, FloodListOfAMultipointTunnel) {
  World w;
  w.bridge("br0");
  PortConfig vx = w.port("vx", dp::PortKind::vxlan);
  vx.flood = {*IpAddr::parse("192.0.2.1"), *IpAddr::parse("192.0.2.2")};
  ASSERT_TRUE(w.sw.add_port("br0", vx));
  EXPECT_EQ(w.dp.all_ports().at("vx").flood.size(), 2U);
  vx.flood.pop_back();
  ASSERT_TRUE(w.sw.set_port(vx));
  EXPECT_EQ(w.dp.all_ports().at("vx").flood.size(), 1U);
}

}  // namespace
}  // namespace heddle::ofproto
