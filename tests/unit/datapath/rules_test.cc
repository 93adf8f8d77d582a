// SPDX-License-Identifier: Apache-2.0
// What a BridgePolicy and policing make of a frame's way in the user-space datapath: fail_mode secure, VLANs that are
// flooded, mirrors to ports, tunnels and VLANs, rates of what a port brings.
#include <gtest/gtest.h>

#include "tests/unit/datapath/naive_bridge.h"
#include "tests/unit/datapath/world.h"

namespace heddle::dp {
namespace {

using namespace test;
using packet::test::cat;

const MacAddr kAll = *MacAddr::parse("ff:ff:ff:ff:ff:ff");

MirrorSpec to_port(PortNo output, std::vector<PortNo> from = {}, std::vector<PortNo> to = {}) {
  MirrorSpec m;
  m.all = from.empty() && to.empty();
  m.from = std::move(from);
  m.to = std::move(to);
  m.output = output;
  return m;
}
MirrorSpec to_vlan(VlanId vlan) {
  MirrorSpec m;
  m.all = true;
  m.output_vlan = vlan;
  return m;
}
MirrorCounters counted(World& w, PortNo any, unsigned slot) {
  MirrorCounters sum;
  for (const auto& c : w.config.port(any)->rules->mirror(slot)->shared->worker) {
    sum.tx_packets += c.packets.get();
    sum.tx_bytes += c.bytes.get();
  }
  return sum;
}

TEST(BridgeRules, SecureForwardsAndLearnsNothing) {
  World w;
  const PortNo a = w.device(access());
  const PortNo b = w.device(access());
  w.rules[0].secure = true;
  w.commit();
  w.know(0, mac(2), b);
  for (const MacAddr& dst : {mac(2), mac(9), kAll}) {
    w.arrive(a, frame(dst, mac(1)));
    EXPECT_EQ(w.drops(), World::only(a, Drop::fail_secure));
  }
  EXPECT_TRUE(w.sent(b).empty());
  EXPECT_TRUE(w.learned(a).empty());
  w.arrive(a, frame(mac(2), mac(1), Tag{0x8100, 7}));
  EXPECT_EQ(w.drops(), World::only(a, Drop::vlan_tagged_on_access)) << "admission comes first";
  w.rules.clear();
  w.commit();
  w.arrive(a, frame(mac(2), mac(1)));
  EXPECT_EQ(w.sent(b).size(), 1U);
}

TEST(BridgeRules, SecureIsOneBridgesAffair) {
  World w;
  PortPolicy other = access();
  other.bridge = static_cast<BridgeId>(1);
  const PortNo a = w.device(other);
  const PortNo b = w.device(other);
  w.rules[0].secure = true;
  w.arrive(a, frame(kAll, mac(1)));
  EXPECT_EQ(w.sent(b).size(), 1U);
}

TEST(BridgeRules, FloodVlansNeitherLearnNorLookUp) {
  World w;
  const PortNo a = w.device(trunk());
  const PortNo b = w.device(trunk());
  const PortNo c = w.device(trunk());
  w.rules[0].flood_vlans.set(10);
  for (const VlanId vlan : {10, 20}) w.know(vlan, mac(2), b);
  w.know(10, mac(1), a);
  w.now = 50;
  w.arrive(a, frame(mac(2), mac(1), Tag{0x8100, 10}));
  EXPECT_EQ(w.sent(b).size(), 1U);
  EXPECT_EQ(w.sent(c).size(), 1U);
  EXPECT_TRUE(w.learned(a).empty());
  std::uint32_t used = 0;
  ASSERT_TRUE(w.fdb().used_at(fdb_key(10, mac(1)), used));
  EXPECT_EQ(used, 1U) << "an entry of former times is not kept alive";
  w.arrive(a, frame(mac(2), mac(1), Tag{0x8100, 20}));
  EXPECT_EQ(w.sent(b).size(), 1U);
  EXPECT_EQ(w.sent(c).size(), 0U);
  EXPECT_EQ(w.learned(a).size(), 1U);
}

TEST(BridgeRules, UnknownFramesStayOffTunnels) {
  World w;
  const PortNo a = w.device(access(10));
  const PortNo b = w.device(access(10));
  const std::uint32_t wire = w.underlay();
  TunnelSpec spec;
  spec.remote = IpAddr::parse("192.0.2.2");
  const PortNo tun = w.tunnel(spec, access(10));
  w.ports[tun].path = w.path(tun, *IpAddr::parse("192.0.2.1"), *spec.remote, wire, 1550);
  w.know(10, mac(3), tun, w.ports[tun].path);
  w.rules[0].flood_unknown = false;
  struct Case {
    MacAddr to;
    std::size_t local, tunnelled;
    VlanId flooded;
  };
  for (const Case& c : {Case{mac(9), 1, 0, 0}, Case{kAll, 1, 1, 0}, Case{MacAddr::from_u64(0x01005e000001), 1, 1, 0},
                        Case{mac(3), 0, 1, 0}, Case{mac(9), 1, 1, 10}}) {
    w.rules[0].flood_vlans.reset();
    if (c.flooded != 0) w.rules[0].flood_vlans.set(c.flooded);
    w.commit();
    w.arrive(a, frame(c.to, mac(1)));
    EXPECT_EQ(w.sent(b).size(), c.local) << c.to.to_string();
    EXPECT_EQ(w.sent_by_slot(wire).size(), c.tunnelled) << c.to.to_string();
  }
}

TEST(Mirrors, ByWayInAndWayOut) {
  World w;
  const PortNo a = w.device(access(10));
  const PortNo b = w.device(access(10));
  const PortNo c = w.device(access(10));
  const PortNo x = w.device(trunk());
  for (unsigned n : {1, 2, 3}) w.know(10, mac(n), std::array{a, b, c}[n - 1]);
  w.rules[0].mirrors[5] = to_port(x, {a}, {c});
  const Bytes tagged = frame(mac(2), mac(1), Tag{0x8100, 10});
  w.arrive(a, frame(mac(2), mac(1)));  // came by a
  EXPECT_EQ(w.one(x), tagged);
  EXPECT_EQ(w.one(b), frame(mac(2), mac(1)));
  w.arrive(b, frame(mac(3), mac(2)));  // leaves by c
  EXPECT_EQ(w.sent(x).size(), 1U);
  w.arrive(b, frame(mac(1), mac(2)));  // neither
  EXPECT_EQ(w.sent(x).size(), 0U);
  w.arrive(a, frame(mac(3), mac(1)));  // both: one copy
  EXPECT_EQ(w.sent(x).size(), 1U);
  w.arrive(b, frame(kAll, mac(2)));  // floods to c too, and not to x
  EXPECT_EQ(w.sent(x).size(), 1U);
  EXPECT_EQ(w.sent(c).size(), 3U);
  EXPECT_EQ(counted(w, a, 5).tx_packets, 4U);
  EXPECT_EQ(counted(w, a, 5).tx_bytes, 4 * frame(mac(2), mac(1)).size());
  EXPECT_EQ(w.drops(), World::Drops{});
}

// As it was admitted: before the way out takes the tag away. The output port's rules hold for the tag, not for
// membership.
TEST(Mirrors, CopiesFollowTheTagRulesOfTheirPort) {
  World w;
  const PortNo a = w.device(access(10));
  const PortNo b = w.device(access(10));
  const PortNo x = w.device(trunk({77}));
  w.know(10, mac(2), b);
  w.rules[0].mirrors[0] = to_port(x);
  const auto sees = [&](const PortPolicy& policy) {
    w.ports[x].policy = policy;
    w.commit();
    w.arrive(a, frame(mac(2), mac(1)));
    EXPECT_EQ(w.sent(b).size(), 1U);
    return w.one(x);
  };
  EXPECT_EQ(sees(trunk({77})), frame(mac(2), mac(1), Tag{0x8100, 10}));
  EXPECT_EQ(sees(access(20)), frame(mac(2), mac(1)));
  EXPECT_EQ(sees(trunk({77}, VlanMode::native_untagged, 10)), frame(mac(2), mac(1)));
  EXPECT_EQ(sees(trunk({77}, VlanMode::native_tagged, 10)), frame(mac(2), mac(1), Tag{0x8100, 10}));
}

// Whatever becomes of it later: blocked, nowhere to go, fail_mode secure.
TEST(Mirrors, SeeFramesThatAreDroppedAfterAdmission) {
  World w;
  const PortNo a = w.device(access(10));
  const PortNo b = w.device(access(20));
  const PortNo x = w.device(trunk());
  w.rules[0].mirrors[0] = to_port(x, {a}, {b});
  w.know(10, mac(1), a);
  w.know(10, mac(2), b);
  w.arrive(a, frame(mac(1), mac(9)));
  EXPECT_EQ(w.drops(), World::only(a, Drop::same_port));
  w.arrive(a, frame(mac(2), mac(9)));
  EXPECT_EQ(w.drops(), World::only(b, Drop::egress_vlan));
  w.arrive(a, frame(mac(3), mac(9)));
  EXPECT_EQ(w.drops(), World::only(a, Drop::no_destination));
  EXPECT_EQ(w.sent(x).size(), 3U);
  w.rules[0].secure = true;
  w.commit();
  w.arrive(a, frame(mac(3), mac(9)));
  EXPECT_EQ(w.sent(x).size(), 1U);
  w.drops();
  // Not admitted: not seen. On its way to a port that it may not leave by: not selected by that.
  w.arrive(a, frame(mac(3), mac(9), Tag{0x8100, 5}));
  w.rules[0].secure = false;
  w.rules[0].mirrors[0] = to_port(x, {}, {b});
  w.commit();
  w.arrive(a, frame(mac(2), mac(9)));
  EXPECT_EQ(w.sent(x).size(), 0U);
  w.learned(a);
}

TEST(Mirrors, OutputPortIsReserved) {
  World w;
  const PortNo a = w.device(access());
  const PortNo x = w.device(access());
  const PortNo c = w.device(access());
  w.rules[0].mirrors[0] = to_port(x, {c});
  w.know(0, mac(2), x);
  w.arrive(x, frame(mac(1), mac(2)));
  EXPECT_EQ(w.drops(), World::only(x, Drop::mirror_port));
  w.arrive(a, frame(mac(2), mac(1)));  // an entry of former times leads there: the station is unknown now
  w.arrive(a, frame(kAll, mac(1)));
  EXPECT_EQ(w.sent(x).size(), 0U);
  EXPECT_EQ(w.sent(c).size(), 2U);
  w.rules.clear();
  w.commit();
  w.arrive(a, frame(mac(2), mac(1)));
  EXPECT_EQ(w.sent(x).size(), 1U);
}

// Ports that do not exist or are of another bridge are passed over, and those of another bridge are not reserved.
TEST(Mirrors, OfOtherBridgesArePassedOver) {
  World w;
  const PortNo a = w.device(access());
  const PortNo b = w.device(access());
  PortPolicy other = access();
  other.bridge = static_cast<BridgeId>(1);
  const PortNo c = w.device(other);
  const PortNo d = w.device(other);
  w.rules[0].mirrors[0] = to_port(c);
  w.rules[0].mirrors[1] = to_port(static_cast<PortNo>(4000));
  w.rules[0].mirrors[2] = to_port(PortNo::none, {d, static_cast<PortNo>(999)});
  w.arrive(a, frame(kAll, mac(1)));
  EXPECT_EQ(w.sent(b).size(), 1U);
  EXPECT_EQ(w.sent(c).size(), 0U);
  w.arrive(d, frame(kAll, mac(1)));
  EXPECT_EQ(w.sent(c).size(), 1U);
  EXPECT_EQ(w.drops(), World::Drops{});
}

TEST(Mirrors, SelectByVlan) {
  World w;
  const PortNo a = w.device(trunk());
  const PortNo x = w.device(trunk());
  const PortNo y = w.device(trunk());
  w.rules[0].mirrors[0] = to_port(x);
  w.rules[0].mirrors[0].vlans.set(10);
  w.rules[0].mirrors[31] = to_port(y);
  for (const VlanId vlan : {10, 20}) w.arrive(a, frame(kAll, mac(1), Tag{0x8100, vlan}));
  EXPECT_EQ(w.one(x), frame(kAll, mac(1), Tag{0x8100, 10}));
  EXPECT_EQ(w.sent(y).size(), 2U);
}

// RSPAN: to all ports that carry the VLAN, in it, the one that the frame came by among them; never again what is in it.
TEST(Mirrors, IntoAVlan) {
  World w;
  const PortNo a = w.device(trunk());
  const PortNo b = w.device(access(10));
  const PortNo c = w.device(trunk({99}));
  const PortNo d = w.device(access(99));
  const PortNo e = w.device(trunk());
  const PortNo x = w.device(trunk());
  w.shared(e).up = false;
  w.know(10, mac(2), b);
  w.rules[0].mirrors[0] = to_vlan(99);
  w.rules[0].mirrors[1] = to_port(x, {d});
  w.arrive(a, frame(mac(2), mac(1), Tag{0x8100, 0x600a}));
  const Bytes copy = frame(mac(2), mac(1), Tag{0x8100, 0x6063});  // the priority stays
  EXPECT_EQ(w.one(a), copy);
  EXPECT_EQ(w.one(b), frame(mac(2), mac(1)));
  EXPECT_EQ(w.one(c), copy);
  EXPECT_EQ(w.one(d), frame(mac(2), mac(1)));
  EXPECT_EQ(w.sent(e).size(), 0U);
  EXPECT_EQ(w.sent(x).size(), 0U) << "reserved";
  EXPECT_EQ(counted(w, a, 0).tx_packets, 3U);
  w.arrive(a, frame(mac(2), mac(1), Tag{0x8100, 99}));
  EXPECT_EQ(w.sent(c).size(), 1U) << "flooded, not copied";
  EXPECT_EQ(w.drops(), World::Drops{});
}

TEST(Mirrors, OutputThatIsDown) {
  World w;
  const PortNo a = w.device(access());
  const PortNo b = w.device(access());
  const PortNo x = w.device(access());
  w.rules[0].mirrors[0] = to_port(x);
  w.shared(x).up = false;
  w.arrive(a, frame(kAll, mac(1)));
  EXPECT_EQ(w.sent(b).size(), 1U);
  EXPECT_EQ(w.drops(), World::only(x, Drop::port_down));
}

// A copy never takes the place of the frame.
TEST(Mirrors, WithoutMemoryTheCopyGoes) {
  World w;
  const PortNo a = w.device(access());
  const PortNo b = w.device(access());
  const PortNo x = w.device(access());
  w.rules[0].mirrors[0] = to_port(x);
  w.begin();
  std::vector<FrameRef> hoard;
  Batch batch;
  batch.frames[batch.n++] = w.make_frame(frame(mac(2), mac(1)));
  FrameCache& cache = w.forwarder.cache();
  for (FrameRef f = cache.alloc(); f != kNoFrame; f = cache.alloc()) hoard.push_back(f);
  w.forwarder.input(w.ports[a].io, batch);
  w.forwarder.flush();
  for (const FrameRef f : hoard) cache.free_one(f);
  EXPECT_EQ(w.sent(b).size(), 1U);
  EXPECT_EQ(w.drops(), World::only(x, Drop::no_frame));
  EXPECT_EQ(counted(w, a, 0).tx_packets, 0U);
}

TEST(Mirrors, OversizedCopyIsTheMirrorPortsLoss) {
  World w;
  const PortNo a = w.device(access());
  const PortNo b = w.device(access());
  const PortNo x = w.device(access());
  w.shared(x).mtu = 1000;
  w.rules[0].mirrors[0] = to_port(x);
  w.arrive(a, frame(kAll, mac(1), {}, cat({{0x12, 0x34}, Bytes(1400, 1)})));
  EXPECT_EQ(w.sent(b).size(), 1U);
  EXPECT_EQ(w.drops(), World::only(x, Drop::oversize));
}

// To a collector behind a tunnel; the guest is not told of a copy that does not fit. A multipoint tunnel is passed
// over.
TEST(Mirrors, ThroughATunnel) {
  World w;
  const PortNo a = w.device(access());
  const PortNo b = w.device(access());
  TunnelSpec spec;
  spec.remote = *IpAddr::parse("192.0.2.2");
  const PortNo x = w.tunnel(spec, access());
  const std::uint32_t wire = w.underlay();
  w.ports[x].path = w.path(x, *IpAddr::parse("192.0.2.1"), *spec.remote, wire, 300);
  w.rules[0].mirrors[0] = to_port(x);
  const Bytes f = frame(mac(2), mac(1));
  w.arrive(a, f);
  EXPECT_EQ(w.sent(b).size(), 1U);
  const Bytes packet = w.one_by_slot(wire);
  ASSERT_EQ(packet.size(), 50 + f.size());
  EXPECT_EQ(Bytes(packet.begin() + 50, packet.end()), f);
  const Bytes large = cat({packet::test::be16_bytes(0x0800), packet::test::ipv4(17, Bytes(600, 1), {.frag = 0x4000})});
  w.arrive(a, frame(mac(2), mac(1), {}, large));
  EXPECT_EQ(w.sent(b).size(), 1U);
  EXPECT_EQ(w.sent(a).size(), 0U) << "an answer to the guest";
  EXPECT_EQ(w.drops(), World::only(x, Drop::tunnel_mtu));
  w.ports[x].tunnel_spec.remote.reset();
  w.ports[x].flood = {w.ports[x].path};
  w.commit();
  w.arrive(a, f);
  EXPECT_TRUE(w.sent_by_slot(wire).empty());
}

TEST(Policing, PassesTheBurstAndThenTheRate) {
  World w;
  PortPolicy limited = access();
  limited.policing.packets_per_second = 10;
  limited.policing.burst_packets = 4;
  const PortNo a = w.device(limited);
  const PortNo b = w.device(access());
  for (int i = 0; i < 20; ++i) w.arrive(a, frame(mac(2), mac(1)));
  EXPECT_EQ(w.sent(b).size(), 5U) << "four, and the one that empties the bucket";
  EXPECT_EQ(w.drops(), (World::Drops{{"1:policed", 15}}));
  EXPECT_EQ(w.learned(a).size(), 5U);
  w.fraction = std::chrono::milliseconds(200);
  for (int i = 0; i < 20; ++i) w.arrive(a, frame(mac(2), mac(1)));
  EXPECT_EQ(w.sent(b).size(), 2U);
  w.drops();
  w.learned(a);
  w.arrive(b, frame(mac(1), mac(2)));
  EXPECT_EQ(w.sent(a).size(), 1U) << "what leaves by the port is not its affair";
}

TEST(Policing, CountsBytes) {
  World w;
  PortPolicy limited = access();
  limited.policing.bits_per_second = 8000;
  limited.policing.burst_bits = 8;
  const PortNo a = w.device(limited);
  const PortNo b = w.device(access());
  const Bytes long_one = frame(mac(2), mac(1), {}, cat({{0x12, 0x34}, Bytes(986, 1)}));  // a second's worth
  w.arrive(a, long_one);
  EXPECT_EQ(w.sent(b).size(), 1U) << "longer than the burst";
  w.fraction = std::chrono::milliseconds(990);
  w.arrive(a, long_one);
  EXPECT_EQ(w.drops(), World::only(a, Drop::policed));
  w.fraction = std::chrono::milliseconds(1000);
  w.arrive(a, long_one);
  EXPECT_EQ(w.sent(b).size(), 1U);
}

}  // namespace
}  // namespace heddle::dp
