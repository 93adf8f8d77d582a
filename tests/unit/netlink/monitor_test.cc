// SPDX-License-Identifier: Apache-2.0
#include "netlink/monitor.h"

#include <gtest/gtest.h>
#include <netpacket/packet.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <vector>

#include "netlink/netlink.h"
#include "tests/support/netns.h"

namespace heddle::netlink {
namespace {

using test::await_address;
using test::sh;
using Kind = Monitor::Event::Kind;

IpAddr ip(const char* text) { return IpAddr::parse(text).value(); }

class MonitorTest : public ::testing::Test {
 protected:
  void SetUp() override {
    HEDDLE_NEEDS_NETNS();
    netns_ = std::make_unique<test::PrivateNetns>();
    auto nl = Netlink::open();
    ASSERT_TRUE(nl) << nl.error().text;
    nl_ = std::move(*nl);
  }

  void watch(int buffer = limits::kNetlinkBuffer) {
    auto opened = Monitor::open(buffer);
    ASSERT_TRUE(opened) << opened.error().text;
    monitor_ = std::move(*opened);
  }

  [[nodiscard]] bool readable(int wait_ms) const {
    pollfd p{monitor_->fd(), POLLIN, 0};
    return ::poll(&p, 1, wait_ms) == 1;
  }

  // Collects events into seen_ until `want` accepts one; false after five seconds.
  template <typename F>
  bool await(F want) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(5);
    bool found = false;
    while (!found && std::chrono::steady_clock::now() < end) {
      if (!readable(100)) continue;
      monitor_->drain([&](const Monitor::Event& e) {
        seen_.push_back(e);
        found = found || want(e);
      });
    }
    return found;
  }

  [[nodiscard]] std::size_t seen(Kind kind) const {
    return static_cast<std::size_t>(
        std::count_if(seen_.begin(), seen_.end(), [&](const auto& e) { return e.kind == kind; }));
  }

  std::unique_ptr<test::PrivateNetns> netns_;
  std::unique_ptr<Netlink> nl_;
  std::unique_ptr<Monitor> monitor_;
  std::vector<Monitor::Event> seen_;
};

TEST_F(MonitorTest, ReportsAddedChangedAndRemovedLinks) {
  watch();
  EXPECT_FALSE(readable(0));
  test::veth("va", "vb");
  EXPECT_TRUE(await([](const auto& e) { return e.kind == Kind::link_new && e.link.name == "va" && e.link.lower_up; }));
  const int va = nl_->link("va")->index;
  ASSERT_TRUE(nl_->set_mtu(va, 1400));
  EXPECT_TRUE(await([&](const auto& e) { return e.kind == Kind::link_new && e.ifindex == va && e.link.mtu == 1400; }));
  sh("ip addr add 192.0.2.1/24 dev va");
  EXPECT_TRUE(await([&](const auto& e) { return e.kind == Kind::address && e.ifindex == va; }));
  ASSERT_TRUE(nl_->remove_link(va));
  EXPECT_TRUE(await([&](const auto& e) { return e.kind == Kind::link_gone && e.link.name == "va"; }));
  EXPECT_EQ(seen(Kind::overrun), 0U);
}

TEST_F(MonitorTest, LeavingABridgeIsNoRemoval) {
  test::veth("va", "vb");
  sh("ip link add br0 type bridge && ip link set va master br0");
  watch();
  sh("ip link set va nomaster");
  EXPECT_TRUE(
      await([](const auto& e) { return e.kind == Kind::link_new && e.link.name == "va" && e.link.master == 0; }));
  EXPECT_EQ(seen(Kind::link_gone), 0U);
}

TEST_F(MonitorTest, ReportsPromiscuityAndAlias) {
  test::veth("va", "vb");
  const int va = nl_->link("va")->index;
  watch();
  const auto listeners = [&](unsigned n) {
    return await([&](const auto& e) { return e.kind == Kind::link_new && e.ifindex == va && e.link.promiscuity == n; });
  };
  const auto listen = [&] {  // as tcpdump does
    Fd fd(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));
    packet_mreq all{};
    all.mr_ifindex = va;
    all.mr_type = PACKET_MR_PROMISC;
    EXPECT_EQ(::setsockopt(fd.get(), SOL_PACKET, PACKET_ADD_MEMBERSHIP, &all, sizeof all), 0) << std::strerror(errno);
    return fd;
  };
  EXPECT_EQ(nl_->link(va)->promiscuity, 0U);
  Fd one = listen();
  EXPECT_TRUE(listeners(1));
  Fd two = listen();
  EXPECT_TRUE(listeners(2));
  two.reset();
  EXPECT_TRUE(listeners(1));
  one.reset();
  EXPECT_TRUE(listeners(0));
  ASSERT_TRUE(nl_->set_alias(va, "port vm1"));
  EXPECT_TRUE(await([&](const auto& e) { return e.ifindex == va && e.link.alias == "port vm1"; }));
}

