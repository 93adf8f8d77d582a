// SPDX-License-Identifier: Apache-2.0
// Switching on one bridge: where every frame goes and with which tag, against a naive bridge written from IEEE 802.1Q
// and the words of datapath.h; what is learned; and that every frame is delivered or counted.
#include <gtest/gtest.h>

#include <map>
#include <random>

#include "tests/unit/datapath/naive_bridge.h"
#include "tests/unit/datapath/world.h"

namespace heddle::dp {
namespace {

using namespace test;
using packet::test::cat;

// Sends the frame and holds everything that happens against what must.
void check(World& w, const NaiveBridge<World>& bridge, PortNo in, const Bytes& f, const std::string& what) {
  const Outcome want = bridge.expect(in, f);
  w.arrive(in, f);
  for (const auto& [no, conf] : w.ports) {
    const auto sent = w.sent(no);
    const auto expected = want.out.find(no);
    ASSERT_EQ(sent.size(), expected == want.out.end() ? 0U : 1U) << what << ": port " << static_cast<int>(no);
    ASSERT_TRUE(sent.empty() || sent[0].bytes == expected->second) << what << ": port " << static_cast<int>(no);
    const auto learned = w.learned(no);
    ASSERT_EQ(learned.size(), no == in && want.learn ? 1U : 0U) << what;
    if (learned.empty()) continue;
    EXPECT_EQ(learned[0].key, fdb_key(want.vlan, packet::load<MacAddr>(f.data() + 6)));
    EXPECT_EQ(learned[0].bridge, w.ports.at(in).policy.bridge);
    EXPECT_FALSE(learned[0].tunnelled);
  }
  ASSERT_EQ(w.drops(), want.drops) << what;
}

TEST(Forwarder, VlanMatrix) {
  World w;
  const PortNo a = w.device(access());
  const PortNo b = w.device(access());
  for (const VlanId vlan : {0, 10, 20, 30, 4095}) w.know(vlan, mac(2), b);
  NaiveBridge<World> bridge(w);
  for (const VlanId vlan : {0, 10, 20, 30, 4095}) bridge.fdb[{vlan, mac(2).to_u64()}] = b;
  for (const auto& [in_name, in] : kPolicies) {
    for (const auto& [out_name, out] : kPolicies) {
      w.ports[a].policy = in;
      w.ports[b].policy = out;
      w.commit();
      for (const auto& [tag_name, tag] : kTags) {
        for (const auto& dst : {mac(2), mac(9), *MacAddr::parse("ff:ff:ff:ff:ff:ff")})
          check(w, bridge, a, frame(dst, mac(1), tag),
                in_name + " -> " + out_name + ", " + tag_name + " to " + dst.to_string());
        if (HasFatalFailure()) return;
      }
    }
  }
}

// Everything at once: policies, protection, links that are down, MTUs, moved and unknown stations, senseless frames.
TEST(Forwarder, RandomTrafficAgreesWithANaiveBridge) {
  World w;
  std::mt19937 random(7);
  NaiveBridge<World> bridge(w);
  std::vector<PortNo> ports;
  for (int i = 0; i < 7; ++i) ports.push_back(w.device(access()));
  const VlanId vlans[] = {0, 10, 20};
  for (int i = 0; i < 20000; ++i) {
    if (i % 100 == 0) {
      for (const PortNo p : ports) {
        PortPolicy policy = kPolicies[random() % kPolicies.size()].second;
        policy.protected_port = random() % 3 == 0;
        policy.learning = random() % 4 != 0;
        policy.bridge = random() % 10 == 0 ? BridgeId::none : static_cast<BridgeId>(random() % 5 == 0 ? 1 : 0);
        w.ports[p].policy = policy;
        w.shared(p).up = random() % 6 != 0;
        w.shared(p).mtu = random() % 3 == 0 ? 100 : 1500;
      }
      // The walk by a bridge's rules leads to the same, when these touch no frame.
      w.rules.clear();
      if (random() % 2 == 0) w.rules[0].flood_vlans.set(4000);
      if (random() % 2 == 0) w.rules[1].mirrors[0].from = {static_cast<PortNo>(4000)};
      w.commit();
      for (unsigned n = 0; n < 8; ++n) {
        for (const VlanId vlan : vlans) {
          const PortNo at = ports[random() % ports.size()];
          w.know(vlan, mac(n), at, 0, 0);
          w.know(vlan, mac(n), at, 0, 1);
          bridge.fdb[{vlan, mac(n).to_u64()}] = at;
        }
      }
    }
    MacAddr dst = mac(random() % 10);
    MacAddr src = mac(random() % 10);
    if (random() % 10 == 0) dst = MacAddr::from_u64(0x0180c2000000ULL + random() % 20);
    if (random() % 30 == 0) src.bytes[0] |= 1;
    if (random() % 50 == 0) src = MacAddr{};
    std::optional<Tag> tag = kTags[random() % kTags.size()].second;
    Bytes f = frame(dst, src, tag, cat({{0x08, 0x06}, Bytes(random() % 2 == 0 ? 46 : 80 + random() % 30, 1)}));
    if (random() % 20 == 0) f.resize(random() % 19);
    check(w, bridge, ports[random() % ports.size()], f, "frame " + std::to_string(i));
    if (HasFatalFailure()) return;
  }
}

TEST(Forwarder, CountsWhatCameAndWent) {
  World w;
  const PortNo a = w.device(access());
  const PortNo b = w.device(access());
  const Bytes f = frame(mac(2), mac(1));
  for (int i = 0; i < 3; ++i) w.arrive(a, f);
  EXPECT_EQ(w.counters(a).rx_packets, 3U);
  EXPECT_EQ(w.counters(a).rx_bytes, 3 * f.size());
  EXPECT_EQ(w.counters(b).tx_packets, 3U);
  EXPECT_EQ(w.counters(b).tx_bytes, 3 * f.size());
}

// A station that sends on is not reported again, and its entry is kept fresh; elsewhere it is reported: it has moved.
TEST(Forwarder, ReportsNewAndMovedStations) {
  World w;
  const PortNo a = w.device(access(10));
  const PortNo b = w.device(access(10));
  w.arrive(a, frame(mac(2), mac(1)));
  ASSERT_EQ(w.learned(a).size(), 1U);
  w.know(10, mac(1), a);
  w.now = 50;
  w.arrive(a, frame(mac(2), mac(1)));
  EXPECT_TRUE(w.learned(a).empty());
  std::uint32_t used = 0;
  ASSERT_TRUE(w.fdb().used_at(fdb_key(10, mac(1)), used));
  EXPECT_EQ(used, 50U);
  w.now = 60;
  w.arrive(b, frame(mac(3), mac(1)));
  ASSERT_EQ(w.learned(b).size(), 1U);
  ASSERT_TRUE(w.fdb().used_at(fdb_key(10, mac(1)), used));
  EXPECT_EQ(used, 50U) << "a frame at another port kept the old entry alive";
}

TEST(Forwarder, LearnQueueIsBoundedAndItsOverflowCounted) {
  World w;
  const PortNo a = w.device(access());
  const PortNo b = w.device(access());
  for (unsigned n = 0; n < limits::kLearnQueue + 5; ++n) w.arrive(a, frame(mac(1), mac(100 + n)));
  EXPECT_EQ(w.sent(b).size(), limits::kLearnQueue + 5) << "forwarded all the same";
  EXPECT_EQ(w.counters(a).learn_dropped, 5U);
  EXPECT_EQ(w.learned(a).size(), limits::kLearnQueue);
}

TEST(Forwarder, PortWithoutDeviceIsDown) {
  World w;
  const PortNo a = w.device(access());
  const PortNo b = w.device(access());
  w.know(0, mac(2), b);
  w.ports[b].io = kNoIo;
  w.commit();
  w.arrive(a, frame(mac(2), mac(1)));
  EXPECT_EQ(w.drops(), World::only(b, Drop::port_down));
}

// An entry may lead to a port that is gone, or is in another bridge by now: then the station is unknown.
TEST(Forwarder, StaleEntriesFlood) {
  World w;
  const PortNo a = w.device(access());
  const PortNo b = w.device(access());
  PortPolicy other = access();
  other.bridge = static_cast<BridgeId>(1);
  const PortNo c = w.device(other);
  w.know(0, mac(2), static_cast<PortNo>(4000));
  w.know(0, mac(3), c);
  w.arrive(a, frame(mac(2), mac(1)));
  w.arrive(a, frame(mac(3), mac(1)));
  EXPECT_EQ(w.sent(b).size(), 2U);
  EXPECT_EQ(w.sent(c).size(), 0U);
}

// As the Linux bridge (is_skb_forwardable() in net/core/dev.c), which keeps the outer tag beside the frame: that one
// does not count, and neither do four bytes in the frame, which may be another tag.
TEST(Forwarder, LargestFrame) {
  World w;
  const PortNo a = w.device(trunk());
  const PortNo b = w.device(trunk());
  w.shared(b).mtu = 1500;
  for (const auto& tag : {std::optional<Tag>{}, std::optional<Tag>{Tag{0x8100, 10}}}) {
    for (const std::size_t payload : {1504, 1505}) {
      w.arrive(a, frame(mac(2), mac(1), tag, cat({{0x12, 0x34}, Bytes(payload, 1)})));
      EXPECT_EQ(w.sent(b).size(), payload == 1504 ? 1U : 0U);
      EXPECT_EQ(w.drops(), payload == 1504 ? World::Drops{} : World::only(b, Drop::oversize));
    }
  }
  w.arrive(a, frame(mac(2), mac(1), Tag{0x88a8, 10}, cat({{0x81, 0x00, 0x00, 0x14, 0x12, 0x34}, Bytes(1500, 1)})));
  EXPECT_EQ(w.sent(b).size(), 1U);
  w.arrive(a, frame(mac(2), mac(1), Tag{0x88a8, 10}, cat({{0x81, 0x00, 0x00, 0x14, 0x12, 0x34}, Bytes(1501, 1)})));
  EXPECT_EQ(w.drops(), World::only(b, Drop::oversize));
}

TEST(Forwarder, ChainsAreSwitchedAndRetagged) {
  World w;
  const PortNo a = w.device(access(10));
  const PortNo b = w.device(trunk());
  const PortNo c = w.device(access(10));
  const Bytes payload = cat({{0x12, 0x34}, packet::test::filler(8000)});
  for (const std::vector<std::size_t>& cuts :
       {std::vector<std::size_t>{3800, 7600}, {100, 3900, 7500}, {14, 3700, 7400}}) {
    w.arrive(a, frame(mac(2), mac(1), {}, payload), {.cuts = cuts});
    EXPECT_EQ(w.one(b), frame(mac(2), mac(1), Tag{0x8100, 10}, payload));
    EXPECT_EQ(w.one(c), frame(mac(2), mac(1), {}, payload));
  }
  w.arrive(a, frame(mac(2), mac(1), {}, payload), {.cuts = {13, 3700, 7400}});
  EXPECT_EQ(w.drops(), World::only(a, Drop::truncated));
}

// Memory is short: the copies that cannot be made are counted where they were to go, and one target is served still.
TEST(Forwarder, FloodWithoutMemory) {
  World w;
  const PortNo a = w.device(access());
  const PortNo b = w.device(access());
  const PortNo c = w.device(access());
  const PortNo d = w.device(access());
  w.begin();
  std::vector<FrameRef> hoard;
  Batch batch;
  batch.frames[batch.n++] = w.make_frame(frame(mac(2), mac(1)));
  FrameCache& cache = w.forwarder.cache();
  for (FrameRef f = cache.alloc(); f != kNoFrame; f = cache.alloc()) hoard.push_back(f);
  w.forwarder.input(w.ports[a].io, batch);
  w.forwarder.flush();
  EXPECT_EQ(w.sent(b).size() + w.sent(c).size() + w.sent(d).size(), 1U);
  EXPECT_EQ(w.drops(), (World::Drops{{"2:no_frame", 1}, {"3:no_frame", 1}}));
  for (const FrameRef f : hoard) cache.free_one(f);
}

TEST(Forwarder, NudgesUntilTheKernelHasTakenAll) {
  World w;
  const PortNo a = w.device(access());
  const PortNo b = w.device(access());
  w.arrive(a, frame(mac(2), mac(1)));
  while (w.forwarder.nudge()) {
  }
  w.io(b).nudged = 0;
  EXPECT_FALSE(w.forwarder.nudge());
  EXPECT_EQ(w.io(b).nudged, 0U) << "asked although nothing was pending";
  w.io(b).stuck = 3;
  w.arrive(a, frame(mac(2), mac(1)));
  EXPECT_TRUE(w.forwarder.nudge());
  EXPECT_TRUE(w.forwarder.nudge());
  EXPECT_FALSE(w.forwarder.nudge());
  EXPECT_EQ(w.io(b).nudged, 3U);
}

// Another worker's way out: the frame goes into its mailbox, with the slot's generation; when that is full it is
// counted.
TEST(Forwarder, HandsOverToTheOwnerOfTheWayOut) {
  World w(2, 0);
  const PortNo a = w.device(access());
  const PortNo b = w.device(access());
  auto conf = std::make_shared<IoConf>(*w.config.ios[w.ports[b].io]);
  conf->queue_worker = {1};
  w.config.ios[w.ports[b].io] = conf;
  w.commit();
  for (std::size_t i = 0; i < limits::kMailbox + 3; ++i) w.arrive(a, frame(mac(2), mac(1)));
  EXPECT_EQ(w.drops(), (World::Drops{{"2:mailbox_full", 3}}));
  Handover item;
  std::size_t n = 0;
  for (; w.mail.take(0, 1, item); ++n) {
    EXPECT_EQ(item.io, w.ports[b].io);
    EXPECT_EQ(item.generation, conf->generation);
    w.forwarder.cache().free_chain(item.frame);
  }
  EXPECT_EQ(n, limits::kMailbox);
  w.learned(a);
}

// The slot was given to another device while the frame was under way.
TEST(Forwarder, HandedOverFrameDoesNotLeaveByAnotherDevice) {
  World w;
  const PortNo a = w.device(access());
  w.begin();
  const std::uint32_t slot = w.ports[a].io;
  const std::uint64_t generation = w.config.ios[slot]->generation;
  w.forwarder.resume({slot, w.make_frame(frame(mac(2), mac(1))), generation});
  w.forwarder.flush();
  EXPECT_EQ(w.sent(a).size(), 1U);
  w.forwarder.resume({slot, w.make_frame(frame(mac(2), mac(1))), generation + 1});
  w.forwarder.flush();
  EXPECT_EQ(w.sent(a).size(), 0U);
  EXPECT_EQ(w.drops(), World::only(a, Drop::port_down));
  w.forwarder.resume({12345, w.make_frame(frame(mac(2), mac(1))), generation});
}

}  // namespace
}  // namespace heddle::dp
