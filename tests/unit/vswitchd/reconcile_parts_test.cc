// SPDX-License-Identifier: Apache-2.0
// Runs that read only what has changed: they must come to what a run over everything would come to.
#include <fmt/format.h>

#include <map>
#include <random>

#include "ovsdb/value.h"
#include "tests/support/log_capture.h"
#include "tests/unit/vswitchd/world.h"

namespace heddle::vswitchd {
namespace {

using namespace test_world;

// Two switches with the same history: one follows the changes, the other reads everything each time.
class Twins : public testing::TestWithParam<unsigned> {
 protected:
  World parts{true}, whole{false};

  // UUIDs differ, and with them what is made of them.
  static std::map<std::string, std::string> picture(World& w) {
    std::map<std::string, std::string> out;
    for (const auto& [name, port] : w.dp.all_ports())
      out["port " + name] = fmt::format("bridge {} mode {} tag {} protected {} mtu {} peer {} kind {}",
                                        static_cast<int>(port.policy.bridge), static_cast<int>(port.policy.vlan_mode),
                                        port.policy.tag, port.policy.protected_port, port.spec.mtu.value_or(0),
                                        port.spec.peer, static_cast<int>(port.spec.kind));
    for (const auto& row : w.db->rows("Interface")) {
      std::string text;
      for (const char* column : {"error", "ofport", "mtu", "ifindex", "link_state", "statistics"})
        text += fmt::format("{}={} ", column,
                            ovsdb::dump_brief(ovsdb::datum_to_json(row->table().find(column)->type, row->get(column))));
      const auto status = row->get("status").string_map();
      for (const auto& [key, value] : status) text += fmt::format("{}:{} ", key, value);
      out["row " + row->get("name").string_or("")] = text;
    }
    for (const auto& row : w.db->rows("Port"))
      for (const auto& [key, value] : row->get("status").string_map())
        out["port row " + row->get("name").string_or("")] += key + value;
    return out;
  }
  template <typename F>
  void both(F&& change) {
    change(parts);
    change(whole);
  }
  void same(const std::string& what) { ASSERT_EQ(picture(parts), picture(whole)) << what; }
};

bool is_there(World& w, const char* table, const std::string& name) {
  return w.db->find_by(table, "name", ovsdb::Datum::of(name)) != nullptr;
}

TEST_P(Twins, RandomChanges) {
  std::mt19937 random(GetParam());
  const auto pick = [&](unsigned n) { return static_cast<unsigned>(random() % n); };
  both([](World& w) {
    w.add_bridge("br0");
    w.add_bridge("br1");
  });
  const std::vector<Json> kinds{
      Json::object(),
      Json::object(),
      {{"type", "internal"}},
      {{"type", "dpdkvhostuserclient"}},
      {{"type", "vxlan"}, {"options", World::map({{"remote_ip", "192.0.2.1"}})}},
      {{"type", "vxlan"}, {"options", World::map({{"remote_ip", "192.0.2.1"}, {"key", "7"}})}},
      {{"type", "patch"}, {"options", World::map({{"peer", "p3"}})}},
      {{"mtu_request", 1400}},
      {{"type", "internal"}, {"mac", "no address"}},
      {{"ofport_request", 9}},
      {{"bfd", World::map({{"enable", "true"}})}},
  };
  for (int step = 0; step < 600; ++step) {
    const unsigned number = pick(8);
    const std::string name = fmt::format("p{}", number);
    const std::string bridge = pick(2) == 0 ? "br0" : "br1";
    const unsigned what = pick(8);
    const Json kind = kinds[pick(static_cast<unsigned>(kinds.size()))];
    const auto tag = pick(5);
    const std::string text = fmt::format("step {}: {} of {} in {}", step, what, name, bridge);
    const bool there = is_there(parts, "Port", name);
    if (!there && what < 5) {
      both([&](World& w) { w.add_port(bridge, name, kind, tag == 0 ? Json::object() : Json{{"tag", tag}}); });
    } else if (what == 5) {
      const bool comes = pick(3) != 0;
      both([&](World& w) {
        if (comes) return w.device(name, 1500 + tag, static_cast<int>(10 + number));
        w.dp.device(name, std::nullopt);
        w.reconciler.run_control("user", w.dp);
      });
    } else if (there && what < 3) {
      both([&](World& w) { w.set("Port", name, tag == 0 ? Json{{"bond_mode", "balance-slb"}} : Json{{"tag", tag}}); });
    } else if (there && what == 3) {
      both([&](World& w) { w.set("Interface", name, kind.empty() ? Json{{"type", ""}} : kind); });
    } else if (there && what == 4) {
      both([&](World& w) {
        const bool here = w.db->find_by("Bridge", "name", ovsdb::Datum::of("br0"))
                              ->get("ports")
                              .find(ovsdb::Atom(w.db->find_by("Port", "name", ovsdb::Datum::of(name))->uuid()))
                              .has_value();
        w.remove_port(here ? "br0" : "br1", name);
      });
    } else if (what == 6) {
      both([](World& w) { w.reconciler.refresh_statistics(); });
    } else {
      both([&](World& w) { w.set("Bridge", "br0", {{"fail_mode", tag == 0 ? "secure" : "standalone"}}); });
    }
    ASSERT_NO_FATAL_FAILURE(same(text));
  }
  EXPECT_THAT(parts.dp.complaints(), testing::IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(Seeds, Twins, testing::Range(1U, 9U));

TEST(ReconcileParts, CostIsThatOfTheChange) {
  World w;
  w.add_bridge("br0");
  for (int i = 0; i < 20; ++i) w.add_port("br0", fmt::format("vm{}", i));
  const auto rows = [&](const Json& operations) {
    std::size_t changed = 0;
    const auto id = w.db->add_observer([&](const ovsdb::Change& change) { changed += change.rows.size(); });
    w.transact(operations);
    w.reconciler.run();
    w.db->remove_observer(id);
    return changed;
  };
  const auto sets = w.dp.set_calls();
  const auto states = w.dp.state_calls();
  EXPECT_EQ(rows(Json::array(
                {{{"op", "update"}, {"table", "Port"}, {"where", World::where_name("vm7")}, {"row", {{"tag", 4}}}}})),
            1U);
  EXPECT_EQ(w.dp.set_calls(), sets + 1);
  EXPECT_LE(w.dp.state_calls(), states + 4) << "of the one port, not of all";
}

// A transaction that waits for the switch's answer goes on the moment that this is written.
TEST(ReconcileParts, AChangeThatComesWithOurOwn) {
  World w;
  w.add_bridge("br0");
  w.add_port("br0", "vm1");
  bool once = false;
  w.db->add_observer([&](const ovsdb::Change& /*change*/) {
    if (std::exchange(once, true)) return;
    w.transact(Json::array(
        {{{"op", "update"}, {"table", "Port"}, {"where", World::where_name("vm1")}, {"row", {{"tag", 9}}}}}));
  });
  w.wishes = 0;
  w.device("vm1");  // its status is our commit
  EXPECT_TRUE(once);
  EXPECT_EQ(w.wishes, 1);
  w.reconciler.run();
  EXPECT_EQ(w.dp.all_ports().at("vm1").policy.tag, 9);
}

// What failed is tried again with every run; what somebody set by hand is put right by the next.
TEST(ReconcileParts, WhatIsNotAsItShouldBeIsSeenTo) {
  World w;
  w.add_bridge("br0");
  w.add_port("br0", "in1", {{"type", "internal"}, {"mtu_request", 1400}});
  w.add_port("br0", "vm1");
  const auto calls = w.device_calls.size();
  const int ifindex = static_cast<int>(w.dp.number("in1")) + 1000;
  w.dp.set_device(ifindex, std::nullopt, 1300);
  w.dp.device("in1", std::nullopt);  // news of it, nothing more
  w.reconciler.run_control("user", w.dp);
  w.set("Port", "vm1", {{"tag", 3}});
  EXPECT_GT(w.device_calls.size(), calls);
  EXPECT_EQ(w.device_calls.back().ifindex, ifindex);
  EXPECT_EQ(w.device_calls.back().mtu, 1400U);
}

// A cause may end without news: what failed is looked at again, and nothing else.
TEST(ReconcileParts, WhatFailedIsTriedAgain) {
  World w;
  w.add_bridge("br0");
  w.add_port("br0", "in1", {{"type", "internal"}});
  EXPECT_FALSE(w.reconciler.look_at_failed()) << "all is well";
  w.dp.refuse_port("in2", true);
  w.add_port("br0", "in2", {{"type", "internal"}});
  w.add_port("br0", "vm1");  // has no device
  EXPECT_THAT(w.error("in2"), testing::HasSubstr("no memory"));
  for (int n = 0; n < 3; ++n) {
    const auto adds = w.dp.add_calls();
    const auto sets = w.dp.set_calls();
    EXPECT_TRUE(w.reconciler.look_at_failed());
    w.reconciler.run();
    EXPECT_EQ(w.dp.add_calls(), adds) << "refused";
    EXPECT_EQ(w.dp.set_calls(), sets + 2) << "in2 and vm1, and not in1";
  }
  w.dp.refuse_port("in2", false);
  EXPECT_TRUE(w.reconciler.look_at_failed());
  w.reconciler.run();
  EXPECT_EQ(w.error("in2"), "");
  w.device("vm1");
  EXPECT_FALSE(w.reconciler.look_at_failed());
  w.remove_port("br0", "vm1");
  w.dp.refuse_port("in2", true);
  w.set("Port", "in2", {{"tag", 9}});
  EXPECT_TRUE(w.reconciler.look_at_failed());
  w.remove_port("br0", "in2");
  EXPECT_FALSE(w.reconciler.look_at_failed()) << "it is not wanted any more";
}

// What is wrong with a bridge or a port, and does not keep it from working, is in its row.
TEST(ReconcileParts, WarningsAreInTheRows) {
  World w;
  w.add_bridge("br0", {{"other_config", World::map({{"mac-aging-time", "soon"}, {"datapath-id", "x"}})}});
  const auto warning = [&] {
    return w.db->find_by("Bridge", "name", ovsdb::Datum::of("br0"))->get("status").at("warning").value_or("");
  };
  EXPECT_THAT(warning(), testing::HasSubstr("other_config:mac-aging-time=soon must be a number"));
  EXPECT_THAT(warning(), testing::HasSubstr("other_config:datapath-id=x must be"));
  EXPECT_THAT(warning(), testing::Not(testing::HasSubstr("br0"))) << "the row has the name";
  w.set("Bridge", "br0", {{"other_config", World::map({{"mac-aging-time", "60"}})}});
  EXPECT_EQ(warning(), "");
  w.add_port("br0", "vx",
             {{"type", "vxlan"}, {"options", World::map({{"remote_ip", "192.0.2.1"}, {"remoteip", "x"}})}});
  EXPECT_EQ(w.iface("vx")->get("status").at("no_effect"), "options:remoteip");
}

// Of two tunnels that cannot be told apart, the one that has the end point keeps it when it changes in other things, or
// loses its place in the switch for a while; the other's row comes first by name.
TEST(ReconcileParts, WhoHoldsAnEndPointKeepsIt) {
  for (const bool watching : {true, false}) {
    World w(watching);
    w.add_bridge("br0");
    const auto tunnel = [](const char* tos) {
      return Json{{"type", "vxlan"}, {"options", World::map({{"remote_ip", "192.0.2.1"}, {"tos", tos}})}};
    };
    w.add_port("br0", "vxb", tunnel("0"));
    w.add_port("br0", "vxa", tunnel("0"));
    w.set("Interface", "vxb", tunnel("8"));
    EXPECT_EQ(w.error("vxb"), "");
    EXPECT_THAT(w.error("vxa"), testing::HasSubstr("port vxb has the same"));
    EXPECT_TRUE(w.sw.remove_port("vxb"));
    w.dp.refuse_port("vxb", true);
    w.set("Interface", "vxb", tunnel("4"));
    EXPECT_THAT(w.error("vxb"), testing::HasSubstr("no memory"));
    EXPECT_THAT(w.error("vxa"), testing::HasSubstr("port vxb has the same"));
    w.dp.refuse_port("vxb", false);
    w.reconciler.run();
    EXPECT_EQ(w.error("vxb"), "") << "it was tried again";
    w.remove_port("br0", "vxb");
    EXPECT_EQ(w.error("vxa"), "");
  }
}

// As long as a warning stands it is said once, whether its row is read again or everything is.
TEST(ReconcileParts, AWarningIsSaidOnce) {
  for (const bool watching : {true, false}) {
    World w(watching);
    w.add_bridge("br0");
    w.add_port("br0", "vm1");
    heddle::test::LogCapture log;
    const auto effect = testing::HasSubstr("vm1: these columns are set and have no effect: lacp");
    w.set("Port", "vm1", {{"lacp", "active"}});
    EXPECT_THAT(log.take(), testing::ElementsAre(effect));
    w.set("Port", "vm1", {{"tag", 3}});
    EXPECT_THAT(log.take(), testing::IsEmpty());
    w.set("Port", "vm1", {{"lacp", Json::array({"set", Json::array()})}});
    w.set("Port", "vm1", {{"lacp", "active"}});
    EXPECT_THAT(log.take(), testing::ElementsAre(effect)) << "it was gone meanwhile";
  }
}

// A bridge with a thousand ports, beside which other things change.
struct AmongMany : testing::Test, World {
  AmongMany() {
    insert_bridge("br0");
    insert_many("br0", 1000);
    insert_bridge("br1");
    insert_port("br1", "in1", {{"type", "internal"}});
    insert_port("br1", "in2", {{"type", "internal"}});
    reconciler.run();
  }
  struct Cost {
    std::size_t readings, rows, states;
  };
  // What the next run costs.
  Cost run() {
    const Cost before = now();
    reconciler.run();
    const Cost after = now();
    return {after.readings - before.readings, after.rows - before.rows, after.states - before.states};
  }
  // Readings of Bridge and Port rows, exactly; and about as many rows and states of ports, for the status.
  void expect(std::size_t readings, std::size_t most) {
    const Cost cost = run();
    EXPECT_EQ(cost.readings, readings);
    EXPECT_LE(cost.rows, most);
    EXPECT_LE(cost.states, most);
    EXPECT_GT(cost.rows, 0U);
  }
  Json tunnel(const char* key) { return map({{"remote_ip", "192.0.2.1"}, {"key", key}}); }

 private:
  // In one transaction.
  void insert_many(const std::string& bridge, int count) {
    Json operations = Json::array();
    Json ports = Json::array();
    for (int i = 0; i < count; ++i) {
      const std::string interface = fmt::format("i{}", i);
      const std::string port = fmt::format("p{}", i);
      const std::string name = fmt::format("vm{}", i);
      operations.push_back(row("Interface", {{"name", name}}, interface.c_str()));
      operations.push_back(row("Port", {{"name", name}, {"interfaces", named(interface.c_str())}}, port.c_str()));
      ports.push_back(named(port.c_str()));
    }
    operations.push_back({{"op", "mutate"},
                          {"table", "Bridge"},
                          {"where", where_name(bridge)},
                          {"mutations", Json::array({Json::array({"ports", "insert", Json::array({"set", ports})})})}});
    transact(operations);
  }
  [[nodiscard]] Cost now() const {
    return {reconciler.readings(), db->rows_read() + db->rows_offered(), dp.state_calls()};
  }
};

TEST_F(AmongMany, OneMirrorRow) {
  insert_mirror("br1", "m0", {{"select_src_port", ref("Port", "in1")}, {"output_port", ref("Port", "in2")}});
  expect(1, 30);
  change("Mirror", "m0", {{"select_vlan", 7}});
  expect(1, 30);
  EXPECT_TRUE(dp.bridge_policy("br1").mirrors.at(0).vlans.test(7));
  insert_mirror("br0", "m1", {{"select_src_port", ref("Port", "vm5")}, {"output_vlan", 9}});
  expect(1, 30);
  change("Mirror", "m1", {{"select_src_port", ref("Port", "vm6")}});
  expect(1, 30);
  EXPECT_THAT(dp.bridge_policy("br0").mirrors.at(0).from, testing::ElementsAre(dp.number("vm6")));
  change("Port", "vm7", {{"tag", 3}});  // no mirror names it
  expect(1, 30);
  change("Port", "vm6", {{"tag", 3}});  // one does
  expect(2, 30);
  remove_port("br0", "vm6");
  EXPECT_THAT(dp.bridge_policy("br0").mirrors.at(0).from, testing::IsEmpty());
}

TEST_F(AmongMany, OneTunnel) {
  for (const char* name : {"vx1", "vx2", "vx3"})
    insert_port("br1", name, {{"type", "vxlan"}, {"options", tunnel(name + 2)}});
  expect(4, 60);  // with br1, whose row names them
  change("Interface", "vx1", {{"options", tunnel("7")}});
  expect(1, 30);
  EXPECT_EQ(dp.all_ports().at("vx1").spec.tunnel.vxlan().vni, 7U);
  change("Interface", "vx2", {{"options", tunnel("7")}});
  expect(1, 40);
  EXPECT_THAT(error("vx2"), testing::HasSubstr("port vx1 has the same"));
  change("Interface", "vx1", {{"options", tunnel("8")}});  // gives way
  expect(1, 40);
  EXPECT_EQ(error("vx2"), "");
  EXPECT_EQ(dp.all_ports().at("vx2").spec.tunnel.vxlan().vni, 7U);
}

TEST_F(AmongMany, APeerAndAQueue) {
  insert_port("br1", "pa", {{"type", "patch"}, {"options", map({{"peer", "pb"}})}});
  insert_port("br0", "pb", {{"type", "patch"}, {"options", map({{"peer", "pa"}})}});
  expect(4, 60);
  change("Interface", "pb", {{"options", map({{"peer", "pc"}})}});
  expect(1, 40);
  EXPECT_EQ(dp.all_ports().at("pb").spec.peer, "pc");
  insert_qos("in1", {{"type", "linux-htb"}, {"other_config", map({{"max-rate", "8000000"}})}}, Json::object());
  expect(1, 30);
  transact(Json::array({{{"op", "update"},
                         {"table", "Queue"},
                         {"where", Json::array()},
                         {"row", {{"other_config", map({{"max-rate", "4000000"}})}}}}}));
  expect(1, 30);
  EXPECT_EQ(dp.all_ports().at("in1").qos->queues.at(0).max_rate, 4'000'000U);
}

// Its ports are tried again with each run, without being read again, and no others.
TEST_F(AmongMany, ABridgeThatFails) {
  dp.refuse_bridge("br1", true);
  change("Bridge", "br1", {{"flood_vlans", 8}});
  expect(1, 60);
  for (const char* name : {"br1", "in1", "in2"}) EXPECT_THAT(error(name), testing::HasSubstr("no memory")) << name;
  EXPECT_EQ(error("vm3").find("no memory"), std::string::npos);
  change("Port", "vm3", {{"tag", 3}});
  expect(1, 60);
  EXPECT_THAT(error("in1"), testing::HasSubstr("no memory"));
  dp.refuse_bridge("br1", false);
  expect(0, 60);
  for (const char* name : {"br1", "in1", "in2"}) EXPECT_EQ(error(name), "") << name;
  EXPECT_TRUE(dp.bridge_policy("br1").flood_vlans.test(8));
  expect(0, 5);  // and then there is nothing left to be done
}

TEST_F(AmongMany, TheRootAndABridge) {
  transact(Json::array(
      {{{"op", "update"}, {"table", "Open_vSwitch"}, {"where", Json::array()}, {"row", {{"next_cfg", 7}}}}}));
  expect(0, 5);
  EXPECT_EQ(db->rows("Open_vSwitch")[0]->get("cur_cfg").integer_or(0), 7);
  change("Bridge", "br0", {{"other_config", map({{"hwaddr", "02:00:00:00:00:aa"}})}});
  expect(2, 30);  // it and its own port
  EXPECT_EQ(dp.all_ports().at("br0").spec.mac, MacAddr::parse("02:00:00:00:00:aa"));
  insert_bridge("br2");
  expect(2, 30);
  change("Bridge", "br1", {{"datapath_type", "warp"}});
  expect(4, 60);
  EXPECT_THAT(error("in1"), testing::HasSubstr("not available here"));
}

}  // namespace
}  // namespace heddle::vswitchd
