// SPDX-License-Identifier: Apache-2.0
// Patch ports in the user-space datapath: frames go from bridge to bridge with their tags and their learning, loops
// end, and nothing is lost uncounted.
#include <gtest/gtest.h>

#include "tests/unit/datapath/world.h"

namespace heddle::dp {
namespace {

using namespace test;

const MacAddr kAll = *MacAddr::parse("ff:ff:ff:ff:ff:ff");

PortPolicy of(unsigned bridge, PortPolicy p = trunk()) {
  p.bridge = static_cast<BridgeId>(bridge);
  return p;
}

TEST(Patch, JoinsTwoBridges) {
  World w;
  const PortNo a = w.device(of(0, access(10)));
  const PortNo b = w.device(of(1, access(10)));
  const PortNo t = w.device(of(1));
  const auto [to_b, to_a] = w.patch(of(0), of(1));
  const Bytes f = frame(kAll, mac(1));
  w.arrive(a, f);
  EXPECT_EQ(w.one(b), f);
  EXPECT_EQ(w.one(t), frame(kAll, mac(1), Tag{0x8100, 10})) << "as tagged as it left the first bridge";
  ASSERT_EQ(w.learned(a).size(), 1U);
  const auto there = w.learned(to_a);
  ASSERT_EQ(there.size(), 1U);
  EXPECT_EQ(there[0].bridge, static_cast<BridgeId>(1));
  EXPECT_EQ(there[0].key, fdb_key(10, mac(1)));
  EXPECT_TRUE(w.learned(to_b).empty());
  // Back to where both bridges know it.
  w.know(10, mac(1), to_a, 0, 1);
  w.know(10, mac(1), a, 0, 0);
  w.arrive(b, frame(mac(1), mac(2)));
  EXPECT_EQ(w.one(a), frame(mac(1), mac(2)));
  EXPECT_EQ(w.sent(t).size(), 0U);
  const std::uint64_t tagged = f.size() + 4;
  EXPECT_EQ(w.counters(to_b).tx_packets, 1U);
  EXPECT_EQ(w.counters(to_b).tx_bytes, tagged);
  EXPECT_EQ(w.counters(to_a).rx_packets, 1U);
  EXPECT_EQ(w.counters(to_a).rx_bytes, tagged);
  EXPECT_EQ(w.counters(to_a).tx_packets, 1U);
  EXPECT_EQ(w.counters(to_b).rx_packets, 1U);
  EXPECT_EQ(w.drops(), World::Drops{});
}

TEST(Patch, VlanRulesHoldAtBothEnds) {
  World w;
  const PortNo a = w.device(of(0));
  const PortNo b = w.device(of(1));
  const auto [near, far] = w.patch(of(0, trunk({10, 20})), of(1, access(10)));
  w.arrive(a, frame(kAll, mac(1), Tag{0x8100, 30}));
  EXPECT_EQ(w.drops(), World::only(a, Drop::no_destination));
  w.arrive(a, frame(kAll, mac(1), Tag{0x8100, 20}));
  EXPECT_EQ(w.drops(), World::only(far, Drop::vlan_tagged_on_access));
  w.ports[near].policy = of(0, access(10));
  w.commit();
  w.arrive(a, frame(kAll, mac(1), Tag{0x8100, 10}));
  EXPECT_EQ(w.one(b), frame(kAll, mac(1), Tag{0x8100, 10}));
}

TEST(Patch, WithoutPeerIsDown) {
  World w;
  const PortNo a = w.device(of(0));
  const auto [near, far] = w.patch(of(0), of(1));
  w.know(0, mac(2), near);
  w.ports[near].peer = PortNo::none;
  w.commit();
  w.arrive(a, frame(mac(2), mac(1)));
  EXPECT_EQ(w.drops(), World::only(near, Drop::port_down)) << "the peer has just gone";
  w.shared(near).up = false;
  w.arrive(a, frame(mac(2), mac(1)));
  EXPECT_EQ(w.drops(), World::only(near, Drop::port_down));
  w.arrive(a, frame(kAll, mac(1)));
  EXPECT_EQ(w.drops(), World::only(a, Drop::no_destination));
}

// Two pairs between the same bridges: every frame for all comes round, and ends after the most hops.
TEST(Patch, LoopsEnd) {
  World w;
  const PortNo a = w.device(of(0));
  const PortNo b = w.device(of(1));
  const PortNo p = w.patch(of(0), of(1)).first;
  w.patch(of(0), of(1));
  w.arrive(a, frame(kAll, mac(1)));
  // Two frames run round, in opposite directions; both bridges see each every second hop.
  EXPECT_EQ(w.sent(b).size(), limits::kPatchHops);
  EXPECT_EQ(w.sent(a).size(), limits::kPatchHops);
  std::uint64_t loops = 0;
  for (const auto& [what, n] : w.drops()) {
    EXPECT_NE(what.find("patch_loop"), std::string::npos) << what;
    loops += n;
  }
  EXPECT_EQ(loops, 2U);
  // The next frame begins with none.
  w.know(0, mac(2), b, 0, 1);
  w.know(0, mac(2), p, 0, 0);
  w.arrive(a, frame(mac(2), mac(1)));
  EXPECT_EQ(w.sent(b).size(), 1U);
  EXPECT_EQ(w.drops(), World::Drops{});
}

// Many pairs between two bridges multiply every frame at every hop: what does not fit the list is dropped where it was
// to leave, and all buffers come back.
TEST(Patch, StormIsBounded) {
  World w;
  const PortNo a = w.device(of(0));
  for (int i = 0; i < 12; ++i) w.patch(of(0), of(1));
  w.arrive(a, frame(kAll, mac(1)));
  std::uint64_t full = 0;
  std::uint64_t loops = 0;
  std::uint64_t sent = 0;
  for (const auto& [what, n] : w.drops()) {
    if (what.find("tx_queue_full") != std::string::npos) full += n;
    if (what.find("patch_loop") != std::string::npos) loops += n;
  }
  for (const auto& [no, conf] : w.ports) {
    sent += w.counters(no).tx_packets;
    w.learned(no);
  }
  EXPECT_GT(full, 0U);
  EXPECT_GT(loops, 0U);
  EXPECT_LE(sent, limits::kPatchHops * limits::kPatched + w.sent(a).size());
}

TEST(Patch, PolicingAndMirrorsHoldThere) {
  World w;
  PortPolicy limited = of(1);
  limited.policing.packets_per_second = 1;
  const PortNo a = w.device(of(0));
  const PortNo b = w.device(of(1));
  const PortNo x = w.device(of(1));
  const auto [near, far] = w.patch(of(0), limited);
  w.rules[1].mirrors[0].from = {far};
  w.rules[1].mirrors[0].output = x;
  w.commit();
  w.arrive(a, frame(kAll, mac(1)));
  w.arrive(a, frame(kAll, mac(1)));
  EXPECT_EQ(w.sent(b).size(), 1U);
  EXPECT_EQ(w.sent(x).size(), 1U);
  EXPECT_EQ(w.drops(), World::only(far, Drop::policed));
  // Copies into another bridge.
  w.rules.clear();
  w.rules[0].mirrors[0].from = {a};
  w.rules[0].mirrors[0].output = near;
  w.fraction = std::chrono::seconds(10);
  w.commit();
  w.arrive(a, frame(kAll, mac(1)));
  EXPECT_EQ(w.sent(b).size(), 1U);
  EXPECT_EQ(w.drops(), World::only(a, Drop::no_destination));
}

}  // namespace
}  // namespace heddle::dp
