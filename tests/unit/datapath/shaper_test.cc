// SPDX-License-Identifier: Apache-2.0
// Egress shaping: who goes first at which rate, on a clock set by hand; and the forwarder's part: what waits leaves in
// order when its time has come, moves with its port's configuration, and is never lost uncounted.
#include "datapath/user/shaper.h"

#include <gtest/gtest.h>

#include "tests/unit/datapath/world.h"

namespace heddle::dp {
namespace {

using namespace test;

constexpr Ticks kMs = kTicksPerSecond / 1000;
constexpr std::uint64_t kKbit = 1000;

QosSpec spec(std::uint64_t max_rate, std::map<std::uint32_t, QosQueue> queues = {}) {
  return {max_rate, std::move(queues)};
}

// A shaper whose queues always have frames of 1000 bytes waiting: who got how many bytes after a while?
class Contest {
 public:
  explicit Contest(const QosSpec& s) : shaper_(QosConf::make(s, nullptr)) {}
  std::map<std::uint32_t, std::uint64_t> run(const std::vector<std::uint32_t>& backlogged, unsigned ms) {
    std::map<std::uint32_t, std::uint64_t> sent;
    for (Ticks now = 0; now <= ms * kMs; now += kMs) {
      for (const std::uint32_t queue : backlogged) {
        while (waiting_[queue] < 10) {
          const auto verdict = shaper_.offer(queue, {queue, kLength}, now);
          if (verdict == Shaper::Verdict::go) sent[queue] += kLength;
          if (verdict == Shaper::Verdict::wait) ++waiting_[queue];
        }
      }
      for (FrameRef f = shaper_.next(now); f != kNoFrame; f = shaper_.next(now)) {
        sent[f] += kLength;
        --waiting_[f];
      }
    }
    return sent;
  }

