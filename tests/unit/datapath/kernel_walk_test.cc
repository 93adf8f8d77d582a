// SPDX-License-Identifier: Apache-2.0
// The TC program frame by frame (BPF_PROG_TEST_RUN): each reason for a drop, verdicts, counters, what is reported to
// the daemon, and flood sets of every size.
#include <ctime>

#include "tests/unit/datapath/kernel_world.h"

namespace heddle::dp {
namespace {

using namespace test;
using packet::test::cat;

const MacAddr kAll = *MacAddr::parse("ff:ff:ff:ff:ff:ff");
using Sent = std::map<PortNo, std::uint64_t>;

class KernelWalk : public KernelWorldTest {
 protected:
  // The frame is dropped for this reason, which is counted at that port, and nothing is sent.
  void refuses(PortNo in, const Bytes& f, PortNo at, Drop why, const std::string& what) {
    EXPECT_EQ(w().run(in, f).action, TC_ACT_SHOT) << what;
    EXPECT_EQ(w().drops(), KernelWorld::only(at, why)) << what;
    EXPECT_EQ(w().transmitted(), Sent{}) << what;
  }
  void policy(PortNo no, const PortPolicy& p) {
    w().ports[no].policy = p;
    w().commit();
  }
  hd_learning learning(PortNo no) {
    hd_learning l{};
    const auto key = static_cast<__u32>(no);
    EXPECT_EQ(bpf_map_lookup_elem(w().programs->learning(), &key, &l), 0);
    return l;
  }
  void set_learning(PortNo no, const hd_learning& l) {
    const auto key = static_cast<__u32>(no);
    EXPECT_EQ(bpf_map_update_elem(w().programs->learning(), &key, &l, BPF_ANY), 0);
  }
};

TEST_F(KernelWalk, DropsOnTheWayIn) {
  const PortNo a = w().device(access());
  w().device(trunk());
  refuses(a, cat({frame(mac(2), mac(1), {}, {}), {0x81, 0x00, 0x00}}), a, Drop::truncated, "half a tag");
  refuses(a, frame(mac(2), *MacAddr::parse("03:00:00:00:00:01")), a, Drop::source_multicast, "group source");
  refuses(a, frame(mac(2), kAll), a, Drop::source_multicast, "broadcast source");
  for (const std::uint64_t n : {0ULL, 1ULL, 14ULL, 15ULL})
    refuses(a, frame(MacAddr::from_u64(0x0180c2000000ULL + n), mac(1)), a, Drop::reserved_multicast, "reserved");
  EXPECT_EQ(w().run(a, frame(MacAddr::from_u64(0x0180c2000010ULL), mac(1))).action, TC_ACT_REDIRECT);
  w().transmitted();
  refuses(a, frame(mac(2), mac(1), Tag{0x8100, 10}), a, Drop::vlan_tagged_on_access, "tag on access port");
  policy(a, trunk({10}));
  refuses(a, frame(mac(2), mac(1), Tag{0x8100, 11}), a, Drop::vlan_not_member, "not in trunks");
  PortPolicy nowhere = access();
  nowhere.bridge = BridgeId::none;
  policy(a, nowhere);
  refuses(a, frame(mac(2), mac(1)), a, Drop::no_bridge, "no bridge");
  nowhere.bridge = static_cast<BridgeId>(200);
  policy(a, nowhere);
  refuses(a, frame(mac(2), mac(1)), a, Drop::no_bridge, "a bridge without a table");
}

TEST_F(KernelWalk, DropsOnTheWayOut) {
  const PortNo a = w().device(access());
  refuses(a, frame(mac(2), mac(1)), a, Drop::no_destination, "alone");
  refuses(a, frame(kAll, mac(1)), a, Drop::no_destination, "alone, to all");
  const PortNo b = w().device(access());
  w().know(0, mac(1), a);
  w().know(0, mac(2), b);
  refuses(a, frame(mac(1), mac(3)), a, Drop::same_port, "to a neighbour");
  policy(b, access(7));
  refuses(a, frame(mac(2), mac(1)), b, Drop::egress_vlan, "other VLAN");
  policy(b, access());
  w().ports[b].up = false;
  w().commit();
  refuses(a, frame(mac(2), mac(1)), b, Drop::port_down, "down");
  refuses(a, frame(kAll, mac(1)), a, Drop::no_destination, "to all, and the only one is down");
  w().ports[b].up = true;
  w().ports[a].policy.protected_port = w().ports[b].policy.protected_port = true;
  w().commit();
  refuses(a, frame(mac(2), mac(1)), a, Drop::protected_port, "protected");
  w().ports[a].policy.protected_port = false;
  w().ports[b].mtu = 100;
  w().commit();
  refuses(a, frame(mac(2), mac(1), {}, Bytes(107, 0)), b, Drop::oversize, "MTU 100, 105 bytes behind the type");
  refuses(a, frame(kAll, mac(1), {}, Bytes(107, 0)), b, Drop::oversize, "the same to all");
  EXPECT_EQ(w().run(a, frame(mac(2), mac(1), {}, Bytes(106, 0))).action, TC_ACT_REDIRECT);
}

// A copy that the device does not take is counted where it was to go.
TEST_F(KernelWalk, CopyThatCannotLeave) {
  const PortNo a = w().device(access());
  const PortNo b = w().device(access());
  const PortNo c = w().device(access());
  heddle::test::sh("ip link set p2 down");
  const PortNo d = w().alias(a, access());
  w().ports[d].conf.ifindex = 0x7ffffff0;  // no such device
  w().commit();
  w().device(access());
  EXPECT_EQ(w().run(a, frame(kAll, mac(1))).action, TC_ACT_REDIRECT);
  EXPECT_EQ(w().drops(), (KernelWorld::Drops{{"2:tx_error", 1}, {"4:tx_error", 1}}));
  EXPECT_EQ(w().ear(c).await(), frame(kAll, mac(1)));
  EXPECT_FALSE(w().ear(b).take());
}

// A device without a port, or with one that nothing is known of, is not ours.
TEST_F(KernelWalk, StrangersPass) {
  const PortNo a = w().device(access());
  w().device(access());
  must(w().programs->devices.put(w().ports[a].conf.ifindex, 4096));
  EXPECT_EQ(w().run(a, frame(mac(2), mac(1))).action, TC_ACT_UNSPEC);
  w().programs->devices.erase(w().ports[a].conf.ifindex);
  EXPECT_EQ(w().run(a, frame(mac(2), mac(1))).action, TC_ACT_UNSPEC);
  EXPECT_EQ(w().transmitted(), Sent{});
  EXPECT_EQ(w().drops(), KernelWorld::Drops{});
}

TEST_F(KernelWalk, CountsWhatCameAndWent) {
  const PortNo a = w().device(access());
  const PortNo b = w().device(access());
  const Bytes f = frame(mac(2), mac(1));
  for (int i = 0; i < 3; ++i) EXPECT_EQ(w().run(a, f).action, TC_ACT_REDIRECT);
  EXPECT_EQ(w().traffic(a).rx_packets, 3U);
  EXPECT_EQ(w().traffic(a).rx_bytes, 3 * f.size());
  EXPECT_EQ(w().traffic(b).tx_packets, 3U);
  EXPECT_EQ(w().traffic(b).tx_bytes, 3 * f.size());
  // A GSO packet is as many frames as it will be on a wire.
  w().run(a, frame(mac(2), mac(1), {}, Bytes(3000, 0)), {.gso_size = 1000, .gso_segs = 3});
  EXPECT_EQ(w().traffic(a).rx_packets, 6U);
  EXPECT_EQ(w().traffic(b).tx_packets, 6U);
}

// A GSO packet is not judged by its length: its frames are made to the device's measure.
TEST_F(KernelWalk, GsoPacketsAreNotOversize) {
  const PortNo a = w().device(access());
  const PortNo b = w().device(access());
  w().ports[b].mtu = 1500;
  w().commit();
  const Bytes f = frame(mac(2), mac(1), {}, Bytes(3000, 0));
  refuses(a, f, b, Drop::oversize, "no GSO");
  EXPECT_EQ(w().run(a, f, {.gso_size = 1400, .gso_segs = 3}).action, TC_ACT_REDIRECT);
}

// An entry may lead to a port that is gone, or is in another bridge by now: then the station is unknown.
TEST_F(KernelWalk, StaleEntriesFlood) {
  const PortNo a = w().device(access());
  const PortNo b = w().device(access());
  PortPolicy other = access();
  other.bridge = static_cast<BridgeId>(1);
  const PortNo c = w().device(other);
  hd_port nobody{};
  nobody.bridge = HD_NO_BRIDGE;
  must(w().programs->ports.put(4000, nobody));
  w().know(0, mac(2), static_cast<PortNo>(4000));
  w().know(0, mac(3), c);
  w().know(0, mac(4), static_cast<PortNo>(5000));
  for (const unsigned n : {2U, 3U, 4U}) {
    EXPECT_EQ(w().run(a, frame(mac(n), mac(1))).action, TC_ACT_REDIRECT);
    EXPECT_EQ(w().transmitted(), (Sent{{b, 1}}));
  }
}

// Straight into a guest's device goes what is the guest's own and nothing else; it does not take our mark along.
TEST_F(KernelWalk, HandsOverToAPeerOnlyWhatIsItsOwn) {
  const PortNo a = w().device(access());
  const PortNo b = w().device(access(), HD_PEER);
  std::memcpy(w().ports[b].conf.station, mac(2).bytes.data(), 6);
  w().commit();
  for (const unsigned n : {2U, 3U}) w().know(0, mac(n), b);
  const auto own = w().run(a, frame(mac(2), mac(1)), {.mark = 5});
  EXPECT_EQ(own.action, TC_ACT_REDIRECT);
  EXPECT_EQ(own.mark, 0U);
  const auto other = w().run(a, frame(mac(3), mac(1)), {.mark = 5});
  EXPECT_EQ(other.action, TC_ACT_REDIRECT);
  EXPECT_EQ(other.mark, 5U);
}

// The host's own device: frames go to its receive side.
TEST_F(KernelWalk, InwardPortsReceive) {
  const PortNo a = w().device(access());
  const PortNo b = w().device(access(), HD_INWARD);
  w().device(access());
  const Ear inside(w().ports[b].near);
  EXPECT_EQ(w().run(a, frame(kAll, mac(1))).action, TC_ACT_REDIRECT);
  EXPECT_EQ(inside.await(), frame(kAll, mac(1)));
  EXPECT_FALSE(w().ear(b).take());
}

// --- what is reported ---

TEST_F(KernelWalk, ReportsNewAndMovedStations) {
  const PortNo a = w().device(access(10));
  const PortNo b = w().device(access(10));
  w().run(a, frame(mac(2), mac(1)));
  auto events = w().learned();
  ASSERT_EQ(events.size(), 1U);
  EXPECT_EQ(events[0].key, (FdbKey{static_cast<BridgeId>(0), 10, mac(1)}));
  EXPECT_EQ(events[0].target, (FdbTarget{a, std::nullopt}));

  const auto entry = [&] { return *w().fdb().get(KernelWorld::station(10, mac(1))); };
  w().know(10, mac(1), a);
  const __u32 before = station_time();
  w().run(a, frame(mac(2), mac(1)));
  EXPECT_TRUE(w().learned().empty());
  EXPECT_GE(entry().used + 1, before);  // the program's clock is the coarse one
  EXPECT_LE(entry().used, station_time());

  w().know(10, mac(1), a);
  w().run(b, frame(mac(3), mac(1)));
  events = w().learned();
  ASSERT_EQ(events.size(), 1U);
  EXPECT_EQ(events[0].target, (FdbTarget{b, std::nullopt}));
  EXPECT_EQ(entry().used, 1U) << "a frame at another port kept the old entry alive";
}

TEST_F(KernelWalk, PortsThatDoNotLearnReportNothing) {
  PortPolicy quiet = access();
  quiet.learning = false;
  const PortNo a = w().device(quiet);
  w().device(access());
  EXPECT_EQ(w().run(a, frame(mac(2), mac(1))).action, TC_ACT_REDIRECT);
  EXPECT_TRUE(w().learned().empty());
}

TEST_F(KernelWalk, WaitingEventsAreBoundedForEachPort) {
  const PortNo a = w().device(access());
  const PortNo b = w().device(access());
  for (unsigned n = 0; n < HD_LEARN_PENDING + 5; ++n)
    EXPECT_EQ(w().run(a, frame(mac(1), mac(100 + n))).action, TC_ACT_REDIRECT) << "forwarded all the same";
  w().run(b, frame(mac(1), mac(50)));
  EXPECT_EQ(w().events->learn_dropped(a), 5U);
  EXPECT_EQ(w().events->learn_dropped(b), 0U);
  // A reader that takes few at a time gets them all, in order.
  std::vector<LearnEvent> one(1);
  for (unsigned n = 0; n < HD_LEARN_PENDING; ++n) {
    ASSERT_EQ(w().events->poll(one), 1U);
    ASSERT_EQ(one[0].key.mac, mac(100 + n));
  }
  ASSERT_EQ(w().events->poll(one), 1U);
  EXPECT_EQ(one[0].target.port, b);
  EXPECT_EQ(w().events->poll(one), 0U);
  w().run(a, frame(mac(1), mac(9)));
  EXPECT_EQ(w().learned().size(), 1U) << "room again, and no event";
}

TEST_F(KernelWalk, EventsOfAWindowAreBoundedForEachPort) {
  const PortNo a = w().device(access());
  w().device(access());
  // The window may end between our look at the clock and the program's: then once more.
  const auto window = [] {
    timespec t{};
    clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
    return (static_cast<__u64>(t.tv_sec) * 1'000'000'000U + static_cast<__u64>(t.tv_nsec)) >> 27;
  };
  ASSERT_TRUE(eventually([&] {
    hd_learning l{};
    l.window = window();
    l.reported = HD_LEARN_WINDOW;
    set_learning(a, l);
    w().run(a, frame(mac(2), mac(1)));
    if (window() != l.window) {
      w().learned();
      return false;
    }
    EXPECT_TRUE(w().learned().empty());
    EXPECT_EQ(learning(a).dropped, 1U);
    return true;
  }));
  hd_learning l = learning(a);
  l.window -= 2;  // as if it were long ago
  set_learning(a, l);
  w().run(a, frame(mac(2), mac(1)));
  EXPECT_EQ(w().learned().size(), 1U);
  EXPECT_EQ(learning(a).reported, 1U);
  EXPECT_EQ(learning(a).dropped, 1U);
}

TEST_F(KernelWalk, EventsOfAFormerLifeAreThrownAway) {
  const PortNo a = w().device(access());
  w().device(access());
  w().run(a, frame(mac(2), mac(1)));
  EXPECT_EQ(learning(a).pending, 1);
  w().events = must(Events::open(*w().programs, [](PortNo) { return 0; }));
  EXPECT_EQ(learning(a).pending, 0);
  EXPECT_TRUE(w().learned().empty());
}

// --- flooding ---

TEST_F(KernelWalk, FloodsToEveryoneWithTheRightTag) {
  const PortNo a = w().device(trunk());
  const PortNo b = w().device(access(10));
  const PortNo c = w().device(trunk());
  const PortNo d = w().device(trunk({}, VlanMode::native_untagged, 10));
  const PortNo e = w().device(access(20));
  const PortNo last = w().device(trunk({10, 30}));
  const Bytes f = frame(kAll, mac(1), Tag{0x8100, 0x600a});
  EXPECT_EQ(w().run(a, f).action, TC_ACT_REDIRECT);
  EXPECT_EQ(w().transmitted(), (Sent{{b, 1}, {c, 1}, {d, 1}, {last, 1}}));
  EXPECT_EQ(w().ear(b).await(), frame(kAll, mac(1)));
  EXPECT_EQ(w().ear(c).await(), f);
  EXPECT_EQ(w().ear(d).await(), frame(kAll, mac(1)));
  EXPECT_FALSE(w().ear(e).take());
}

// Frames sent, and those that the device refused: all leave by one here, whose far end's queue may be full.
Sent tried(KernelWorld& world) {
  Sent all = world.transmitted();
  for (const auto& [where, n] : world.drops()) {
    const auto colon = where.find(':');
    EXPECT_EQ(where.substr(colon + 1), "tx_error");
    all[static_cast<PortNo>(std::stoi(where))] += n;
  }
  return all;
}

// Sets of one element and of many, with members on both sides of each border; the way in and ports that are down are
// passed over.
TEST_F(KernelWalk, FloodSetsOfAnySize) {
  const PortNo a = w().device(access());
  PortNo down = PortNo::none;
  while (w().ports.size() < 4095) w().alias(a, access());
  down = static_cast<PortNo>(40);
  w().ports[down].up = false;
  w().commit();
  std::vector<hd_target> all;
  for (const auto& [no, p] : w().ports) all.push_back(static_cast<hd_target>(no));
  for (const std::size_t size : {1U, 2U, 63U, 64U, 65U, 128U, 129U, 512U, 1000U, 4095U}) {
    const std::vector<hd_target> targets(all.end() - static_cast<std::ptrdiff_t>(size), all.end());
    constexpr __u32 kSet = 700000;
    for (std::size_t from = 0; from < size; from += HD_CHUNK) {
      hd_flood chunk{};
      chunk.total = static_cast<__u32>(size);
      for (std::size_t i = from; i < size && i < from + HD_CHUNK; ++i) chunk.target[i - from] = targets[i];
      must(w().programs->flood_sets.put({kSet, static_cast<__u32>(from / HD_CHUNK)}, chunk));
    }
    must(w().programs->vlan_sets.put({0, 0}, kSet));
    EXPECT_EQ(w().run(a, frame(kAll, mac(1))).action, TC_ACT_REDIRECT);
    Sent want;
    for (const hd_target t : targets)
      if (static_cast<PortNo>(t) != a && static_cast<PortNo>(t) != down) want[static_cast<PortNo>(t)] = 1;
    EXPECT_EQ(tried(w()), want) << size << " targets";
  }
}

// Every port and the longest flood list at once: HD_TARGETS. The tunnel's frames leave by a plain device here.
TEST_F(KernelWalk, LargestFloodSet) {
  const PortNo a = w().device(access());
  const PortNo hub = w().alias(a, access(), HD_TUNNEL | HD_MULTIPOINT);
  w().ports[hub].targets.clear();
  for (__u32 n = 1; n <= limits::kFloodList; ++n) {
    w().remote(n, IpAddr::v4(0x0a000000 + n));
    w().ports[hub].targets.push_back(KernelWorld::remote_target(hub, n));
  }
  while (w().ports.size() < 4095) w().alias(a, access());
  w().commit();
  EXPECT_EQ(w().run(a, frame(kAll, mac(1))).action, TC_ACT_REDIRECT);
  auto sent = tried(w());
  EXPECT_EQ(sent[hub], limits::kFloodList);
  EXPECT_EQ(sent.size(), 4094U) << "each but the way in";
}

// A set that has lost a chunk, or of which there is nothing at all: what is there is served.
TEST_F(KernelWalk, FloodSetWithAGap) {
  const PortNo a = w().device(access());
  must(w().programs->vlan_sets.put({0, 0}, 99));
  refuses(a, frame(kAll, mac(1)), a, Drop::no_destination, "no such set");
  const PortNo b = w().device(access());
  hd_flood chunk{};
  chunk.total = 1000;
  chunk.target[0] = static_cast<hd_target>(b);
  must(w().programs->flood_sets.put({99, 0}, chunk));
  must(w().programs->vlan_sets.put({0, 0}, 99));
  EXPECT_EQ(w().run(a, frame(kAll, mac(1))).action, TC_ACT_REDIRECT);
  EXPECT_EQ(w().transmitted(), (Sent{{b, 1}}));
}

TEST_F(KernelWalk, ProtectedPortsAreLeftOutOfFloods) {
  PortPolicy shy = access();
  shy.protected_port = true;
  const PortNo a = w().device(shy);
  w().device(shy);
  refuses(a, frame(kAll, mac(1)), a, Drop::no_destination, "only protected ones");
  const PortNo c = w().device(access());
  EXPECT_EQ(w().run(a, frame(kAll, mac(1))).action, TC_ACT_REDIRECT);
  EXPECT_EQ(w().transmitted(), (Sent{{c, 1}}));
}

}  // namespace
}  // namespace heddle::dp
