// SPDX-License-Identifier: Apache-2.0
#include "ofproto-lite/fdb.h"

#include <gtest/gtest.h>

#include <random>

#include "tests/unit/ofproto-lite/fdb_world.h"

namespace heddle::ofproto {
namespace {

using namespace test_world;
using dp::PortNo;
using std::chrono::seconds;

TEST(Fdb, LearnsMovesAndForgets) {
  World w;
  const PortNo a = w.port("a");
  const PortNo b = w.port("b");
  w.seen(1, a);
  EXPECT_EQ(w.where(1), a);
  w.seen(1, b);
  EXPECT_EQ(w.where(1), b);
  EXPECT_EQ(w.fdb.stats(kBr).moved, 1U);
  w.seen(1, a, 20);  // the same station in another VLAN is another entry
  EXPECT_EQ(w.fdb.stats(kBr).entries, 2U);
  w.fdb.remove_port(b);
  EXPECT_EQ(w.where(1), std::nullopt);
  EXPECT_EQ(w.where(1, 20), a);
}

TEST(Fdb, AgesOnlyWhatIsQuiet) {
  World w({.aging = seconds(100)});
  const PortNo a = w.port("a");
  w.seen(1, a);
  w.seen(2, a);
  w.pass(seconds(60));
  w.seen(2, a);
  w.pass(seconds(39));
  EXPECT_EQ(w.where(1), a);
  w.pass(seconds(1));
  EXPECT_EQ(w.where(1), std::nullopt);
  EXPECT_EQ(w.where(2), a);
  w.pass(seconds(60));
  EXPECT_EQ(w.where(2), std::nullopt);
  EXPECT_EQ(w.fdb.stats(kBr).expired, 2U);
  EXPECT_EQ(w.fdb.next_due(), std::nullopt) << "nothing to age: the handler may sleep without a timer";
}

TEST(Fdb, SleepsUntilTheFirstMayExpire) {
  World w({.aging = seconds(100)});
  const PortNo a = w.port("a");
  w.pass(seconds(100'000));  // idle for long: the wheel has turned many times
  w.seen(1, a);
  w.pass(seconds(1));
  EXPECT_EQ(w.fdb.next_due(), w.time.now() + seconds(99));
}

TEST(Fdb, ShorterAgingAppliesToWhatIsThere) {
  World w({.aging = seconds(3600)});
  const PortNo a = w.port("a");
  w.seen(1, a);
  w.pass(seconds(50));
  ASSERT_TRUE(w.fdb.set_bridge(kBr, {.name = "br0", .aging = seconds(40)}));
  w.pass(seconds(1));
  EXPECT_EQ(w.where(1), std::nullopt);
}

TEST(Fdb, AgingTimeIsKeptInBounds) {
  World w({.aging = seconds(1)});
  const PortNo a = w.port("a");
  w.seen(1, a);
  w.pass(seconds(14));
  EXPECT_EQ(w.where(1), a);
  w.pass(seconds(1));
  EXPECT_EQ(w.where(1), std::nullopt);
}

TEST(Fdb, FullTableEvictsTheOldestOfTheGreediestPort) {
  World w({.capacity = 5});
  const PortNo modest = w.port("modest");
  const PortNo greedy = w.port("greedy");
  w.seen(1, modest);
  for (std::uint64_t mac = 10; mac < 14; ++mac) {
    w.pass(seconds(1));
    w.seen(mac, greedy);
  }
  w.pass(seconds(1));
  w.seen(10, greedy);  // the first learned is not the longest quiet any more
  w.seen(2, modest);
  EXPECT_EQ(w.where(11), std::nullopt);
  EXPECT_EQ(w.where(10), greedy);
  EXPECT_EQ(w.where(1), modest);
  EXPECT_EQ(w.fdb.stats(kBr).entries, 5U);
  for (std::uint64_t mac = 100; mac < 200; ++mac) w.seen(mac, greedy);
  EXPECT_EQ(w.where(1), modest) << "a port that floods addresses pushes out its own";
  EXPECT_EQ(w.where(2), modest);
  EXPECT_EQ(w.fdb.stats(kBr).evicted, 101U);
}

TEST(Fdb, SmallerTableEvicts) {
  World w({.capacity = 50});
  const PortNo a = w.port("a");
  for (std::uint64_t mac = 0; mac < 50; ++mac) w.seen(mac, a);
  ASSERT_TRUE(w.fdb.set_bridge(kBr, {.name = "br0", .capacity = 10}));
  EXPECT_EQ(w.dp.fdb().size(), 10U);
}

TEST(Fdb, ConfiguredEntriesStay) {
  World w({.aging = seconds(20), .capacity = 2});
  const PortNo a = w.port("a");
  const PortNo b = w.port("b");
  w.seen(1, b);
  ASSERT_TRUE(w.fdb.put(Origin::configured, w.key(1), {a, std::nullopt}));
  w.seen(1, b);
  EXPECT_EQ(w.where(1), a);
  EXPECT_EQ(w.fdb.stats(kBr).refused_moves[Origin::configured], 1U);
  w.pass(seconds(1000));
  w.fdb.flush({.bridge = kBr});
  EXPECT_EQ(w.where(1), a);
  ASSERT_TRUE(w.fdb.put(Origin::configured, w.key(2), {a, std::nullopt}));
  EXPECT_EQ(w.fdb.put(Origin::configured, w.key(3), {a, std::nullopt}).error().code, Errc::limit);
  w.seen(4, a);
  EXPECT_EQ(w.where(4), std::nullopt);
  EXPECT_EQ(w.fdb.stats(kBr).full, 2U);
  EXPECT_TRUE(w.fdb.withdraw(Origin::configured, w.key(1)));
  EXPECT_EQ(w.where(1), std::nullopt);
  EXPECT_EQ(w.fdb.withdraw(Origin::configured, w.key(1)).error().code, Errc::not_found);
}

TEST(Fdb, AFailedPutLeavesTheWeakerEntry) {
  World w;
  const PortNo a = w.port("a");
  const PortNo b = w.port("b");
  w.seen(1, a);
  ASSERT_TRUE(w.dp.ports().remove(b));  // and nobody has told the Fdb yet
  EXPECT_EQ(w.fdb.put(Origin::configured, w.key(1), {b, std::nullopt}).error().code, Errc::not_found);
  EXPECT_EQ(w.where(1), a);
  EXPECT_EQ(w.fdb.find(w.key(1))->origin, Origin::learned);
  EXPECT_EQ(w.fdb.put(Origin::learned, w.key(2), {a, std::nullopt}).error().code, Errc::invalid);
  EXPECT_EQ(w.fdb.put(Origin::configured, {kBr, 0, *MacAddr::parse("01:00:5e:00:00:01")}, {a, {}}).error().code,
            Errc::invalid);
}

TEST(Fdb, RefusesImpossibleSources) {
  World w;
  const PortNo a = w.port("a");
  const PortNo local = w.port("br0");
  ASSERT_TRUE(w.fdb.set_bridge(kBr, {.name = "br0", .mac = *MacAddr::parse("02:00:00:00:00:99"), .local = local}));
  w.send({{kBr, 0, *MacAddr::parse("01:00:5e:00:00:01")}, {a, std::nullopt}});
  w.send({{kBr, 0, MacAddr{}}, {a, std::nullopt}});
  w.seen(0x99, a);
  EXPECT_TRUE(w.dp.fdb().empty());
  EXPECT_EQ(w.fdb.stats(kBr).bad_source, 2U);
  EXPECT_EQ(w.fdb.stats(kBr).own_mac, 1U);
  w.seen(0x99, local);
  EXPECT_EQ(w.where(0x99), local);
}

TEST(Fdb, EventsOfAPortThatIsGoneAreIgnored) {
  World w;
  const PortNo a = w.port("a");
  w.fdb.remove_port(a);
  w.seen(1, a);
  EXPECT_EQ(w.fdb.stats(kBr).entries, 0U);
  EXPECT_TRUE(w.dp.fdb().empty());
}

TEST(Fdb, MultipointTunnelRemembersTheRemote) {
  World w;
  const PortNo vx = w.port("vx");
  const auto r1 = IpAddr::parse("192.0.2.1");
  const auto r2 = IpAddr::parse("192.0.2.2");
  w.send({w.key(1), {vx, r1}});
  w.send({w.key(2), {vx, r2}});
  w.send({w.key(1), {vx, r2}});  // the VM migrated
  EXPECT_EQ(w.dp.fdb().at(w.key(1)).remote, r2);
  EXPECT_EQ(w.fdb.stats(kBr).moved, 1U);
  w.send({w.key(3), {vx, r1}});
  EXPECT_EQ(w.fdb.flush({.port = vx, .remote = r2}), 2U);
  EXPECT_EQ(w.where(3), vx);
}

TEST(Fdb, ReinstallsWhatTheDatapathLost) {
  World w;
  const PortNo a = w.port("a");
  w.seen(1, a);
  w.dp.stations().remove(w.key(1));
  w.seen(1, a);
  EXPECT_EQ(w.where(1), a);
}

class FdbRandom : public testing::TestWithParam<unsigned> {};

TEST_P(FdbRandom, AgreesWithTheOracle) {
  std::mt19937 rng(GetParam());
  const auto pick = [&](std::uint64_t below) { return rng() % below; };
  World w({.aging = seconds(120), .capacity = 1000});
  Oracle oracle;
  std::vector<PortNo> ports;
  for (int i = 0; i < 5; ++i) ports.push_back(w.port("p" + std::to_string(i)));
  for (int step = 0; step < 3000; ++step) {
    const auto key = w.key(pick(60), static_cast<dp::VlanId>(pick(3)));
    const PortNo port = ports[pick(ports.size())];
    const Origin origin = all_origins()[1 + pick(kOrigins - 1)];
    const auto dice = pick(100);
    if (dice < 66) {
      w.send({key, {port, std::nullopt}});
      oracle.seen(key, port, w.time.now());
    } else if (dice < 72) {
      EXPECT_TRUE(w.fdb.put(origin, key, {port, std::nullopt}));
      oracle.put(origin, key, port);
    } else if (dice < 78) {
      EXPECT_EQ(w.fdb.withdraw(origin, key).has_value(), oracle.withdraw(origin, key));
    } else if (dice < 79) {
      w.fdb.flush({.bridge = kBr, .port = port, .vlan = key.vlan});
      oracle.flush(port, key.vlan);
    } else if (dice < 80) {
      w.fdb.remove_port(port);
      EXPECT_TRUE(w.fdb.add_port(port, kBr, "again", false));
      oracle.remove_port(port);
    } else {
      w.pass(seconds(pick(20)));
      oracle.expire(w.time.now(), seconds(120));
    }
    if (step % 50 == 0) expect_same(w, oracle);
  }
  expect_same(w, oracle);
}
INSTANTIATE_TEST_SUITE_P(Seeds, FdbRandom, testing::Values(1, 2, 3, 4));

}  // namespace
}  // namespace heddle::ofproto