TEST_F(MonitorTest, UseNeighbourResolvesTheAddress) {
  const test::Netns far;
  test::veth("va", far, "vb");
  sh("ip addr add 192.0.2.1/24 dev va && ip addr add 2001:db8::1/64 dev va nodad");
  await_address("2001:db8::1");
  far.in([] {
    sh("ip link set vb address 02:00:00:00:00:0b && ip addr add 192.0.2.2/24 dev vb"
       " && ip addr add 2001:db8::2/64 dev vb nodad");
    await_address("2001:db8::2");
  });
  const int va = nl_->link("va")->index;
  watch();
  for (const char* addr : {"192.0.2.2", "2001:db8::2"}) {
    const auto asked = nl_->use_neighbour(va, ip(addr));
    ASSERT_TRUE(asked) << asked.error().text;
    EXPECT_TRUE(await([&](const auto& e) {
      return e.kind == Kind::neighbour && e.ifindex == va && e.neighbour.addr == ip(addr) &&
             e.neighbour.state == Neighbour::State::reachable && e.neighbour.mac == MacAddr::parse("02:00:00:00:00:0b");
    })) << addr;
    EXPECT_EQ((*nl_->neighbour(va, ip(addr)))->mac, MacAddr::parse("02:00:00:00:00:0b"));
  }
  // A second call for an existing entry: no error, the entry stays.
  EXPECT_TRUE(nl_->use_neighbour(va, ip("192.0.2.2")));
  sh("ip neigh del 192.0.2.2 dev va");
  EXPECT_TRUE(await([&](const auto& e) {
    return e.kind == Kind::neighbour && e.neighbour.addr == ip("192.0.2.2") &&
           (e.neighbour.state == Neighbour::State::none || e.neighbour.state == Neighbour::State::failed);
  }));
}

TEST_F(MonitorTest, ReportsANeighbourThatDoesNotReply) {
  test::veth("va", "vb");
  sh("ip addr add 192.0.2.1/24 dev va && echo 1 > /proc/sys/net/ipv4/neigh/va/mcast_solicit"
     " && echo 50 > /proc/sys/net/ipv4/neigh/va/retrans_time_ms");
  const int va = nl_->link("va")->index;
  watch();
  ASSERT_TRUE(nl_->use_neighbour(va, ip("192.0.2.66")));
  EXPECT_TRUE(await([&](const auto& e) {
    return e.kind == Kind::neighbour && e.neighbour.addr == ip("192.0.2.66") &&
           e.neighbour.state == Neighbour::State::failed;
  }));
}

// Adds `count` routes with one command.
void many_routes(int count) {
  const std::string file = "/tmp/heddle-routes-" + std::to_string(::getpid());
  std::ofstream out(file);
  for (int i = 0; i < count; ++i)
    out << "route add 10." << i / 65536 << '.' << i / 256 % 256 << '.' << i % 256 << "/32 via 192.0.2.2\n";
  out.close();
  sh("ip -batch " + file);
  std::remove(file.c_str());
}

TEST_F(MonitorTest, ManyRoutesAreOneEventAndDisplaceNoOther) {
  test::veth("va", "vb");
  sh("ip addr add 192.0.2.1/24 dev va");
  watch(65536);
  many_routes(5000);
  sh("ip link set vb mtu 1280");
  ASSERT_TRUE(readable(0));
  monitor_->drain([&](const Monitor::Event& e) { seen_.push_back(e); });
  EXPECT_EQ(seen(Kind::route), 1U);
  EXPECT_EQ(seen(Kind::overrun), 0U);
  EXPECT_GE(seen(Kind::link_new), 1U);
  EXPECT_EQ(seen_.back().kind, Kind::route);
  EXPECT_FALSE(readable(0));
  sh("ip route add 203.0.113.0/24 via 192.0.2.2");
  EXPECT_TRUE(await([](const auto& e) { return e.kind == Kind::route; }));  // the next change is reported too
}

TEST_F(MonitorTest, ALossIsReportedOnceAndLaterEventsFollow) {
  test::veth("va", "vb");
  watch(4096);
  const int va = nl_->link("va")->index;
  for (unsigned i = 0; i < 200; ++i) ASSERT_TRUE(nl_->set_mtu(va, 1300 + i));
  ASSERT_TRUE(readable(0));
  monitor_->drain([&](const Monitor::Event& e) { seen_.push_back(e); });
  ASSERT_FALSE(seen_.empty());
  EXPECT_EQ(seen(Kind::overrun), 1U);
  // The event for routes that the kernel itself added meanwhile comes last.
  const auto last = std::find_if(seen_.rbegin(), seen_.rend(), [](const auto& e) { return e.kind != Kind::route; });
  EXPECT_EQ(last->kind, Kind::overrun);
  EXPECT_EQ(monitor_->overruns(), 1U);
  EXPECT_FALSE(readable(0));
  ASSERT_TRUE(nl_->set_mtu(va, 1280));
  EXPECT_TRUE(await([](const auto& e) { return e.kind == Kind::link_new && e.link.mtu == 1280; }));
  EXPECT_EQ(seen(Kind::overrun), 1U);
}

}  // namespace
}  // namespace heddle::netlink
