// SPDX-License-Identifier: Apache-2.0
// Parts of the user datapath's control side that need neither packets nor devices: shares of the packet memory, pairs
// of patch ports, another try for devices; and tunnel paths as routes come and go, in a namespace of the test's own.
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/timerfd.h>

#include <cstring>
#include <deque>

#include "base/clock.h"
#include "datapath/user/device_retry.h"
#include "datapath/user/packet_shares.h"
#include "datapath/user/patch_peers.h"
#include "datapath/user/path_resolver.h"
#include "datapath/user/socket_underlay.h"
#include "tests/support/netns.h"

namespace heddle::dp {
namespace {

using heddle::test::sh;

bool readable(int fd, int patience_ms = 0) {
  pollfd p{fd, POLLIN, 0};
  return poll(&p, 1, patience_ms) == 1;
}

// --- PacketShares ---

TEST(PacketShares, GetSmallerAndLeaveAQuarter) {
  constexpr std::size_t kBuffers = 32768;
  PacketShares shares(kBuffers);
  std::deque<PacketShares::Share> taken;
  std::size_t filled = 0;
  std::size_t before = limits::kFill;
  for (;;) {
    taken.push_back(shares.take(2));
    const std::size_t fill = taken.back().fill();
    if (fill == 0) break;
    EXPECT_EQ(fill % FramePool::kBundle, 0U);
    EXPECT_LE(fill, before);
    before = fill;
    filled += 2 * fill;
    ASSERT_LT(taken.size(), 1000U);
  }
  EXPECT_GT(filled, kBuffers / 2);
  EXPECT_LE(filled, kBuffers * 3 / 4 + limits::kFill);
  taken.clear();
  EXPECT_EQ(shares.take(1).fill(), limits::kFill) << "all was given back";
}

TEST(PacketShares, FewDevicesOfGuestsShare) {
  PacketShares shares(32768);
  std::deque<PacketShares::Share> taken;
  for (unsigned queues = 0; queues < XskFactory::kSharers; queues += 4) {
    taken.push_back(shares.take_if_few(4));
    EXPECT_GT(taken.back().fill(), 0U);
  }
  EXPECT_EQ(shares.take_if_few(1).fill(), 0U);
  EXPECT_GT(shares.take(1).fill(), 0U) << "a device of the host";
  PacketShares::Share moved = std::move(taken.front());
  taken.pop_front();
  EXPECT_EQ(shares.take_if_few(1).fill(), 0U) << "it moved, and was not given back";
  moved = {};
  EXPECT_GT(shares.take_if_few(1).fill(), 0U);
}

// --- PatchPeers ---

class PatchPeersTest : public ::testing::Test {
 protected:
  struct End {
    PortNo no;
    PortShared shared{1};
  };
  static PortSpec spec(const std::string& name, const std::string& peer) {
    PortSpec s;
    s.name = name;
    s.kind = PortKind::patch;
    s.peer = peer;
    return s;
  }
  PortNo add(End& end, const std::string& name, const std::string& peer) {
    return peers_.add(end.no, spec(name, peer), end.shared);
  }

