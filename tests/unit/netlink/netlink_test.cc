// SPDX-License-Identifier: Apache-2.0
#include "netlink/netlink.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "netlink/ethtool.h"
#include "tests/support/netns.h"

namespace heddle::netlink {
namespace {

using test::await_address;
using test::sh;

IpAddr ip(const char* text) { return IpAddr::parse(text).value(); }

class NetlinkTest : public ::testing::Test {
 protected:
  void SetUp() override {
    HEDDLE_NEEDS_NETNS();
    netns_ = std::make_unique<test::PrivateNetns>();
    auto opened = Netlink::open();
    ASSERT_TRUE(opened) << opened.error().text;
    nl_ = std::move(*opened);
  }
  std::unique_ptr<test::PrivateNetns> netns_;
  std::unique_ptr<Netlink> nl_;
};

TEST_F(NetlinkTest, ReadsALinkByNameByIndexAndInTheList) {
  sh("ip link add va mtu 1400 address 02:00:00:00:00:0a numrxqueues 3 type veth peer name vb");
  const auto va = nl_->link("va");
  ASSERT_TRUE(va) << va.error().text;
  EXPECT_EQ(va->name, "va");
  EXPECT_EQ(va->mtu, 1400U);
  EXPECT_EQ(va->mac.to_string(), "02:00:00:00:00:0a");
  EXPECT_EQ(va->kind, "veth");
  EXPECT_EQ(va->rx_queues, 3U);
  EXPECT_FALSE(va->admin_up);
  EXPECT_FALSE(va->lower_up);
  EXPECT_EQ(va->master, 0);

  const auto same = nl_->link(va->index);
  ASSERT_TRUE(same) << same.error().text;
  EXPECT_EQ(*same, *va);
  const auto all = nl_->links();
  ASSERT_TRUE(all) << all.error().text;
  EXPECT_EQ(all->size(), 3U);  // lo, va, vb
  EXPECT_NE(std::find(all->begin(), all->end(), *va), all->end());
}

TEST_F(NetlinkTest, ChangesAndRemovesALink) {
  test::veth("va", "vb");
  sh("ip link add br0 type bridge && ip link set va master br0");
  auto va = nl_->link("va");
  ASSERT_TRUE(va) << va.error().text;
  EXPECT_TRUE(va->admin_up);
  EXPECT_TRUE(va->lower_up);
  EXPECT_EQ(va->master, nl_->link("br0")->index);

  EXPECT_TRUE(nl_->set_up(nl_->link("vb")->index, false));
  EXPECT_TRUE(nl_->set_mtu(va->index, 9000));
  EXPECT_TRUE(nl_->set_mac(va->index, *MacAddr::parse("02:00:00:00:00:99")));
  va = nl_->link("va");
  EXPECT_TRUE(va->admin_up);
  EXPECT_FALSE(va->lower_up);  // its peer is down
  EXPECT_EQ(va->mtu, 9000U);
  EXPECT_EQ(va->mac.to_string(), "02:00:00:00:00:99");

  EXPECT_TRUE(nl_->remove_link(va->index));
  EXPECT_EQ(nl_->link("va").error().code, Errc::not_found);
}

TEST_F(NetlinkTest, ErrorNamesTheMissingDevice) {
  EXPECT_EQ(nl_->link("nope").error().code, Errc::not_found);
  EXPECT_NE(nl_->link("nope").error().text.find("\"nope\""), std::string::npos);
  EXPECT_EQ(nl_->link("").error().code, Errc::not_found);
  EXPECT_EQ(nl_->link("a-name-that-is-far-too-long-for-a-device").error().code, Errc::not_found);
  for (const int index : {-1, 0, 4711}) {
    EXPECT_EQ(nl_->link(index).error().code, Errc::not_found) << index;
    EXPECT_EQ(nl_->statistics(index).error().code, Errc::not_found) << index;
    EXPECT_EQ(nl_->remove_link(index).error().code, Errc::not_found) << index;
  }
  EXPECT_EQ(nl_->set_up(4711, true).error().code, Errc::not_found);
  EXPECT_EQ(nl_->set_mtu(4711, 1500).error().code, Errc::not_found);
  const auto refused = nl_->set_mtu(nl_->link("lo")->index, 0xffffffffU);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::invalid) << refused.error().text;
  EXPECT_TRUE(nl_->link("lo"));  // the socket stays usable
}

TEST_F(NetlinkTest, ListsAddresses) {
  test::veth("va", "vb");
  sh("ip addr add 192.0.2.1/24 dev va && ip addr add 198.51.100.1 peer 198.51.100.2/32 dev va"
     " && ip addr add 2001:db8::1/64 dev va nodad && ip addr add 2001:db8::2/64 dev vb");
  const int va = nl_->link("va")->index;
  const auto all = nl_->addresses();
  ASSERT_TRUE(all) << all.error().text;
  const auto find = [&](const char* a) {
    const auto i = std::find_if(all->begin(), all->end(), [&](const Address& x) { return x.addr == ip(a); });
    return i == all->end() ? Address{} : *i;
  };
  EXPECT_EQ(find("192.0.2.1"), (Address{va, ip("192.0.2.1"), 24, false}));
  EXPECT_EQ(find("198.51.100.1").ifindex, va);  // the local address, not the peer's
  EXPECT_EQ(find("198.51.100.2").ifindex, 0);
  EXPECT_EQ(find("2001:db8::1"), (Address{va, ip("2001:db8::1"), 64, false}));
  EXPECT_TRUE(find("2001:db8::2").tentative);  // duplicate address detection takes a second
  EXPECT_EQ(find("127.0.0.1").prefix, 8U);
}

TEST_F(NetlinkTest, LooksUpRoutes) {
  test::veth("va", "vb", 1550);
  sh("ip addr add 192.0.2.1/24 dev va && ip addr add 192.0.2.9/24 dev va"
     " && ip route add 203.0.113.0/24 via 192.0.2.2"
     " && ip route add 203.0.113.128/25 via 192.0.2.3 mtu 1280 src 192.0.2.9"
     " && ip route add unreachable 198.18.0.0/24 && ip route add blackhole 198.18.1.0/24"
     " && ip route add prohibit 198.18.2.0/24"
     " && ip addr add 2001:db8::1/64 dev va nodad && ip -6 route add 2001:db8:f::/48 via 2001:db8::2"
     " && ip -6 route add blackhole 2001:db8:e::/48");
  await_address("2001:db8::1");
  const int va = nl_->link("va")->index;
  struct Case {
    const char* dst;
    const char* gateway;
    const char* source;
    unsigned mtu;
  };
  for (const Case& c : {Case{"192.0.2.7", nullptr, "192.0.2.1", 1550},
                        {"203.0.113.1", "192.0.2.2", "192.0.2.1", 1550},
                        {"203.0.113.200", "192.0.2.3", "192.0.2.9", 1280},
                        {"2001:db8::7", nullptr, "2001:db8::1", 1550},
                        {"2001:db8:f::1", "2001:db8::2", "2001:db8::1", 1550}}) {
    const auto r = nl_->route(ip(c.dst), std::nullopt);
    ASSERT_TRUE(r) << c.dst << ": " << r.error().text;
    EXPECT_EQ(r->ifindex, va) << c.dst;
    EXPECT_EQ(r->gateway, c.gateway ? std::optional(ip(c.gateway)) : std::nullopt) << c.dst;
    EXPECT_EQ(r->source, ip(c.source)) << c.dst << " from " << r->source.to_string();
    EXPECT_EQ(r->mtu, c.mtu) << c.dst;
    EXPECT_FALSE(r->local || r->unreachable) << c.dst;
  }
  EXPECT_EQ(nl_->route(ip("203.0.113.1"), ip("192.0.2.9"))->source, ip("192.0.2.9"));
  EXPECT_TRUE(nl_->route(ip("192.0.2.1"), std::nullopt)->local);
  EXPECT_TRUE(nl_->route(ip("2001:db8::1"), std::nullopt)->local);
  for (const char* dst : {"198.18.0.1", "198.18.1.1", "198.18.2.1", "198.19.0.1", "2001:db8:e::1", "2001:db9::1"}) {
    const auto r = nl_->route(ip(dst), std::nullopt);
    ASSERT_TRUE(r) << dst << ": " << r.error().text;
    EXPECT_TRUE(r->unreachable) << dst;
  }
}

TEST_F(NetlinkTest, TellsTheDevicesOfAllNextHops) {
  test::veth("va", "vb");
  test::veth("vc", "vd");
  sh("ip addr add 192.0.2.1/24 dev va && ip addr add 198.51.100.1/24 dev vc"
     " && ip addr add 2001:db8::1/64 dev va nodad && ip addr add 2001:db8:1::1/64 dev vc nodad"
     " && ip route add 203.0.113.0/24 nexthop via 198.51.100.2 dev vc nexthop via 192.0.2.2 dev va"
     " && ip -6 route add 2001:db8:f::/48 nexthop via 2001:db8::2 dev va nexthop via 2001:db8:1::2 dev vc"
     " && ip route add unreachable 198.18.0.0/24");
  await_address("2001:db8::1");
  await_address("2001:db8:1::1");
  const int va = nl_->link("va")->index;
  const int vc = nl_->link("vc")->index;
  const std::vector both{std::min(va, vc), std::max(va, vc)};
  const auto devices = [&](const char* dst) { return nl_->route_devices(ip(dst), std::nullopt).value(); };
  EXPECT_EQ(devices("192.0.2.7"), std::vector{va});
  EXPECT_EQ(devices("203.0.113.9"), both);
  EXPECT_EQ(nl_->route_devices(ip("203.0.113.9"), ip("192.0.2.1")).value(), both);
  EXPECT_EQ(devices("2001:db8:1::7"), std::vector{vc});
  EXPECT_EQ(devices("2001:db8:f::9"), both);
  EXPECT_TRUE(devices("198.18.0.1").empty());
  EXPECT_TRUE(devices("198.19.0.1").empty());
  EXPECT_TRUE(devices("2001:db9::1").empty());
  // As FRR makes them: a group of next hops, whose members the kernel may be told not to list.
  sh("ip nexthop add id 1 via 192.0.2.2 dev va && ip nexthop add id 2 via 198.51.100.2 dev vc"
     " && ip nexthop add id 3 group 1/2 && ip route add 203.0.114.0/24 nhid 3");
  EXPECT_EQ(devices("203.0.114.9"), both);
  sh("echo 0 > /proc/sys/net/ipv4/nexthop_compat_mode");
  EXPECT_TRUE(devices("203.0.114.9").empty());
}

TEST_F(NetlinkTest, RefusesImpossibleRouteLookups) {
  test::veth("va", "vb");
  sh("ip addr add 192.0.2.1/24 dev va");
  EXPECT_EQ(nl_->route(ip("0.0.0.0"), std::nullopt).error().code, Errc::invalid);
  EXPECT_EQ(nl_->route(ip("192.0.2.2"), ip("2001:db8::1")).error().code, Errc::invalid);
  const auto foreign = nl_->route(ip("192.0.2.2"), ip("192.0.2.77"));
  ASSERT_FALSE(foreign);
  EXPECT_EQ(foreign.error().code, Errc::invalid);
  EXPECT_NE(foreign.error().text.find("192.0.2.77"), std::string::npos);
  EXPECT_EQ(nl_->route(ip("192.0.2.2"), std::nullopt, 4711).error().code, Errc::not_found);
}

TEST_F(NetlinkTest, ReadsAGatewayOfTheOtherFamily) {
  test::veth("va", "vb");
  sh("ip addr add 192.0.2.1/24 dev va && ip addr add 2001:db8::1/64 dev va nodad"
     " && ip route add 203.0.113.0/24 via inet6 2001:db8::2");
  EXPECT_EQ(nl_->route(ip("203.0.113.1"), std::nullopt)->gateway, ip("2001:db8::2"));
}

TEST_F(NetlinkTest, ReadsANeighbourOrItsAbsence) {
  test::veth("va", "vb");
  sh("ip addr add 192.0.2.1/24 dev va && ip neigh add 192.0.2.5 lladdr 02:00:00:00:00:05 dev va");
  const int va = nl_->link("va")->index;
  const auto known = nl_->neighbour(va, ip("192.0.2.5"));
  ASSERT_TRUE(known && *known);
  EXPECT_EQ(**known,
            (Neighbour{va, ip("192.0.2.5"), MacAddr::parse("02:00:00:00:00:05"), Neighbour::State::permanent}));
  const auto unknown = nl_->neighbour(va, ip("192.0.2.6"));
  ASSERT_TRUE(unknown) << unknown.error().text;
  EXPECT_FALSE(*unknown);
  EXPECT_EQ(nl_->neighbour(4711, ip("192.0.2.5")).error().code, Errc::not_found);
  EXPECT_EQ(nl_->use_neighbour(4711, ip("192.0.2.5")).error().code, Errc::not_found);
}

TEST_F(NetlinkTest, EthtoolReadsDriverSpeedAndQueues) {
  sh("ip link add va numrxqueues 4 numtxqueues 4 type veth peer name vb numrxqueues 4 numtxqueues 4"
     " && ip link set va up && ip link set vb up");
  const auto info = ethtool_info("va");
  ASSERT_TRUE(info) << info.error().text;
  EXPECT_EQ(info->driver, "veth");
  EXPECT_EQ(info->speed_bps, 10'000'000'000U);
  EXPECT_TRUE(info->full_duplex);
  EXPECT_EQ(info->rx_queues, 4U);
  sh("ip tuntap add dev tp mode tap && ip link set tp up");
  EXPECT_EQ(ethtool_info("tp")->driver, "tun");
  EXPECT_EQ(ethtool_info("tp")->rx_queues, 1U);
  EXPECT_EQ(ethtool_info("nope").error().code, Errc::not_found);
  EXPECT_EQ(ethtool_info("../lo").error().code, Errc::not_found);
}

}  // namespace
}  // namespace heddle::netlink
