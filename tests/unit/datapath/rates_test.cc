// SPDX-License-Identifier: Apache-2.0
// Rates: the one-number bucket of gcra.h against the bucket that everybody draws, with a level that fills and empties.
#include <gtest/gtest.h>

#include <random>
#include <thread>

#include "datapath/user/policer.h"

namespace heddle::dp {
namespace {

// A level in units, never above the burst; a frame passes while there is something in it, and may leave a debt.
class NaiveBucket {
 public:
  NaiveBucket(double per_second, double burst) : rate_(per_second), burst_(burst), level_(burst) {}
  bool pass(double now, double units) {
    level_ = std::min(burst_, level_ + (now - last_) * rate_);
    last_ = now;
    // At the edge the two may round to different sides.
    edge = level_ != burst_ && std::abs(level_) < kEdge * rate_;
    if (level_ < 0) return false;
    level_ -= units;
    return true;
  }
  void agree(double units, bool passed) { level_ += passed ? -units : units; }
  bool edge = false;

 private:
  static constexpr double kEdge = 1e-9;  // seconds
  double rate_, burst_, level_, last_ = 0;
};

struct Case {
  const char* name;
  std::uint64_t rate;   // bytes a second
  std::uint64_t burst;  // bytes
  double spacing;       // of frames, as a share of what the rate allows
};

class Rates : public ::testing::TestWithParam<Case> {};

TEST_P(Rates, AgreeWithANaiveBucket) {
  const auto [name, rate, burst, spacing] = GetParam();
  const Gcra gcra(rate, burst);
  NaiveBucket naive(static_cast<double>(rate), static_cast<double>(burst));
  std::mt19937 random(1);
  Ticks arrival = 0;
  Ticks now = ticks_of_ns(1'000'000'000);
  double total = 0;
  int edges = 0;
  for (int i = 0; i < 20000; ++i) {
    const std::uint32_t length = i % 50 == 0 ? 65000 : 64 + random() % 1455;
    const double pause = spacing * 2 * (random() % 1000) / 1000.0 * 785 / static_cast<double>(rate);
    now += static_cast<Ticks>(pause * kTicksPerSecond);
    const double seconds = static_cast<double>(now) / kTicksPerSecond;
    const bool want = naive.pass(seconds, length);
    const bool got = gcra.conforms(arrival, now);
    if (got) arrival = gcra.after(arrival, now, length);
    if (naive.edge) {
      ++edges;
      if (want != got) naive.agree(length, got);
      continue;
    }
    ASSERT_EQ(got, want) << name << " frame " << i;
    total += got ? length : 0;
  }
  EXPECT_LT(edges, 2000) << "most must be comparable";
  EXPECT_GT(total, 0);
}

INSTANTIATE_TEST_SUITE_P(, Rates,
                         ::testing::Values(Case{"Slow", 125, 12500, 0.5}, Case{"Ordinary", 1'250'000, 100'000, 0.3},
                                           Case{"NeverFull", 1'250'000, 100'000, 3},
                                           Case{"SmallerThanAFrame", 12'500'000, 100, 0.5},
                                           Case{"NoBurst", 12'500'000, 0, 0.8},
                                           Case{"Fast", 50'000'000'000, 10'000'000, 0.5}),
                         [](const auto& i) { return i.param.name; });

// Late in a long life the arithmetic is as fine as in the beginning.
TEST(Gcra, YearsOfUptime) {
  const Gcra gcra(12'500'000'000, 1500);  // 100 Gbit/s
  const Ticks begin = ticks_of_ns(8ULL * 365 * 24 * 3600 * 1'000'000'000);
  Ticks arrival = 0;
  for (int i = 0; i < 1'000'000; ++i) arrival = gcra.after(arrival, begin, 64);
  EXPECT_NEAR(static_cast<double>(arrival - begin), 1e6 * 64 / 12.5e9 * kTicksPerSecond, 1e6);
  EXPECT_FALSE(gcra.conforms(arrival, begin));
  EXPECT_TRUE(gcra.conforms(arrival, gcra.due(arrival)));
  EXPECT_FALSE(gcra.conforms(arrival, gcra.due(arrival) - 1));
}

TEST(Gcra, ExtremesAreTakenAsTheNearest) {
  const Gcra slow(1, UINT64_MAX, 8);
  EXPECT_TRUE(slow.conforms(slow.after(0, 0, 65535), 0));
  const Gcra fast(UINT64_MAX, 0);
  EXPECT_EQ(fast.after(7, 5, 65535), 7U);
  EXPECT_FALSE(Gcra().limits());
}

// A frame that one bucket refuses is charged to none.
TEST(Policer, BytesAndPackets) {
  Policing p;
  p.packets_per_second = 10;
  p.burst_packets = 2;
  p.bits_per_second = 8000;
  p.burst_bits = 8 * 1000;
  const Policer policer(p);
  PolicerState state;
  const Ticks now = ticks_of_ns(5'000'000'000);
  EXPECT_TRUE(policer.pass(state, now, 100));
  EXPECT_TRUE(policer.pass(state, now, 100));
  EXPECT_TRUE(policer.pass(state, now, 100));
  EXPECT_FALSE(policer.pass(state, now, 100)) << "three frames, and the bucket of two is overdrawn";
  EXPECT_EQ(state.bytes.load() - now, 3 * kTicksPerSecond / 10);
  const Ticks later = now + kTicksPerSecond;
  EXPECT_TRUE(policer.pass(state, later, 65000)) << "longer than the burst, and the bucket is not empty";
  EXPECT_FALSE(policer.pass(state, later + 60 * kTicksPerSecond, 100));
  EXPECT_TRUE(policer.pass(state, later + 65 * kTicksPerSecond, 100));
}

// Whoever charges, nothing of it is lost.
TEST(Policer, ManyWorkersChargeOneBucket) {
  Policing p;
  p.packets_per_second = 1000;
  p.burst_packets = 40'000;
  const Policer policer(p);
  PolicerState state;
  constexpr int kEach = 10'000;
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i)
    threads.emplace_back([&] {
      for (int n = 0; n < kEach; ++n) EXPECT_TRUE(policer.pass(state, ticks_of_ns(1), 64));
    });
  for (auto& t : threads) t.join();
  EXPECT_EQ(state.packets.load() - ticks_of_ns(1), 3 * kEach * (kTicksPerSecond / 1000));
}

}  // namespace
}  // namespace heddle::dp
