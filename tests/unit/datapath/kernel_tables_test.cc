// SPDX-License-Identifier: Apache-2.0
// What the kernel datapath keeps in maps: flood sets, remotes and forwarding databases, in one life and the next; and
// the programs' tunnel side as far as it needs no tunnel device.
#include "tests/support/mounts.h"
#include "tests/unit/datapath/kernel_world.h"

namespace heddle::dp {
namespace {

using namespace test;
using heddle::test::sh;

constexpr auto kBridge = static_cast<BridgeId>(0);

class KernelTables : public KernelWorldTest {
 protected:
  static FloodSets::Member member(const PortPolicy& policy, std::vector<hd_target> targets) {
    return {policy, std::move(targets)};
  }
  std::optional<__u32> set_of(VlanId vlan) { return w().programs->vlan_sets.get({0, vlan}); }
  std::size_t chunks() {
    std::size_t n = 0;
    w().programs->flood_sets.for_each([&](const hd_flood_key&, const hd_flood&) { ++n; });
    return n;
  }
};

TEST_F(KernelTables, VlansWithTheSameTargetsShareASet) {
  FloodSets sets(*w().programs, w().time);
  const std::vector<FloodSets::Member> members = {member(trunk(), {1}), member(access(10), {2}),
                                                  member(trunk({10, 20, 30}), {3})};
  must(sets.update(kBridge, members));
  ASSERT_TRUE(set_of(HD_ALL_VLANS) && set_of(10) && set_of(20));
  EXPECT_EQ(set_of(20), set_of(30));
  EXPECT_NE(set_of(10), set_of(20));
  EXPECT_NE(set_of(10), set_of(HD_ALL_VLANS));
  EXPECT_FALSE(set_of(11));
  EXPECT_EQ(chunks(), 3U);
  const auto first = w().programs->flood_sets.get({*set_of(10), 0});
  EXPECT_EQ(first->total, 3U);
  EXPECT_EQ(first->target[0], 2U) << "those that send untagged come first";
}

TEST_F(KernelTables, AChangeMakesANewSetAndTheOldOneGoesAfterARest) {
  FloodSets sets(*w().programs, w().time);
  const auto with = [&](std::vector<hd_target> targets) {
    const std::vector<FloodSets::Member> members = {member(access(10), std::move(targets))};
    must(sets.update(kBridge, members));
    return *set_of(10);
  };
  const __u32 one = with({1});
  EXPECT_EQ(with({1}), one) << "nothing has changed";
  const __u32 two = with({1, 2});
  EXPECT_NE(two, one);
  EXPECT_TRUE(w().programs->flood_sets.get({one, 0})) << "a program may be in it";
  with({1, 2, 3});
  EXPECT_TRUE(w().programs->flood_sets.get({one, 0}));
  w().time.advance(std::chrono::seconds(1));
  sets.sweep();
  EXPECT_FALSE(w().programs->flood_sets.get({one, 0}));
  must(sets.update(kBridge, {}));
  w().time.advance(std::chrono::seconds(1));
  sets.sweep();
  EXPECT_EQ(chunks(), 0U);
  EXPECT_FALSE(set_of(10));
}

TEST_F(KernelTables, FloodSetsOfAFormerLife) {
  std::vector<hd_target> many;
  for (hd_target t = 1; t <= 200; ++t) many.push_back(t);
  const std::vector<FloodSets::Member> members = {member(access(10), many)};
  {
    FloodSets sets(*w().programs, w().time);
    must(sets.update(kBridge, members));
    must(sets.update(static_cast<BridgeId>(1), members));
  }
  const auto before = set_of(10);
  EXPECT_EQ(w().programs->vlan_sets.get({1, 10}), before) << "bridges share too";
  FloodSets sets(*w().programs, w().time);
  must(sets.update(kBridge, members));
  EXPECT_EQ(set_of(10), before);
  sets.drop_others({kBridge});
  EXPECT_FALSE(w().programs->vlan_sets.get({1, 10}));
  EXPECT_EQ(set_of(10), before);
}

// What a request that fails has put into the map goes again: the next one, which fits, finds room.
TEST_F(KernelTables, FloodSetsThatDoNotFit) {
  FloodSets sets(*w().programs, w().time);
  must(sets.update(kBridge, std::vector<FloodSets::Member>{member(access(10), {1})}));
  std::vector<FloodSets::Member> huge;
  for (VlanId vlan = 1; vlan <= 4000; ++vlan) huge.push_back(member(access(vlan), {hd_target{vlan}}));
  std::vector<hd_target> many;
  for (hd_target t = 1; t <= 17 * HD_CHUNK; ++t) many.push_back(t << 16 | 5000);
  huge.push_back(member(trunk(), many));
  const auto full = sets.update(kBridge, huge);
  ASSERT_FALSE(full);
  EXPECT_EQ(full.error().code, Errc::limit);
  EXPECT_TRUE(set_of(10)) << "it floods as before";
  EXPECT_EQ(chunks(), 1U);
  EXPECT_TRUE(sets.update(kBridge, std::vector<FloodSets::Member>{member(access(10), {1, 2})}));
}

bool has_none(const RemoteVteps& remotes) {
  constexpr std::uint32_t kMoreThanAnyTestMakes = 64;
  for (std::uint32_t n = 0; n < kMoreThanAnyTestMakes; ++n)
    if (remotes.address(n)) return false;
  return true;
}

TEST_F(KernelTables, RemotesAreNumberedAndFollowTheRoutes) {
  RemoteVteps remotes(*w().programs, *w().kernel);
  EXPECT_FALSE(remotes.address(1));
  const RemoteVteps::Key key{*IpAddr::parse("192.0.2.2"), std::nullopt};
  const auto n = must(remotes.acquire(key));
  EXPECT_NE(n, 0U);
  EXPECT_EQ(must(remotes.acquire(key)), n);
  EXPECT_NE(must(remotes.acquire({key.addr, IpAddr::parse("192.0.2.1")})), n) << "another local address";
  EXPECT_EQ(remotes.address(n), key.addr);
  EXPECT_FALSE(remotes.route(n).usable);
  EXPECT_NE(remotes.route(n).problem.find("192.0.2.2"), std::string::npos);
  EXPECT_EQ(w().programs->remotes.get(n)->usable, 0);
  heddle::test::veth("u0", "u1");
  sh("ip addr add 192.0.2.1/24 dev u0");
  EXPECT_TRUE(remotes.refresh());
  EXPECT_FALSE(remotes.refresh());
  EXPECT_EQ(remotes.route(n).mtu, 1500U);
  EXPECT_EQ(w().programs->remotes.get(n)->usable, 1);
  EXPECT_EQ(w().programs->remotes.get(n)->mtu, 1500U);
  sh("ip link set u0 mtu 1400");
  EXPECT_TRUE(remotes.refresh());
  EXPECT_EQ(w().programs->remotes.get(n)->mtu, 1400U);

  // The next life knows the numbers; what nobody wants goes.
  RemoteVteps next(*w().programs, *w().kernel);
  EXPECT_EQ(next.address(n), key.addr);
  EXPECT_EQ(must(next.acquire(key)), n);
  next.drop_unused();
  EXPECT_FALSE(next.adopt(n + 1));
  EXPECT_TRUE(next.adopt(n));
  next.release(n);
  next.release(n);
  next.drop_unused();
  EXPECT_TRUE(has_none(next));
}

class KernelFdb : public KernelTables {
 protected:
  void SetUp() override {
    KernelTables::SetUp();
    if (IsSkipped()) return;
    mounts_ = std::make_unique<heddle::test::PrivateMounts>();
    pins_ = std::make_unique<Pins>(mounts_->dir() + "/bpf", "owner", 1);
    open();
  }
  void open() {
    fdb_.reset();
    remotes_.reset();
    programs_ = must(Programs::load(*pins_));
    remotes_ = std::make_unique<RemoteVteps>(*programs_, *w().kernel);
    fdb_ = std::make_unique<FdbTables>(*programs_, *pins_, *remotes_);
    must(fdb_->add_bridge(kBridge));
  }
  void TearDown() override {
    fdb_.reset();
    remotes_.reset();
    programs_.reset();
    pins_.reset();
    mounts_.reset();
    KernelTables::TearDown();
  }
  static FdbKey key(unsigned n) { return {kBridge, 0, mac(n)}; }
  bool knows(unsigned n) const {
    FdbUse use{key(n)};
    fdb_->use({&use, 1});
    return use.idle_seconds != UINT32_MAX;
  }
  static constexpr auto kPort = static_cast<PortNo>(1);
  static constexpr auto kHub = static_cast<PortNo>(2);
  const IpAddr far_ = *IpAddr::parse("192.0.2.9");