 private:
  static constexpr std::uint32_t kLength = 1000;
  Shaper shaper_;
  std::map<std::uint32_t, unsigned> waiting_;
};

// Rates in kbit/s; 10 s at 1 kbit/s are 1250 bytes.
constexpr unsigned kTenSeconds = 10'000;
void expect_rate(std::uint64_t bytes, std::uint64_t kbit) {
  const double want = static_cast<double>(kbit) * 1250;
  EXPECT_GE(static_cast<double>(bytes), want * 0.99 - 1000) << kbit;
  EXPECT_LE(static_cast<double>(bytes), want * 1.01 + 20'000) << kbit;
}

TEST(Shaper, HoldsThePortsRate) {
  auto sent = Contest(spec(2000 * kKbit)).run({7}, kTenSeconds);
  expect_rate(sent[7], 2000);
}

TEST(Shaper, HoldsAQueuesRateBelowThePorts) {
  auto sent = Contest(spec(2000 * kKbit, {{0, {.max_rate = 500 * kKbit}}})).run({0, 7}, kTenSeconds);
  expect_rate(sent[0], 500);
  expect_rate(sent[7], 1500);
}

TEST(Shaper, MinRatesComeFirstThenPriority) {
  const std::map<std::uint32_t, QosQueue> queues = {{1, {.min_rate = 300 * kKbit, .priority = 9}},
                                                    {2, {.min_rate = 100 * kKbit, .priority = 1}},
                                                    {3, {.min_rate = 200 * kKbit, .priority = 5}}};
  auto sent = Contest(spec(2000 * kKbit, queues)).run({1, 2, 3}, kTenSeconds);
  expect_rate(sent[1], 300);
  expect_rate(sent[2], 1500);
  expect_rate(sent[3], 200);
  // Who wants nothing leaves its share to the others.
  sent = Contest(spec(2000 * kKbit, queues)).run({1, 3}, kTenSeconds);
  expect_rate(sent[1], 300);
  expect_rate(sent[3], 1700);
}

TEST(Shaper, EqualsTakeTurns) {
  auto sent = Contest(spec(1000 * kKbit, {{1, {}}, {2, {}}})).run({1, 2}, kTenSeconds);
  expect_rate(sent[1], 500);
  expect_rate(sent[2], 500);
}

TEST(Shaper, QueuesAreBoundedAndCounted) {
  const auto conf = QosConf::make(spec(8000, {{0, {.burst = 100}}}), nullptr);  // 1000 bytes a second
  Shaper s(conf);
  EXPECT_EQ(s.due(), Shaper::kNever);
  std::size_t gone = 0;
  std::size_t waits = 0;
  std::size_t full = 0;
  for (std::uint32_t i = 0; i < limits::kShapedFrames + 50; ++i) {
    const auto verdict = s.offer(0, {i, 1000}, 0);
    gone += verdict == Shaper::Verdict::go ? 1 : 0;
    waits += verdict == Shaper::Verdict::wait ? 1 : 0;
    full += verdict == Shaper::Verdict::full ? 1 : 0;
  }
  EXPECT_EQ(waits, limits::kShapedFrames);
  EXPECT_EQ(gone + full, 50U);
  EXPECT_GT(full, 0U);
  EXPECT_EQ(conf->queues.at(0)->dropped.get(), full);
  EXPECT_EQ(conf->queues.at(0)->packets.get(), gone);
  // Exactly when it says, and in order.
  auto want = static_cast<FrameRef>(gone);
  for (Ticks due = s.due(); due != Shaper::kNever; due = s.due(), ++want) {
    ASSERT_TRUE(due == 0 || s.next(due - 1) == kNoFrame);
    ASSERT_EQ(s.next(due), want);
  }
  EXPECT_EQ(want, gone + waits);
  EXPECT_EQ(conf->queues.at(0)->packets.get(), gone + waits);
  EXPECT_EQ(conf->queues.at(0)->bytes.get(), 1000 * (gone + waits));
}

TEST(Shaper, QueuesThatStayGoOnCounting) {
  const auto before = QosConf::make(spec(8000, {{0, {}}, {1, {}}}), nullptr);
  before->queues.at(0)->packets.add(5);
  before->queues.at(1)->packets.add(6);
  const auto after = QosConf::make(spec(9000, {{0, {}}, {2, {}}}), before.get());
  EXPECT_EQ(after->queues.at(0)->packets.get(), 5U);
  EXPECT_EQ(after->queues.at(2)->packets.get(), 0U);
  EXPECT_FALSE(after->queues.contains(1));
}

// --- in the forwarder ---

void set_qos(World& w, PortNo port, std::optional<QosSpec> qos) {
  auto& place = w.config.ios[w.ports[port].io];
  auto conf = std::make_shared<IoConf>(*place);
  conf->qos = qos ? QosConf::make(*qos, place->qos.get()) : nullptr;
  place = conf;
  w.commit();
}
void round(World& w) {
  w.begin();
  w.forwarder.flush();
}
Bytes numbered(unsigned n) {
  Bytes f = frame(mac(2), mac(1), {}, packet::test::cat({{0x12, 0x34}, Bytes(986, 0)}));
  f[20] = static_cast<std::uint8_t>(n);
  f[21] = static_cast<std::uint8_t>(n >> 8);
  return f;
}

TEST(Shaping, WhatWaitsLeavesInOrderWhenItIsDue) {
  World w;
  const PortNo a = w.device(access());
  const PortNo b = w.device(access());
  w.know(0, mac(1), a);
  set_qos(w, b, spec(8'000'000));  // a frame of 1000 bytes a millisecond
  unsigned seen = 0;
  for (unsigned n = 0; n < 100; ++n) w.arrive(a, numbered(n));
  for (const auto& s : w.sent(b)) EXPECT_EQ(s.bytes, numbered(seen++));
  EXPECT_GT(seen, 0U) << "a burst goes at once";
  EXPECT_LT(seen, 10U);
  for (unsigned ms = 1; seen < 100; ++ms) {
    ASSERT_LT(ms, 200U);
    const auto due = w.forwarder.next_release();
    ASSERT_TRUE(due);
    w.fraction = *due - std::chrono::seconds(w.now) - std::chrono::nanoseconds(1);
    round(w);
    EXPECT_TRUE(w.sent(b).empty()) << "before its time";
    w.fraction += std::chrono::nanoseconds(1);
    round(w);
    const auto sent = w.sent(b);
    EXPECT_EQ(sent.size(), 1U);
    for (const auto& s : sent) EXPECT_EQ(s.bytes, numbered(seen++));
  }
  EXPECT_FALSE(w.forwarder.next_release());
  EXPECT_NEAR(static_cast<double>(w.fraction.count()), 95e6, 3e6);
  EXPECT_EQ(w.counters(b).tx_packets, 100U);
  w.arrive(b, frame(mac(1), mac(2)));
  EXPECT_EQ(w.sent(a).size(), 1U) << "other ports do not wait";
  w.learned(b);
}

TEST(Shaping, FullQueueDrops) {
  World w;
  const PortNo a = w.device(access());
  const PortNo b = w.device(access());
  set_qos(w, b, spec(8000, {{0, {}}}));
  for (unsigned n = 0; n < limits::kShapedFrames + 20; ++n) w.arrive(a, numbered(n));
  const std::size_t at_once = w.sent(b).size();
  EXPECT_EQ(w.drops(), (World::Drops{{"2:shaped", 20 - at_once}}));
  w.now += 1000'000;
  round(w);
  round(w);
  EXPECT_LT(w.sent(b).size(), 10U) << "a long pause is not a right to a long burst";
  set_qos(w, b, std::nullopt);
  round(w);
  EXPECT_GT(w.sent(b).size(), limits::kShapedFrames - 10);
}

// With another QoS they wait on under that, without one they leave; with their port they go.
TEST(Shaping, WhatWaitsFollowsTheConfiguration) {
  World w;
  const PortNo a = w.device(access());
  const PortNo b = w.device(access());
  set_qos(w, b, spec(8000));
  for (unsigned n = 0; n < 50; ++n) w.arrive(a, numbered(n));
  std::size_t seen = w.sent(b).size();
  w.commit();  // a change that is none of its own
  round(w);
  EXPECT_TRUE(w.sent(b).empty());
  set_qos(w, b, spec(80'000));
  round(w);
  const auto some = w.sent(b);  // a new burst
  EXPECT_LT(some.size(), 10U);
  for (const auto& s : some) EXPECT_EQ(s.bytes, numbered(static_cast<unsigned>(seen++)));
  set_qos(w, b, std::nullopt);
  round(w);
  for (const auto& s : w.sent(b)) EXPECT_EQ(s.bytes, numbered(static_cast<unsigned>(seen++)));
  EXPECT_EQ(seen, 50U);
  EXPECT_FALSE(w.forwarder.next_release());

  set_qos(w, b, spec(8000));
  for (unsigned n = 0; n < 50; ++n) w.arrive(a, numbered(n));
  w.sent(b);
  const auto slot = w.ports[b].io;
  w.ports[b].io = kNoIo;
  w.config.ios[slot] = nullptr;
  w.commit();
  round(w);
  EXPECT_FALSE(w.forwarder.next_release());
  EXPECT_EQ(w.sent_by_slot(slot).size(), 0U);
}

// One port, two queues, two workers: the first queue's owner has the shaper, the other hands over.
TEST(Shaping, OneWorkerShapesAPort) {
  for (const unsigned me : {0U, 1U}) {
    World w(2, me);
    const PortNo a = w.device(access());
    const PortNo b = w.device(access());
    auto conf = std::make_shared<IoConf>(*w.config.ios[w.ports[b].io]);
    conf->queue_worker = {0, 1};
    w.config.ios[w.ports[b].io] = conf;
    set_qos(w, b, spec(8'000'000));
    w.arrive(a, numbered(0));
    EXPECT_EQ(w.sent(b).size(), me == 0 ? 1U : 0U);
    Handover item;
    EXPECT_EQ(w.mail.take(1, 0, item), me == 1);
    if (me == 1) w.forwarder.cache().free_chain(item.frame);
    // The queue that is not sent on any more may hold frames of before.
    w.io(b).stuck = 1;
    w.begin();
    w.forwarder.nudge();
    EXPECT_GT(w.io(b).nudged, 0U);
    // What another worker hands over waits with all else.
    if (me != 0) continue;
    for (unsigned n = 1; n < 20; ++n)
      w.forwarder.resume({w.ports[b].io, w.make_frame(numbered(n)), w.config.ios[w.ports[b].io]->generation});
    w.forwarder.flush();
    EXPECT_LT(w.sent(b).size(), 10U);
    set_qos(w, b, std::nullopt);
    round(w);
    w.sent(b);
  }
}

}  // namespace
}  // namespace heddle::dp
