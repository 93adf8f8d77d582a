// SPDX-License-Identifier: Apache-2.0
#include "ofproto-lite/fdb.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

#include "ofproto-lite/handler.h"
#include "tests/support/fake_datapath.h"

namespace heddle::ofproto {
namespace {

using dp::BridgeId;
using dp::PortNo;
using std::chrono::seconds;

constexpr BridgeId kBr{0};

struct World {
  FakeTime time;
  test::FakeDatapath dp{time};
  Fdb fdb{dp.stations(), time};

  explicit World(FdbConfig config = {}) {
    config.name = "br0";
    EXPECT_EQ(dp.bridges().add("br0"), kBr);
    EXPECT_TRUE(fdb.set_bridge(kBr, config));
  }
  PortNo port(const std::string& name) {
    dp::PortConfig config;
    config.spec.name = name;
    const PortNo number = dp.ports().apply(config).value();
    EXPECT_TRUE(fdb.add_port(number, kBr, name));
    return number;
  }
  static dp::FdbKey key(std::uint64_t mac, dp::VlanId vlan = 0) {
    return {kBr, vlan, MacAddr::from_u64(0x020000000000 | mac)};
  }
  void seen(std::uint64_t mac, PortNo port, dp::VlanId vlan = 0) { send({key(mac, vlan), {port, std::nullopt}}); }
  void send(const dp::LearnEvent& frame) {
    dp.source_seen(frame.key, frame.target);
    std::array<dp::LearnEvent, 1> event;
    while (dp.stations().poll(event) == 1) fdb.learn(event[0]);
  }
  void pass(seconds by) {
    time.advance(by);
    while (fdb.tick(7) == 7) continue;  // in small bites: nothing may be lost between them
  }
  std::optional<PortNo> where(std::uint64_t mac, dp::VlanId vlan = 0) {
    const auto rows = dp.fdb();
    const auto it = rows.find(key(mac, vlan));
    return it == rows.end() ? std::nullopt : std::optional(it->second.port);
  }
};

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

TEST(Fdb, StaticEntriesStay) {
  World w({.aging = seconds(20), .capacity = 2});
  const PortNo a = w.port("a");
  const PortNo b = w.port("b");
  w.seen(1, b);
  ASSERT_TRUE(w.fdb.add_static(w.key(1), {a, std::nullopt}));
  w.seen(1, b);
  EXPECT_EQ(w.where(1), a);
  EXPECT_EQ(w.fdb.stats(kBr).static_refused, 1U);
  w.pass(seconds(1000));
  w.fdb.flush({.bridge = kBr});
  EXPECT_EQ(w.where(1), a);
  EXPECT_TRUE(w.fdb.add_static(w.key(1), {a, std::nullopt})) << "the same again changes nothing";
  EXPECT_EQ(w.fdb.add_static(w.key(1), {b, std::nullopt}).error().code, Errc::exists);
  ASSERT_TRUE(w.fdb.add_static(w.key(2), {a, std::nullopt}));
  EXPECT_EQ(w.fdb.add_static(w.key(3), {a, std::nullopt}).error().code, Errc::limit);
  w.seen(4, a);
  EXPECT_EQ(w.where(4), std::nullopt);
  EXPECT_EQ(w.fdb.stats(kBr).full, 2U);
  EXPECT_TRUE(w.fdb.remove(w.key(1)));
  EXPECT_EQ(w.where(1), std::nullopt);
  EXPECT_EQ(w.fdb.remove(w.key(1)).error().code, Errc::not_found);
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

// Against a model that does everything the slow way.
class Model {
 public:
  struct Entry {
    PortNo port;
    bool is_static;
    TimePoint seen;
  };
  std::map<dp::FdbKey, Entry> rows;

  void seen(const dp::FdbKey& key, PortNo port, TimePoint now) {
    const auto it = rows.find(key);
    if (it != rows.end() && it->second.is_static && it->second.port != port) return;
    rows[key] = {port, it != rows.end() && it->second.is_static, now};
  }
  void expire(TimePoint now, seconds aging) {
    std::erase_if(rows, [&](auto& r) { return !r.second.is_static && now - r.second.seen >= aging; });
  }
};

void expect_same(World& w, const Model& model) {
  std::map<dp::FdbKey, dp::FdbTarget> want;
  for (const auto& [key, entry] : model.rows) want[key] = {entry.port, std::nullopt};
  EXPECT_EQ(w.dp.fdb(), want);
  const auto rows = w.fdb.rows(kBr);
  EXPECT_EQ(rows.size(), want.size());
  for (const FdbRow& row : rows) {
    const auto it = model.rows.find(row.key);
    ASSERT_NE(it, model.rows.end());
    EXPECT_EQ(row.is_static, it->second.is_static);
    if (!row.is_static) {
      EXPECT_EQ(seconds(row.age), w.time.now() - it->second.seen);
    }
  }
  EXPECT_EQ(w.fdb.stats(kBr).entries, want.size());
}

class FdbRandom : public testing::TestWithParam<unsigned> {};

TEST_P(FdbRandom, AgreesWithTheModel) {
  std::mt19937 rng(GetParam());
  const auto pick = [&](std::uint64_t below) { return rng() % below; };
  World w({.aging = seconds(120), .capacity = 1000});
  Model model;
  std::vector<PortNo> ports;
  for (int i = 0; i < 5; ++i) ports.push_back(w.port("p" + std::to_string(i)));
  for (int step = 0; step < 3000; ++step) {
    const auto key = w.key(pick(60), static_cast<dp::VlanId>(pick(3)));
    const PortNo port = ports[pick(ports.size())];
    const auto dice = pick(100);
    if (dice < 70) {
      w.send({key, {port, std::nullopt}});
      model.seen(key, port, w.time.now());
    } else if (dice < 74) {
      const auto it = model.rows.find(key);
      const bool clash = it != model.rows.end() && it->second.is_static && it->second.port != port;
      EXPECT_EQ(w.fdb.add_static(key, {port, std::nullopt}).has_value(), !clash);
      if (!clash) model.rows[key] = {port, true, w.time.now()};
    } else if (dice < 78) {
      EXPECT_EQ(w.fdb.remove(key).has_value(), model.rows.erase(key) == 1);
    } else if (dice < 79) {
      w.fdb.flush({.bridge = kBr, .port = port, .vlan = key.vlan});
      std::erase_if(model.rows,
                    [&](auto& r) { return !r.second.is_static && r.second.port == port && r.first.vlan == key.vlan; });
    } else if (dice < 80) {
      w.fdb.remove_port(port);
      EXPECT_TRUE(w.fdb.add_port(port, kBr, "again"));
      std::erase_if(model.rows, [&](auto& r) { return r.second.port == port; });
    } else {
      w.pass(seconds(pick(20)));
      model.expire(w.time.now(), seconds(120));
    }
    if (step % 50 == 0) expect_same(w, model);
  }
  expect_same(w, model);
}
INSTANTIATE_TEST_SUITE_P(Seeds, FdbRandom, testing::Values(1, 2, 3, 4));

}  // namespace
}  // namespace heddle::ofproto
