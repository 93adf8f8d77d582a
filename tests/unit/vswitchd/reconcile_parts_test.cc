// SPDX-License-Identifier: Apache-2.0
// Runs that read only what has changed: they must come to what a run over everything would come to.
#include <fmt/format.h>

#include <map>
#include <random>

#include "ovsdb/value.h"
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

}  // namespace
}  // namespace heddle::vswitchd