  std::unique_ptr<heddle::test::PrivateMounts> mounts_;
  std::unique_ptr<Pins> pins_;
  std::unique_ptr<Programs> programs_;
  std::unique_ptr<RemoteVteps> remotes_;
  std::unique_ptr<FdbTables> fdb_;
};

TEST_F(KernelFdb, CapacityIsALimitAndAChangeKeepsEntries) {
  fdb_->add_port(kPort, {});
  must(fdb_->set_capacity(kBridge, 10));
  for (unsigned n = 0; n < 10; ++n) must(fdb_->put(key(n), {kPort, std::nullopt}));
  const auto full = fdb_->put(key(10), {kPort, std::nullopt});
  ASSERT_FALSE(full);
  EXPECT_EQ(full.error().code, Errc::limit);
  must(fdb_->put(key(3), {kPort, std::nullopt}));  // there already
  must(fdb_->set_capacity(kBridge, 20));
  for (unsigned n = 0; n < 10; ++n) EXPECT_TRUE(knows(n)) << n;
  must(fdb_->put(key(10), {kPort, std::nullopt}));
  fdb_->remove(key(10));
  EXPECT_FALSE(knows(10));
  EXPECT_EQ(fdb_->set_capacity(kBridge, limits::kFdbMax + 1).error().code, Errc::limit);
  EXPECT_EQ(fdb_->set_capacity(kBridge, 0).error().code, Errc::limit);
  EXPECT_EQ(fdb_->set_capacity(static_cast<BridgeId>(9), 10).error().code, Errc::invalid);
  fdb_->remove_port(kPort);
  for (unsigned n = 0; n < 10; ++n) EXPECT_FALSE(knows(n)) << n;
}

TEST_F(KernelFdb, EntriesHoldTheirRemotes) {
  fdb_->add_port(kHub, {.multipoint = true, .remote = 0, .local = std::nullopt});
  for (unsigned n = 0; n < 2; ++n) must(fdb_->put(key(n), {kHub, far_}));
  must(fdb_->put(key(1), {kHub, far_}));
  fdb_->remove(key(0));
  remotes_->drop_unused();
  EXPECT_FALSE(has_none(*remotes_)) << "one entry leads there still";
  must(fdb_->put(key(1), {kHub, IpAddr::parse("192.0.2.8")}));
  remotes_->drop_unused();
  EXPECT_FALSE(remotes_->address(1)) << "the first remote has no user any more";
  fdb_->remove_bridge(kBridge);
  remotes_->drop_unused();
  EXPECT_TRUE(has_none(*remotes_));
}

TEST_F(KernelFdb, NextLifeReportsWhatItHasAndWithdrawsWhatNobodyWants) {
  fdb_->add_port(kPort, {});
  fdb_->add_port(kHub, {.multipoint = true, .remote = 0, .local = std::nullopt});
  fdb_->add_port(static_cast<PortNo>(3), {});
  must(fdb_->put(key(1), {kPort, std::nullopt}));
  must(fdb_->put(key(2), {kHub, far_}));
  must(fdb_->put(key(3), {static_cast<PortNo>(3), std::nullopt}));
  open();
  fdb_->add_port(kPort, {});
  fdb_->add_port(kHub, {.multipoint = true, .remote = 0, .local = std::nullopt});
  std::map<FdbKey, FdbTarget> reported;
  for (const LearnEvent& e : fdb_->settle()) reported[e.key] = e.target;
  EXPECT_EQ(reported, (std::map<FdbKey, FdbTarget>{{key(1), {kPort, std::nullopt}}, {key(2), {kHub, far_}}}));
  EXPECT_FALSE(knows(3)) << "its port is gone";
  must(fdb_->put(key(1), {kPort, std::nullopt}));
  fdb_->withdraw_unconfirmed(key(1));
  fdb_->withdraw_unconfirmed(key(2));
  EXPECT_TRUE(knows(1));
  EXPECT_FALSE(knows(2));
  remotes_->drop_unused();
  EXPECT_TRUE(has_none(*remotes_));
}

// --- tunnels' way out; the tunnel port's device is a plain one here ---

class KernelTunnelOut : public KernelTables {
 protected:
  void SetUp() override {
    KernelTables::SetUp();
    if (IsSkipped()) return;
    a_ = w().device(access());
    const PortNo wire = w().device(access(99));
    t_ = w().alias(wire, access(), HD_TUNNEL | HD_MULTIPOINT | HD_SPLIT_HORIZON);
    w().ports[t_].targets.clear();
    w().remote(1, *IpAddr::parse("192.0.2.9"), 1550);
    w().know(0, mac(2), t_, 1);
    w().commit();
  }
  PortNo a_ = PortNo::none;
  PortNo t_ = PortNo::none;
};

// An IPv4 packet of `size` bytes that must not be fragmented.
Bytes packet_of(std::size_t size) {
  const Bytes tcp = packet::test::tcp(Bytes(size - 40, 1));
  return frame(mac(2), mac(1), {}, packet::test::cat({{0x08, 0x00}, packet::test::ipv4(6, tcp, {.frag = 0x4000})}));
}

TEST_F(KernelTunnelOut, FrameThatIsTooBigIsAnswered) {
  EXPECT_EQ(w().run(a_, packet_of(1500)).action, TC_ACT_REDIRECT);
  EXPECT_EQ(w().run(a_, packet_of(1501)).action, TC_ACT_SHOT);
  EXPECT_EQ(w().drops(), KernelWorld::only(t_, Drop::tunnel_mtu));
  w().learned();  // writes the answer
  EXPECT_EQ(w().events->answered(a_), 1U);
  const auto icmp = w().ear(a_).await();
  ASSERT_TRUE(icmp && icmp->size() > 42);
  EXPECT_EQ((*icmp)[34], 3);  // destination unreachable,
  EXPECT_EQ((*icmp)[35], 4);  // fragmentation needed
  EXPECT_EQ((*icmp)[40] * 256 + (*icmp)[41], 1500);
}

TEST_F(KernelTunnelOut, GsoPacketsAreJudgedByTheirFrames) {
  EXPECT_EQ(w().run(a_, packet_of(3000), {.gso_size = 1460, .gso_segs = 3}).action, TC_ACT_REDIRECT);
  EXPECT_EQ(w().run(a_, packet_of(3000), {.gso_size = 1461, .gso_segs = 3}).action, TC_ACT_SHOT);
  EXPECT_EQ(w().drops(), (KernelWorld::Drops{{"3:tunnel_mtu", 3}})) << "as many frames as it would be";
  w().learned();
  EXPECT_EQ(w().events->answered(a_), 1U);
}

TEST_F(KernelTunnelOut, RemoteWithoutARoute) {
  w().remote(1, *IpAddr::parse("192.0.2.9"), 1550, false);
  EXPECT_EQ(w().run(a_, packet_of(100)).action, TC_ACT_SHOT);
  EXPECT_EQ(w().drops(), KernelWorld::only(t_, Drop::no_route));
}

TEST_F(KernelTunnelOut, FromTunnelToTunnelOnlyWithoutSplitHorizon) {
  const PortNo other = w().device(access(), HD_TUNNEL);
  EXPECT_EQ(w().run(other, packet_of(100)).action, TC_ACT_SHOT);
  EXPECT_EQ(w().drops(), KernelWorld::only(other, Drop::split_horizon));
  w().ports[t_].more_flags &= ~static_cast<__u32>(HD_SPLIT_HORIZON);
  w().commit();
  EXPECT_EQ(w().run(other, packet_of(100)).action, TC_ACT_REDIRECT);
}

}  // namespace
}  // namespace heddle::dp