  PatchPeers peers_;
  End a_{static_cast<PortNo>(1)};
  End b_{static_cast<PortNo>(2)};
  End c_{static_cast<PortNo>(3)};
};

TEST_F(PatchPeersTest, APairComesAndGoesInAnyOrder) {
  for (const bool a_goes : {false, true}) {
    EXPECT_EQ(add(a_, "a", "b"), PortNo::none);
    EXPECT_FALSE(a_.shared.up);
    EXPECT_FALSE(readable(peers_.fd()));
    EXPECT_EQ(add(b_, "b", "a"), a_.no);
    EXPECT_TRUE(a_.shared.up);
    EXPECT_TRUE(b_.shared.up);
    EXPECT_EQ(peers_.peer_of("a"), b_.no);
    EXPECT_EQ(peers_.peer_of("b"), a_.no);
    EXPECT_TRUE(readable(peers_.fd()));
    EXPECT_EQ(peers_.take_changed(), std::set<PortNo>{a_.no}) << "the other's state is told by its coming";
    EXPECT_FALSE(readable(peers_.fd()));
    End& stays = a_goes ? b_ : a_;
    EXPECT_EQ(peers_.remove(a_goes ? "a" : "b"), stays.no);
    EXPECT_FALSE(stays.shared.up);
    EXPECT_EQ(peers_.peer_of(a_goes ? "b" : "a"), PortNo::none);
    EXPECT_EQ(peers_.take_changed(), std::set<PortNo>{stays.no});
    EXPECT_EQ(peers_.remove(a_goes ? "b" : "a"), PortNo::none);
    EXPECT_TRUE(peers_.take_changed().empty());
  }
}

TEST_F(PatchPeersTest, BothMustNameEachOther) {
  EXPECT_EQ(add(a_, "a", "b"), PortNo::none);
  EXPECT_EQ(add(c_, "c", "a"), PortNo::none);
  EXPECT_EQ(peers_.peer_of("c"), PortNo::none);
  EXPECT_EQ(add(b_, "b", "c"), PortNo::none);
  for (const auto* name : {"a", "b", "c", "d"}) EXPECT_EQ(peers_.peer_of(name), PortNo::none);
  EXPECT_EQ(peers_.remove("d"), PortNo::none);
  EXPECT_TRUE(peers_.take_changed().empty());
}

TEST_F(PatchPeersTest, NobodyIsToldOfAPortThatIsGone) {
  add(a_, "a", "b");
  add(b_, "b", "a");
  peers_.remove("a");
  peers_.remove("b");
  EXPECT_TRUE(peers_.take_changed().empty());
}

TEST_F(PatchPeersTest, NamesAreChecked) {
  EXPECT_TRUE(PatchPeers::check(spec("a", "b")));
  EXPECT_EQ(PatchPeers::check(spec("a", "")).error().code, Errc::invalid);
  EXPECT_EQ(PatchPeers::check(spec("a", "a")).error().code, Errc::invalid);
}

// --- DeviceRetry ---

TEST(DeviceRetry, TriesLessAndLessOftenUntilAllAreFree) {
  DeviceRetry retry;
  ASSERT_TRUE(retry.open());
  const auto port = static_cast<PortNo>(4);
  int ports = 0;
  int underlays = 0;
  retry.add_port(port);
  retry.add_underlay(9);
  retry.retry([&](PortNo) { FAIL() << "it is not time yet"; }, [](int) {});
  auto since = Clock::now();
  std::vector<Clock::duration> waits;
  for (int round = 0; round < 4; ++round) {
    ASSERT_TRUE(readable(retry.fd(), 30'000));
    waits.push_back(Clock::now() - since);
    since = Clock::now();
    retry.retry(
        [&](PortNo no) {
          EXPECT_EQ(no, port);
          if (++ports < 4) retry.add_port(no);
        },
        [&](int ifindex) {
          EXPECT_EQ(ifindex, 9);
          ++underlays;
        });
  }
  EXPECT_EQ(ports, 4);
  EXPECT_EQ(underlays, 1) << "it was free at once";
  EXPECT_GE(waits.back(), std::chrono::milliseconds(100));
  itimerspec left{};
  ASSERT_EQ(timerfd_gettime(retry.fd(), &left), 0);
  EXPECT_TRUE(left.it_value.tv_sec == 0 && left.it_value.tv_nsec == 0) << "nothing is left to try";
}

// --- PathResolver ---

class PathResolverTest : public ::testing::Test {
 protected:
  void SetUp() override {
    HEDDLE_NEEDS_NETNS();
    ns_ = std::make_unique<heddle::test::PrivateNetns>();
    auto kernel = netlink::Netlink::open();
    ASSERT_TRUE(kernel) << kernel.error().text;
    kernel_ = std::move(*kernel);
    paths_ = std::make_unique<PathResolver>(*kernel_);
    paths_->set_socket(4789, false, kSocket);
    heddle::test::veth("u0", "u1");
    sh("ip addr add 192.0.2.1/24 dev u0");
  }
  static TunnelSpec multipoint() {
    TunnelSpec spec;
    spec.vxlan().vni = 5;
    return spec;
  }
  const TunnelPath* at(std::uint32_t number) const { return paths_->paths().at(number); }

  static constexpr std::uint32_t kSocket = 7;
  static constexpr std::uint32_t kDevice = 8;
  const PortNo port_ = static_cast<PortNo>(1);
  const IpAddr remote_ = *IpAddr::parse("192.0.2.2");
  std::unique_ptr<heddle::test::PrivateNetns> ns_;
  std::unique_ptr<netlink::Netlink> kernel_;
  std::unique_ptr<PathResolver> paths_;
};

TEST_F(PathResolverTest, APathFollowsRouteDeviceAndNeighbour) {
  EXPECT_EQ(paths_->acquire(port_, remote_).error().code, Errc::not_found);
  paths_->add_port(port_, multipoint());
  const std::uint32_t number = paths_->acquire(port_, remote_).value();
  ASSERT_NE(at(number), nullptr);
  EXPECT_TRUE(at(number)->usable);
  EXPECT_EQ(at(number)->io, kSocket);
  EXPECT_EQ(at(number)->mtu, 1500U);
  EXPECT_EQ(at(number)->head.len, packet::kVxlanOverheadV4);
  const int u0 = kernel_->link("u0")->index;
  EXPECT_EQ(paths_->egress_devices(), std::set<int>{u0});

  const MacAddr mac = kernel_->link(u0)->mac;
  paths_->set_device(u0, kDevice, mac);
  EXPECT_EQ(at(number)->io, kSocket) << "the neighbour is not known";
  sh("ip neigh replace 192.0.2.2 lladdr 02:00:00:00:00:02 dev u0");
  netlink::Neighbour news;
  news.ifindex = u0;
  news.addr = remote_;
  news.mac = MacAddr::parse("02:00:00:00:00:02");
  news.state = netlink::Neighbour::State::reachable;
  EXPECT_FALSE(paths_->refresh(news));
  EXPECT_EQ(at(number)->io, kDevice);
  EXPECT_TRUE(paths_->view(number).afxdp);
  sh("ip neigh del 192.0.2.2 dev u0");
  news.state = netlink::Neighbour::State::none;
  EXPECT_TRUE(paths_->refresh(news)) << "refresh() is to look for it";
  EXPECT_EQ(at(number)->io, kSocket);
  EXPECT_FALSE(*kernel_->neighbour(u0, remote_)) << "not at once";
  news.addr = *IpAddr::parse("192.0.2.77");
  EXPECT_FALSE(paths_->refresh(news)) << "another's";
  paths_->refresh();
  EXPECT_TRUE(*kernel_->neighbour(u0, remote_));
  sh("ip neigh replace 192.0.2.2 lladdr 02:00:00:00:00:02 dev u0");
  paths_->refresh();
  EXPECT_EQ(at(number)->io, kDevice);
  paths_->set_device(u0, kNoIo, {});
  EXPECT_EQ(at(number)->io, kSocket);

  sh("ip addr del 192.0.2.1/24 dev u0");
  EXPECT_TRUE(paths_->refresh());
  EXPECT_FALSE(at(number)->usable);
  EXPECT_FALSE(paths_->view(number).route.usable);
  EXPECT_NE(paths_->view(number).route.problem.find("192.0.2.2"), std::string::npos);
}

TEST_F(PathResolverTest, AGroupHasItsOwnEthernetAddressAndNoNeighbour) {
  TunnelSpec spec = multipoint();
  spec.group = *IpAddr::parse("239.129.2.3");
  spec.local = *IpAddr::parse("192.0.2.1");
  paths_->add_port(port_, spec);
  const std::uint32_t number = paths_->acquire(port_, *spec.group).value();
  const int u0 = kernel_->link("u0")->index;
  ASSERT_TRUE(at(number)->usable);
  EXPECT_EQ(at(number)->devices, std::vector{u0});
  EXPECT_EQ(paths_->leading_devices(), std::set{u0});
  const auto head = [&](std::size_t from) {
    MacAddr mac;
    std::memcpy(mac.bytes.data(), at(number)->head.bytes.data() + from, mac.bytes.size());
    return mac;
  };
  EXPECT_EQ(at(number)->io, kSocket);
  EXPECT_EQ(head(0), MacAddr::parse("01:00:5e:01:02:03"));
  EXPECT_EQ(arrival_device(at(number)->head.bytes.data()), u0) << "the socket is told the device";
  const MacAddr mac = kernel_->link(u0)->mac;
  paths_->set_device(u0, kDevice, mac);
  EXPECT_EQ(at(number)->io, kDevice);
  EXPECT_EQ(head(6), mac);
  sh("ip link set u0 down");
  EXPECT_TRUE(paths_->refresh());
  EXPECT_FALSE(at(number)->usable);
}

// RFC 1191, RFC 8201: what a router says of a packet that we could have sent, and for some time.
TEST_F(PathResolverTest, ARouterOnTheWayHasASmallerMtu) {
  paths_->add_port(port_, multipoint());
  const std::uint32_t number = paths_->acquire(port_, remote_).value();
  const TimePoint begin{};
  const packet::TooBig good{*IpAddr::parse("192.0.2.1"), remote_, 4789, 1400};
  for (const auto& forged : {packet::TooBig{remote_, remote_, 4789, 1400},
                             {*IpAddr::parse("192.0.2.1"), *IpAddr::parse("192.0.2.3"), 4789, 1400},
                             {*IpAddr::parse("192.0.2.1"), remote_, 4790, 1400},
                             {*IpAddr::parse("192.0.2.1"), remote_, 4789, 1500}}) {
    EXPECT_TRUE(paths_->note(forged, begin).empty());
    EXPECT_EQ(at(number)->mtu, 1500U);
  }
  EXPECT_EQ(paths_->note(good, begin), std::set<PortNo>{port_});
  EXPECT_EQ(at(number)->mtu, 1400U);
  EXPECT_EQ(paths_->view(number).route.mtu, 1400U);
  EXPECT_TRUE(paths_->note(good, begin).empty()) << "known";
  EXPECT_FALSE(paths_->refresh()) << "it stays";
  EXPECT_TRUE(paths_->forget_old_mtus(begin + PathResolver::kMtuTime - std::chrono::seconds(1)).empty());
  EXPECT_EQ(at(number)->mtu, 1400U);
  EXPECT_EQ(paths_->forget_old_mtus(begin + PathResolver::kMtuTime), std::set<PortNo>{port_});
  EXPECT_EQ(at(number)->mtu, 1500U);
  paths_->note(good, begin);
  sh("ip route add 192.0.2.2/32 via 192.0.2.9 dev u0");
  EXPECT_TRUE(paths_->refresh());
  EXPECT_EQ(at(number)->mtu, 1500U) << "another way";
}

TEST_F(PathResolverTest, APathGoesWithItsPortOnly) {
  const auto other = static_cast<PortNo>(2);
  paths_->add_port(port_, multipoint());
  paths_->add_port(other, multipoint());
  const std::uint32_t mine = paths_->acquire(port_, remote_).value();
  const std::uint32_t theirs = paths_->acquire(other, remote_).value();
  EXPECT_NE(mine, theirs);
  EXPECT_EQ(paths_->acquire(port_, remote_), mine);
  paths_->release(mine);
  paths_->release(mine);
  EXPECT_NE(at(mine), nullptr) << "kept while its number is not needed";
  paths_->remove_port(port_);
  EXPECT_EQ(at(mine), nullptr);
  EXPECT_NE(at(theirs), nullptr);
  EXPECT_FALSE(paths_->idle());
  paths_->remove_port(other);
  EXPECT_EQ(at(theirs), nullptr);
  EXPECT_TRUE(paths_->idle());
}

}  // namespace
}  // namespace heddle::dp
