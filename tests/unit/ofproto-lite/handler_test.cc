// SPDX-License-Identifier: Apache-2.0
#include "ofproto-lite/handler.h"

#include <gtest/gtest.h>

#include <latch>

#include "ofproto-lite/switch.h"
#include "tests/support/fake_datapath.h"

namespace heddle::ofproto {
namespace {

struct World {
  SteadyTime time;
  test::FakeDatapath dp{time};
  Handler handler{dp.stations(), time};
  Switch sw{dp, handler};

  dp::PortNo add(const std::string& name) {
    PortConfig config;
    config.spec.name = name;
    EXPECT_TRUE(sw.add_port("br0", config));
    return dp.number(name);
  }
  BridgeFdb& fdb() { return sw.find_bridge("br0").value()->fdb(); }
};

// Every command is answered after the events that were there before it, since both are served in one round.
TEST(Handler, LearnsWhatTheDatapathReports) {
  World w;
  ASSERT_TRUE(w.handler.start());
  ASSERT_TRUE(w.sw.add_bridge("br0", {}));
  const auto vm1 = w.add("vm1");
  for (std::uint64_t mac = 1; mac <= 1000; ++mac)
    w.dp.source_seen({dp::BridgeId{0}, 0, MacAddr::from_u64(mac << 8)}, {vm1, std::nullopt});
  while (w.handler.call([](Fdb& fdb) { return fdb.stats(dp::BridgeId{0}).learned; }) < 1000) std::this_thread::yield();
  EXPECT_EQ(w.dp.fdb().size(), 1000U);
}

TEST(Handler, SleepsWhenThereIsNothingToDo) {
  World w;
  ASSERT_TRUE(w.handler.start());
  ASSERT_TRUE(w.sw.add_bridge("br0", {}));
  w.handler.call([](Fdb&) { return 0; });
  const auto before = w.handler.wakeups();
  constexpr unsigned kCalls = 200;  // one wake-up each: who does not sleep has many more
  for (unsigned i = 0; i < kCalls; ++i) w.handler.call([](Fdb&) { return 0; });
  EXPECT_LE(w.handler.wakeups(), before + kCalls + 1);
}

TEST(Handler, ObserversAreCalledOnItsThread) {
  struct Witness : FdbObserver {
    std::atomic<std::thread::id> where;
    void appeared(const LocalStation& /*now*/) override { where = std::this_thread::get_id(); }
    void moved(const LocalStation& /*before*/, const LocalStation& /*now*/) override {}
    void gone(const LocalStation& /*before*/) override {}
  };
  Witness witness;
  World w;
  w.handler.add_observer(witness);
  ASSERT_TRUE(w.handler.start());
  ASSERT_TRUE(w.sw.add_bridge("br0", {}));
  w.dp.source_seen({dp::BridgeId{0}, 0, MacAddr::from_u64(0x020000000001)}, {w.add("vm1"), std::nullopt});
  while (witness.where == std::thread::id{}) std::this_thread::yield();
  EXPECT_EQ(witness.where, w.handler.call([](Fdb&) { return std::this_thread::get_id(); }));
}

TEST(Handler, CallRunsInPlaceWithoutAThread) {
  World w;
  EXPECT_EQ(w.handler.call([](Fdb&) { return std::this_thread::get_id(); }), std::this_thread::get_id());
  ASSERT_TRUE(w.handler.start());
  EXPECT_NE(w.handler.call([](Fdb&) { return std::this_thread::get_id(); }), std::this_thread::get_id());
  w.handler.stop();
  w.handler.stop();
  EXPECT_EQ(w.handler.call([](Fdb&) { return std::this_thread::get_id(); }), std::this_thread::get_id());
}

// More than one batch; and what nobody accepts does not stay.
TEST(Handler, TakesUpWhatAFormerLifeHadLearned) {
  World w;
  ASSERT_TRUE(w.sw.add_bridge("br0", {}));
  const dp::FdbTarget vm1{w.add("vm1"), std::nullopt};
  const std::size_t many = limits::kEventBatch * 2 + 1;
  for (std::uint64_t mac = 1; mac <= many; ++mac)
    w.dp.remember_entry({dp::BridgeId{0}, 0, MacAddr::from_u64(mac << 8)}, vm1);
  w.dp.remember_entry({dp::BridgeId{0}, 0, MacAddr::from_u64(0x010000000001)}, vm1);  // a group address
  w.dp.remember_entry({dp::BridgeId{0}, 5, MacAddr::from_u64(1 << 8)}, {dp::PortNo{9}, std::nullopt});
  w.dp.settle();
  while (w.handler.work()) continue;
  w.handler.work();
  EXPECT_EQ(w.dp.fdb().size(), many);
  EXPECT_EQ(w.fdb().lines().size(), many);
}

// Control adds and removes ports while sources appear on them. For the thread sanitizer; and at the end nothing may be
// left of ports that are gone.
TEST(Handler, ControlAndEventsInterleave) {
  World w;
  ASSERT_TRUE(w.handler.start());
  ASSERT_TRUE(w.sw.add_bridge("br0", {.fdb_capacity = 64}));
  const auto stays = w.add("stays");
  std::atomic<bool> done{false};
  std::latch running{1};
  std::thread world([&] {
    std::uint64_t n = 0;
    do {
      ++n;
      const auto port = n % 2 == 0 ? stays : dp::PortNo{2};
      w.dp.source_seen({dp::BridgeId{0}, 0, MacAddr::from_u64((n % 100 + 1) << 8)}, {port, std::nullopt});
      if (n == 1) running.count_down();
      if (n % 64 == 0) std::this_thread::yield();
    } while (!done);
  });
  running.wait();
  for (int round = 0; round < 50; ++round) {
    w.add("comes");
    EXPECT_LE(w.fdb().lines().size(), 64U);
    w.fdb().flush();
    EXPECT_TRUE(w.sw.remove_port("comes"));
  }
  done = true;
  world.join();
  w.handler.stop();
  const auto left = w.fdb().lines();
  for (const FdbLine& line : left) EXPECT_EQ(line.port, "stays");
  EXPECT_LE(w.dp.fdb().size(), 64U);
  EXPECT_EQ(w.dp.fdb().size(), w.fdb().stats().entries);
}

}  // namespace
}  // namespace heddle::ofproto
