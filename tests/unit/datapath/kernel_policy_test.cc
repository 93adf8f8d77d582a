// SPDX-License-Identifier: Apache-2.0
// What policies mean for frames, by BPF_PROG_TEST_RUN: fail mode, VLANs that are flooded, policing, mirrors.
#include <sys/ioctl.h>

#include <ctime>

#include "tests/unit/datapath/kernel_world.h"

namespace heddle::dp {
namespace {

using namespace test;

const MacAddr kAll = *MacAddr::parse("ff:ff:ff:ff:ff:ff");
using Sent = std::map<PortNo, std::uint64_t>;

class KernelPolicy : public KernelWorldTest {
 protected:
  // The kernel refuses to send by a device until its link watch has seen the carrier, a moment after the device is up;
  // that done, whatever changes the device comes after it.
  PortNo device(const PortPolicy& policy, __u32 more = 0) {
    const PortNo no = w().device(policy, more);
    const auto& port = w().ports[no];
    ifreq request{};
    std::strncpy(request.ifr_name, port.near.c_str(), sizeof request.ifr_name - 1);
    const Fd any(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    EXPECT_TRUE(eventually(
        [&] { return ioctl(any.get(), SIOCGIFFLAGS, &request) == 0 && (request.ifr_flags & IFF_RUNNING) != 0; }));
    must(w().kernel->set_up(static_cast<int>(port.conf.ifindex), true));
    return no;
  }
  void flags(PortNo no, __u32 more) {
    w().ports[no].more_flags = more;
    w().commit();
  }
  void flood_vlans(std::initializer_list<VlanId> vlans, __u32 bridge = 0) {
    hd_bridge b{};
    for (const VlanId vlan : vlans) b.flood_vlans[vlan / 64] |= 1ULL << vlan % 64;
    must(w().programs->bridges.put(bridge, b));
  }
  // Rates at which what happens meanwhile does not count: a unit costs an hour or a part of it.
  static constexpr __u64 kHour = 3'600'000'000'000ULL << HD_TIME_SHIFT;
  static hd_bucket hours(double burst, double unit = 1) {
    return {static_cast<__u64>(static_cast<double>(kHour << HD_COST_SHIFT) * unit),
            static_cast<__u64>(static_cast<double>(kHour) * burst), 0};
  }
  void police(PortNo no, const hd_bucket& bytes, const hd_bucket& frames = {}) {
    flags(no, HD_POLICED);
    must(w().programs->policers.put(static_cast<__u32>(no), {bytes, frames, {}}));
  }
  hd_policer policer(PortNo no) { return *w().programs->policers.get(static_cast<__u32>(no)); }

  // A mirror in slot `slot`; what it selects is the ports' affair.
  void mirror(unsigned slot, PortNo output, VlanId output_vlan = 0, std::initializer_list<VlanId> vlans = {}) {
    hd_mirror m{};
    m.output = static_cast<__u32>(output);
    m.output_vlan = output_vlan;
    for (__u64& word : m.vlans) word = vlans.size() == 0 ? ~0ULL : 0;
    for (const VlanId vlan : vlans) m.vlans[vlan / 64] |= 1ULL << vlan % 64;
    must(w().programs->mirrors.put({0, static_cast<__u16>(slot)}, m));
  }
  void select(PortNo no, __u32 in, __u32 out) {
    w().ports[no].conf.mirrors_in = in;
    w().ports[no].conf.mirrors_out = out;
    w().commit();
  }
  hd_mirror counts(unsigned slot = 0) { return *w().programs->mirrors.get({0, static_cast<__u16>(slot)}); }
  Sent sent(PortNo in, const Bytes& f) {
    w().run(in, f);
    return w().transmitted();
  }
};

// --- fail mode ---

TEST_F(KernelPolicy, SecureBridgesForwardNothing) {
  const PortNo a = device(access(), HD_SECURE);
  const PortNo b = device(access(), HD_SECURE);
  w().know(0, mac(2), b);
  for (const unsigned n : {2U, 3U}) {
    EXPECT_EQ(w().run(a, frame(mac(n), mac(1))).action, TC_ACT_SHOT);
    EXPECT_EQ(w().drops(), KernelWorld::only(a, Drop::fail_secure));
  }
  EXPECT_TRUE(w().learned().empty());
  EXPECT_EQ(w().transmitted(), Sent{});
  // What is not admitted is not a matter of the fail mode.
  w().run(a, frame(mac(2), mac(1), Tag{0x8100, 10}));
  EXPECT_EQ(w().drops(), KernelWorld::only(a, Drop::vlan_tagged_on_access));
}

// --- flooded VLANs ---

TEST_F(KernelPolicy, FloodedVlansNeitherLearnNorLookUp) {
  const PortNo a = device(trunk(), HD_FLOOD_VLANS);
  const PortNo b = device(trunk(), HD_FLOOD_VLANS);
  const PortNo c = device(trunk(), HD_FLOOD_VLANS);
  flood_vlans({10, 4095});
  for (const VlanId vlan : {10, 11, 4095}) w().know(vlan, mac(2), b);
  for (const VlanId vlan : {10, 4095}) {
    EXPECT_EQ(w().run(a, frame(mac(2), mac(1), Tag{0x8100, vlan})).action, TC_ACT_REDIRECT);
    EXPECT_EQ(w().transmitted(), (Sent{{b, 1}, {c, 1}})) << vlan;
    EXPECT_TRUE(w().learned().empty()) << vlan;
  }
  EXPECT_EQ(w().run(a, frame(mac(2), mac(1), Tag{0x8100, 11})).action, TC_ACT_REDIRECT);
  EXPECT_EQ(w().transmitted(), (Sent{{b, 1}}));
  EXPECT_EQ(w().learned().size(), 1U);
}

// Another bridge's VLANs are its own, and without the flag nobody looks.
TEST_F(KernelPolicy, FloodedVlansAreOfOneBridge) {
  const PortNo a = device(access(10), HD_FLOOD_VLANS);
  const PortNo b = device(access(10));
  device(access(10));
  w().know(10, mac(2), b);
  flood_vlans({10}, 1);
  EXPECT_EQ(w().run(a, frame(mac(2), mac(1))).action, TC_ACT_REDIRECT);
  EXPECT_EQ(w().transmitted(), (Sent{{b, 1}}));
  flood_vlans({10});
  flags(a, 0);
  EXPECT_EQ(w().run(a, frame(mac(2), mac(1))).action, TC_ACT_REDIRECT);
  EXPECT_EQ(w().transmitted(), (Sent{{b, 1}}));
}

// --- policing ---

// A frame passes while the bucket is not empty, also one that is more than is left.
TEST_F(KernelPolicy, PolicedByBytes) {
  const PortNo a = device(access());
  const PortNo b = device(access());
  const Bytes f = frame(mac(2), mac(1));
  police(a, hours(1.5, 1.0 / static_cast<double>(f.size())));
  for (int i = 0; i < 2; ++i) EXPECT_EQ(sent(a, f), (Sent{{b, 1}})) << i;
  const auto before = policer(a);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(w().run(a, f).action, TC_ACT_SHOT);
    EXPECT_EQ(w().drops(), KernelWorld::only(a, Drop::policed));
  }
  EXPECT_EQ(policer(a).bytes.full, before.bytes.full) << "what does not pass is not charged";
  EXPECT_EQ(w().traffic(a).rx_packets, 5U);
  EXPECT_EQ(sent(b, f), (Sent{{a, 1}})) << "another port";
}

TEST_F(KernelPolicy, PolicedByFramesAndBytes) {
  const PortNo a = device(access());
  const PortNo b = device(access());
  police(a, hours(1000, 0.001), hours(2.5));
  for (int i = 0; i < 3; ++i) EXPECT_EQ(sent(a, frame(mac(2), mac(1))), (Sent{{b, 1}})) << i;
  const auto before = policer(a);
  EXPECT_EQ(sent(a, frame(mac(2), mac(1))), Sent{});
  EXPECT_EQ(w().drops(), KernelWorld::only(a, Drop::policed));
  EXPECT_EQ(policer(a).bytes.full, before.bytes.full);
  police(a, {});
  EXPECT_EQ(sent(a, frame(mac(2), mac(1))), (Sent{{b, 1}})) << "no limit";
}

// An idle port's bucket is full, never fuller.
TEST_F(KernelPolicy, IdleTimeIsNotSaved) {
  const PortNo a = device(access());
  device(access());
  police(a, {}, hours(0.5));
  EXPECT_EQ(sent(a, frame(mac(2), mac(1))).size(), 1U);
  EXPECT_EQ(sent(a, frame(mac(2), mac(1))).size(), 0U);
  timespec t{};
  clock_gettime(CLOCK_MONOTONIC, &t);
  const auto now = (static_cast<__u64>(t.tv_sec) * 1'000'000'000U + static_cast<__u64>(t.tv_nsec)) << HD_TIME_SHIFT;
  EXPECT_LE(policer(a).frames.full, now + kHour);
  EXPECT_GT(policer(a).frames.full, now + kHour / 2);
}

// A GSO packet is charged, and dropped, as the frames that it will be, each with its headers.
TEST_F(KernelPolicy, GsoPacketsArePolicedAsFrames) {
  const PortNo a = device(access());
  device(access());
  const Bytes f = frame(mac(2), mac(1), {}, Bytes(3002, 0));
  police(a, hours(1, 0.001), hours(0.5));
  EXPECT_EQ(w().run(a, f, {.gso_size = 1000, .gso_segs = 3}).action, TC_ACT_REDIRECT);
  const auto p = policer(a);
  constexpr __u64 kHead = 54;  // no IPv4, so an IPv6 and a TCP header, the latter with a length of none
  const __u64 start = p.frames.full - 3 * kHour;
  EXPECT_NEAR(static_cast<double>(p.bytes.full - start) * 1000 / kHour, static_cast<double>(f.size() + 2 * kHead), 1);
  EXPECT_EQ(w().run(a, f, {.gso_size = 1000, .gso_segs = 3}).action, TC_ACT_SHOT);
  EXPECT_EQ(w().drops(), (KernelWorld::Drops{{"1:policed", 3}}));
}

// --- mirrors ---

TEST_F(KernelPolicy, MirrorsByTheWayInAndTheWayOut) {
  const PortNo a = device(access());
  const PortNo b = device(access());
  const PortNo c = device(access());
  const PortNo d = device(access(), HD_RESERVED);
  w().know(0, mac(2), b);
  const Bytes f = frame(mac(2), mac(1));
  mirror(3, d);
  EXPECT_EQ(sent(a, f), (Sent{{b, 1}})) << "nothing is selected";
  select(a, 1U << 3, 0);
  EXPECT_EQ(sent(a, f), (Sent{{b, 1}, {d, 1}}));
  EXPECT_EQ(w().ear(d).await(), f);
  select(b, 0, 1U << 3);
  EXPECT_EQ(sent(a, f), (Sent{{b, 1}, {d, 1}})) << "once, though selected twice";
  select(a, 0, 0);
  EXPECT_EQ(sent(a, f), (Sent{{b, 1}, {d, 1}}));
  EXPECT_EQ(sent(a, frame(kAll, mac(1))), (Sent{{b, 1}, {c, 1}, {d, 1}}));
  EXPECT_EQ(counts(3).packets, 4U);
  EXPECT_EQ(counts(3).bytes, 4 * f.size());
  EXPECT_EQ(w().drops(), KernelWorld::Drops{});
}

// What leaves is as it was, whatever copies went before it.
TEST_F(KernelPolicy, CopiesHaveTheTagOfTheirWayOut) {
  const PortNo a = device(access(10));
  const PortNo b = device(access(10));
  const PortNo c = device(trunk());
  const PortNo d = device(trunk({20}), HD_RESERVED);  // does not carry the VLAN
  const PortNo e = device(access(30), HD_RESERVED);
  mirror(0, d);
  mirror(31, e);
  select(a, 1U | 1U << 31, 0);
  EXPECT_EQ(sent(a, frame(kAll, mac(1))), (Sent{{b, 1}, {c, 1}, {d, 1}, {e, 1}}));
  EXPECT_EQ(w().ear(d).await(), frame(kAll, mac(1), Tag{0x8100, 10}));
  EXPECT_EQ(w().ear(e).await(), frame(kAll, mac(1)));
  select(c, 1U | 1U << 31, 0);
  w().attach();
  w().arrive(c, frame(mac(9), mac(1), Tag{0x8100, 0x600a}));
  EXPECT_EQ(w().ear(a).await(), frame(mac(9), mac(1)));
  EXPECT_EQ(w().ear(d).await(), frame(mac(9), mac(1), Tag{0x8100, 0x600a}));
}

TEST_F(KernelPolicy, MirrorsOfSomeVlans) {
  const PortNo a = device(trunk());
  const PortNo b = device(trunk());
  const PortNo d = device(trunk(), HD_RESERVED);
  mirror(0, d, 0, {0, 10});
  select(a, 1, 0);
  EXPECT_EQ(sent(a, frame(kAll, mac(1))), (Sent{{b, 1}, {d, 1}}));
  EXPECT_EQ(sent(a, frame(kAll, mac(1), Tag{0x8100, 10})), (Sent{{b, 1}, {d, 1}}));
  EXPECT_EQ(sent(a, frame(kAll, mac(1), Tag{0x8100, 11})), (Sent{{b, 1}}));
}

// Frames that come to nothing are seen by whoever watches the port they came by; those that were not admitted are not.
TEST_F(KernelPolicy, DroppedFramesAreMirrored) {
  const PortNo a = device(access());
  const PortNo d = device(access(), HD_RESERVED);
  mirror(0, d);
  select(a, 1, 0);
  w().know(0, mac(2), a);
  EXPECT_EQ(sent(a, frame(mac(2), mac(1))), (Sent{{d, 1}}));
  EXPECT_EQ(w().drops(), KernelWorld::only(a, Drop::same_port));
  EXPECT_EQ(sent(a, frame(kAll, mac(1))), (Sent{{d, 1}}));
  EXPECT_EQ(w().drops(), KernelWorld::only(a, Drop::no_destination));
  flags(a, HD_SECURE);
  EXPECT_EQ(sent(a, frame(kAll, mac(1))), (Sent{{d, 1}}));
  EXPECT_EQ(w().drops(), KernelWorld::only(a, Drop::fail_secure));
  EXPECT_EQ(sent(a, frame(kAll, mac(1), Tag{0x8100, 5})), Sent{});
}

TEST_F(KernelPolicy, OutputPortsCarryCopiesAlone) {
  const PortNo a = device(access());
  const PortNo b = device(access());
  const PortNo d = device(access(), HD_RESERVED);
  w().know(0, mac(4), d);
  EXPECT_EQ(sent(a, frame(kAll, mac(1))), (Sent{{b, 1}}));
  EXPECT_EQ(sent(a, frame(mac(4), mac(1))), (Sent{{b, 1}})) << "a station that nobody can reach is unknown";
  EXPECT_EQ(sent(d, frame(kAll, mac(1))), Sent{});
  EXPECT_EQ(w().drops(), KernelWorld::only(d, Drop::mirror_port));
}

// A copy that cannot leave is counted at the mirror's port, and the frame goes its way.
TEST_F(KernelPolicy, CopiesThatCannotLeave) {
  const PortNo a = device(access());
  const PortNo b = device(access());
  const PortNo d = device(access(), HD_RESERVED);
  mirror(0, d);
  select(a, 1, 0);
  w().ports[d].mtu = 50;
  w().commit();
  EXPECT_EQ(sent(a, frame(kAll, mac(1))), (Sent{{b, 1}}));
  EXPECT_EQ(w().drops(), KernelWorld::only(d, Drop::oversize));
  w().ports[d].up = false;
  w().commit();
  EXPECT_EQ(sent(a, frame(kAll, mac(1))), (Sent{{b, 1}}));
  EXPECT_EQ(w().drops(), KernelWorld::only(d, Drop::port_down));
  EXPECT_EQ(counts().packets, 0U);
  for (const PortNo nowhere : {static_cast<PortNo>(4000), static_cast<PortNo>(70000 % 65536)}) {
    mirror(0, nowhere);
    EXPECT_EQ(sent(a, frame(kAll, mac(1))), (Sent{{b, 1}}));
    EXPECT_EQ(w().drops(), KernelWorld::Drops{});
  }
}

TEST_F(KernelPolicy, MirrorsIntoAVlan) {
  const PortNo a = device(trunk());
  const PortNo b = device(access(99));
  const PortNo c = device(access(10));
  const PortNo d = device(access(99), HD_RESERVED);
  const PortNo e = device(access(99));
  w().ports[e].up = false;
  mirror(0, PortNo::none, 99);
  select(a, 1, 0);
  w().attach();
  w().arrive(a, frame(mac(2), mac(1), Tag{0x8100, 0x600a}));
  EXPECT_EQ(w().ear(c).await(), frame(mac(2), mac(1)));
  EXPECT_EQ(w().ear(a).await(), frame(mac(2), mac(1), Tag{0x8100, 0x6063})) << "the way in carries the VLAN too";
  EXPECT_EQ(w().ear(b).await(), frame(mac(2), mac(1)));
  EXPECT_EQ(w().transmitted(), (Sent{{a, 1}, {b, 1}, {c, 1}}));
  EXPECT_EQ(counts().packets, 2U);
  EXPECT_FALSE(w().ear(d).take());
  EXPECT_EQ(sent(a, frame(mac(2), mac(1), Tag{0x8100, 99})), (Sent{{b, 1}})) << "it is there already";
}

TEST_F(KernelPolicy, MirrorsAndTunnels) {
  const PortNo a = device(access());
  const PortNo b = device(access());
  const PortNo from = w().alias(b, access(), HD_TUNNEL | HD_SPLIT_HORIZON);
  const PortNo to = w().alias(b, access(5), HD_TUNNEL | HD_SPLIT_HORIZON | HD_RESERVED);
  const PortNo hub = w().alias(b, access(99), HD_TUNNEL | HD_MULTIPOINT);
  const PortNo vlan = w().alias(b, access(99), HD_TUNNEL | HD_SPLIT_HORIZON);
  w().remote(7, IpAddr::v4(0x0a000001), 100);
  w().remote(8, IpAddr::v4(0x0a000002));
  for (const PortNo t : {from, to, vlan}) w().ports[t].conf.remote = 8;
  w().ports[from].targets = {KernelWorld::remote_target(from, 8)};
  w().ports[vlan].targets = {KernelWorld::remote_target(vlan, 8)};
  w().ports[hub].targets = {KernelWorld::remote_target(hub, 8)};
  mirror(0, to);
  select(a, 1, 0);
  EXPECT_EQ(sent(a, frame(kAll, mac(1))), (Sent{{b, 1}, {from, 1}, {to, 1}}));
  // The guest is not told that a copy of what it sent does not fit somewhere.
  w().ports[to].conf.remote = 7;
  w().commit();
  EXPECT_EQ(sent(a, frame(kAll, mac(1), {}, Bytes(200, 0))), (Sent{{b, 1}, {from, 1}}));
  EXPECT_EQ(w().drops(), KernelWorld::only(to, Drop::tunnel_mtu));
  hd_learning l{};
  const auto key = static_cast<__u32>(a);
  ASSERT_EQ(bpf_map_lookup_elem(w().programs->learning(), &key, &l), 0);
  EXPECT_EQ(l.too_big, 0U);
  mirror(0, hub);
  EXPECT_EQ(sent(a, frame(kAll, mac(1))), (Sent{{b, 1}, {from, 1}})) << "to which of its remotes?";
  mirror(0, PortNo::none, 99);
  EXPECT_EQ(sent(a, frame(kAll, mac(1))), (Sent{{b, 1}, {from, 1}, {vlan, 1}}));
}

}  // namespace
}  // namespace heddle::dp
