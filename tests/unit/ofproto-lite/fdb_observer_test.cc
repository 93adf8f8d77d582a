// SPDX-License-Identifier: Apache-2.0
#include "ofproto-lite/fdb_observer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "tests/unit/ofproto-lite/fdb_world.h"

namespace heddle::ofproto {
namespace {

using namespace test_world;
using dp::PortNo;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::IsEmpty;

// Writes down the news, and keeps a table by it.
struct Recorder : FdbObserver {
  std::vector<std::string> said;
  std::map<dp::FdbKey, LocalStation> table;

  static std::string text(const LocalStation& s) {
    return std::to_string(s.key.mac.to_u64() & 0xffff) + " " + std::to_string(std::to_underlying(s.port)) + " " +
           origin_name(s.origin);
  }
  void appeared(const LocalStation& now) override {
    said.push_back("+ " + text(now));
    EXPECT_TRUE(table.emplace(now.key, now).second);
  }
  void moved(const LocalStation& before, const LocalStation& now) override {
    said.push_back("> " + text(before) + ", " + text(now));
    EXPECT_EQ(table.at(before.key), before);
    table[now.key] = now;
  }
  void gone(const LocalStation& before) override {
    said.push_back("- " + text(before));
    EXPECT_EQ(table.at(before.key), before);
    table.erase(before.key);
  }
  std::vector<std::string> take() { return std::exchange(said, {}); }
};

TEST(FdbObserver, IsToldOfLocalStations) {
  World w({.aging = seconds(20)});
  Recorder news;
  w.fdb.add_observer(news);
  const PortNo a = w.port("a");  // number 1
  const PortNo b = w.port("b");  // number 2
  const PortNo vx = w.port("vx", true);
  w.seen(1, a);
  w.seen(1, a);
  EXPECT_THAT(news.take(), ElementsAre("+ 1 1 learned"));
  w.seen(1, b);
  EXPECT_THAT(news.take(), ElementsAre("> 1 1 learned, 1 2 learned"));
  ASSERT_TRUE(w.fdb.put(Origin::configured, w.key(1), {b, std::nullopt}));
  EXPECT_THAT(news.take(), ElementsAre("> 1 2 learned, 1 2 configured"));
  w.seen(1, a);
  ASSERT_TRUE(w.fdb.put(Origin::evpn, w.key(1), {vx, std::nullopt}));
  EXPECT_THAT(news.take(), IsEmpty()) << "nothing of it took effect";
  ASSERT_TRUE(w.fdb.withdraw(Origin::configured, w.key(1)));
  EXPECT_THAT(news.take(), ElementsAre("- 1 2 configured")) << "it is behind the tunnel";
  w.seen(2, vx);
  EXPECT_THAT(news.take(), IsEmpty());
  w.seen(2, a);
  EXPECT_THAT(news.take(), ElementsAre("+ 2 1 learned"));
  w.pass(seconds(20));
  EXPECT_THAT(news.take(), ElementsAre("- 2 1 learned"));
  w.seen(3, a);
  w.seen(4, b);
  w.fdb.remove_port(a);
  w.fdb.remove_bridge(kBr);
  EXPECT_THAT(news.take(), ElementsAre("+ 3 1 learned", "+ 4 2 learned", "- 3 1 learned", "- 4 2 learned"));
}

// Whatever happens: who keeps a table by the news has what the FDB has on local ports.
TEST(FdbObserver, ATableKeptByTheNewsIsTheFdbs) {
  std::mt19937 rng(1);
  const auto pick = [&](std::uint64_t below) { return rng() % below; };
  World w({.aging = seconds(60), .capacity = 40});
  Recorder news;
  w.fdb.add_observer(news);
  const std::array ports{w.port("a"), w.port("b"), w.port("vx", true), w.port("vy", true)};
  for (int step = 0; step < 3000; ++step) {
    const auto key = w.key(pick(60));
    const dp::FdbTarget target{ports[pick(ports.size())], std::nullopt};
    const Origin origin = all_origins()[1 + pick(kOrigins - 1)];
    const auto dice = pick(100);
    if (dice < 70) w.send({key, target});
    if (dice >= 70 && dice < 77) std::ignore = w.fdb.put(origin, key, target);
    if (dice >= 77 && dice < 90) std::ignore = w.fdb.withdraw(origin, key);
    if (dice >= 90) w.pass(seconds(pick(20)));
    if (step % 20 != 0) continue;
    std::map<dp::FdbKey, LocalStation> want;
    for (const FdbRow& row : w.fdb.rows(kBr))
      if (row.target.port == ports[0] || row.target.port == ports[1])
        want[row.key] = {row.key, row.target.port, row.origin};
    EXPECT_EQ(news.table, want);
  }
}

}  // namespace
}  // namespace heddle::ofproto
