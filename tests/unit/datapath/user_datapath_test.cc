// SPDX-License-Identifier: Apache-2.0
// The user-space datapath on a real kernel: devices that come, go and come again, packet memory shared by sockets in
// any order of their lives, tunnels' UDP ports, the internal port. Everything happens in a namespace of the test's own.
#include "datapath/user/user_datapath.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <linux/if_ether.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <filesystem>
#include <iostream>
#include <map>

#include "datapath/user/xsk.h"
#include "tests/unit/datapath/user_fixture.h"

namespace heddle::dp {
namespace {

using namespace test;

TEST_F(UserDatapathTest, MissingDeviceIsTakenUpWhenItAppearsAndAgainWhenItComesBack) {
  heddle::test::veth("b0", "b1");
  const PortNo b = add("b0");
  const PortNo a = add("a0");
  EXPECT_FALSE(dp_->ports().state(a).present);
  EXPECT_NE(dp_->ports().state(a).error.find("a0"), std::string::npos) << dp_->ports().state(a).error;
  EXPECT_NE(dp_->ports().state(a).error.find("appears"), std::string::npos) << dp_->ports().state(a).error;
  for (int round = 0; round < 2; ++round) {
    heddle::test::veth("a0", "a1");
    ASSERT_TRUE(comes_up(a)) << dp_->ports().state(a).error;
    ASSERT_TRUE(comes_up(b));
    EXPECT_GT(changes_[a], 0);
    EXPECT_EQ(dp_->ports().state(a).ifindex, static_cast<int>(if_nametoindex("a0")));
    EXPECT_TRUE(dp_->ports().state(a).error.empty());
    reach("a1", {"b1"});
    reach("b1", {"a1"});
    sh("ip link del a0");
    ASSERT_TRUE(settles([&] { return !dp_->ports().state(a).present; }));
    EXPECT_NE(dp_->ports().state(a).error.find("gone"), std::string::npos) << dp_->ports().state(a).error;
  }
}

TEST_F(UserDatapathTest, ANameIsOnePort) {
  const PortNo a = add("a0");
  PortSpec spec;
  spec.name = "a0";
  EXPECT_EQ(add_port(spec), a) << "the same port once more";
  spec.kind = PortKind::tap;
  const auto again = add_port(spec);
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, Errc::exists);
  EXPECT_NE(again.error().text.find("a0"), std::string::npos);
  EXPECT_EQ(dp_->ports().remove(static_cast<PortNo>(777)).error().code, Errc::not_found);
}

TEST_F(UserDatapathTest, BridgesAreNumberedAndTakeTheirEntriesWithThem) {
  EXPECT_EQ(dp_->bridges().add("br").error().code, Errc::exists);
  EXPECT_EQ(dp_->bridges().add("b1"), static_cast<BridgeId>(1));
  const PortNo a = add("a0");
  const FdbKey stays{static_cast<BridgeId>(0), 0, MacAddr::from_u64(0x020000000001ULL)};
  const FdbKey goes{static_cast<BridgeId>(1), 0, stays.mac};
  for (const FdbKey& key : {stays, goes}) ASSERT_TRUE(dp_->stations().put(key, {a, std::nullopt}));
  dp_->bridges().remove(static_cast<BridgeId>(1));
  std::array<FdbUse, 2> use{FdbUse{stays}, FdbUse{goes}};
  dp_->stations().usage(use);
  EXPECT_NE(use[0].idle_seconds, UINT32_MAX);
  EXPECT_EQ(use[1].idle_seconds, UINT32_MAX);
  for (std::size_t n = 1; n < limits::kBridges; ++n) ASSERT_TRUE(dp_->bridges().add("x" + std::to_string(n)));
  EXPECT_EQ(dp_->bridges().add("full").error().code, Errc::limit);
  dp_->bridges().remove(static_cast<BridgeId>(7));
  EXPECT_EQ(dp_->bridges().add("again"), static_cast<BridgeId>(7));
}

// The first socket registered the memory that all share; its end must not be theirs.
TEST_F(UserDatapathTest, SocketsShareMemoryInAnyOrderOfTheirLives) {
  std::map<std::string, PortNo> ports;
  for (const std::string name : {"a", "b", "c"}) {
    heddle::test::veth(name + "0", name + "1");
    ports[name] = add(name + "0");
  }
  for (const auto& [name, no] : ports) ASSERT_TRUE(comes_up(no)) << dp_->ports().state(no).error;
  reach("a1", {"b1", "c1"});
  for (int round = 0; round < 3; ++round) {
    for (const auto& [gone, others] : std::map<std::string, std::vector<std::string>>{
             {"a", {"b1", "c1"}}, {"b", {"a1", "c1"}}, {"c", {"a1", "b1"}}}) {
      ASSERT_TRUE(dp_->ports().remove(ports[gone]));
      reach(others[0], {others[1]});
      ports[gone] = add(gone + "0");
      ASSERT_TRUE(comes_up(ports[gone])) << dp_->ports().state(ports[gone]).error;
      reach(gone + "1", others);
      reach(others[0], {others[1], gone + "1"});
    }
  }
}

// Nobody tells when an AF_XDP queue is free again.
TEST_F(UserDatapathTest, DeviceThatAnotherHoldsIsTakenOverLater) {
  heddle::test::veth("a0", "a1");
  auto memory = FramePool::create(4096);
  ASSERT_TRUE(memory) << memory.error().text;
  XskFactory other(**memory);
  auto holder = other.open({static_cast<int>(if_nametoindex("a0")), 0, "a0", 1500}, 64);
  ASSERT_TRUE(holder) << holder.error().text;
  // The news of the device's making would bring another try by themselves.
  ASSERT_TRUE(settles([&] {
    pollfd news{dp_->control_fd(), POLLIN, 0};
    return poll(&news, 1, 0) == 0;
  }));
  const PortNo a = add("a0");
  EXPECT_FALSE(dp_->ports().state(a).present);
  EXPECT_NE(dp_->ports().state(a).error.find("a0 queue 0: another socket has it"), std::string::npos)
      << dp_->ports().state(a).error;
  holder->reset();
  EXPECT_TRUE(comes_up(a)) << dp_->ports().state(a).error;
  EXPECT_EQ(dp_->ports().state(a).error, "");
}

// More ports than may share the packet memory.
TEST_F(UserDatapathTest, LaterSocketsHaveMemoryOfTheirOwn) {
  constexpr unsigned kPorts = XskFactory::kSharers + 2;
  std::vector<PortNo> ports;
  for (unsigned i = 0; i < kPorts; ++i) {
    heddle::test::veth("n" + std::to_string(i), "f" + std::to_string(i));
    ports.push_back(add("n" + std::to_string(i)));
    ASSERT_TRUE(comes_up(ports.back())) << dp_->ports().state(ports.back()).error;
  }
  const auto detail = [&](PortNo no, const std::string& name) {
    for (const auto& [key, value] : dp_->ports().state(no).details)
      if (key == name) return value;
    return std::string("not told");
  };
  const auto memory = [&](PortNo no) { return detail(no, "packet_memory"); };
  for (unsigned i = 0; i < kPorts; ++i)
    EXPECT_EQ(memory(ports[i]), i < XskFactory::kSharers ? "shared" : "own") << "port " << i;
  const std::string own = "f" + std::to_string(kPorts - 2);
  const std::string also_own = "f" + std::to_string(kPorts - 1);
  // Longer than any ring of theirs, so that each buffer is used again and again.
  for (int round = 0; round < 200; ++round) {
    reach("f0", {own, "f1"});
    reach(own, {"f0", also_own});
    if (HasFailure()) return;
  }
  reach("f0", {own, "f1"}, 1500);
  reach(own, {"f0", also_own}, 1500);
  // Longer than their buffers, which are for the MTU of then.
  if (detail(ports.back(), "multi_buffer") == "true") {
    for (unsigned i : {0U, 1U, kPorts - 2, kPorts - 1}) {
      for (const char* side : {"n", "f"}) sh("ip link set " + (side + std::to_string(i)) + " mtu 9000");
      ASSERT_TRUE(settles([&] { return dp_->ports().state(ports[i]).mtu == 9000; }));
    }
    // Each size that ends near the end of a buffer, of one to receive and of one to send.
    for (const std::size_t data : {std::size_t{1792}, std::size_t{2 * 1792}, std::size_t{1984}, std::size_t{2 * 1984}})
      for (int more = -1; more <= 1; ++more) {
        reach("f0", {own, also_own}, data + static_cast<std::size_t>(more) - ETH_HLEN);
        reach(own, {"f0", also_own}, data + static_cast<std::size_t>(more) - ETH_HLEN);
        if (HasFailure()) return;
      }
    for (int round = 0; round < 16; ++round) {
      reach("f0", {own, "f1"}, 9000);
      reach(own, {"f0", also_own}, 9000);
      if (HasFailure()) return;
    }
  } else {
    std::cout << "frames longer than a buffer: not tried, this kernel has no AF_XDP multi-buffer\n";
  }
  ASSERT_TRUE(dp_->ports().remove(ports[0]));
  ASSERT_TRUE(dp_->ports().remove(ports[kPorts - 2]));
  ports[0] = add("n" + std::to_string(kPorts - 2));
  ASSERT_TRUE(comes_up(ports[0])) << dp_->ports().state(ports[0]).error;
  EXPECT_EQ(memory(ports[0]), "shared");
  reach(own, {"f1", also_own});
  reach(also_own, {"f1", own});
}

// Its socket is still being closed when it is wanted again.
TEST_F(UserDatapathTest, DeviceWithMemoryOfItsOwnComesBackAtOnce) {
  std::vector<PortNo> ports;
  for (unsigned i = 0; i < XskFactory::kSharers + 4; ++i) {
    heddle::test::veth("n" + std::to_string(i), "f" + std::to_string(i));
    ports.push_back(add("n" + std::to_string(i)));
  }
  for (const PortNo no : ports) ASSERT_TRUE(comes_up(no)) << dp_->ports().state(no).error;
  for (int round = 0; round < 3; ++round) {
    for (std::size_t i = XskFactory::kSharers; i < ports.size(); ++i) ASSERT_TRUE(dp_->ports().remove(ports[i]));
    reach("f0", {"f1"});
    {
      const Ports::Batch batch(dp_->ports());
      for (std::size_t i = XskFactory::kSharers; i < ports.size(); ++i) ports[i] = add("n" + std::to_string(i));
    }
    for (std::size_t i = XskFactory::kSharers; i < ports.size(); ++i)
      ASSERT_TRUE(comes_up(ports[i])) << dp_->ports().state(ports[i]).error;
    reach("f" + std::to_string(XskFactory::kSharers), {"f0", "f" + std::to_string(XskFactory::kSharers + 1)});
  }
}

// A host may have all its bridges in another datapath.
TEST_F(UserDatapathTest, WorkersStartWithTheFirstBridge) {
  const auto threads = [] {
    return std::distance(std::filesystem::directory_iterator("/proc/self/task"), std::filesystem::directory_iterator());
  };
  const auto before = threads();
  auto made = make_user_datapath({.workers = 3, .frames = 16384});
  ASSERT_TRUE(made) << made.error().text;
  EXPECT_EQ(threads(), before);
  (*made)->run_control([](PortNo) {});
  EXPECT_TRUE((*made)->bridges().add("first"));
  EXPECT_EQ(threads(), before + 3);
  EXPECT_TRUE((*made)->bridges().add("second"));
  EXPECT_EQ(threads(), before + 3);
  EXPECT_EQ(make_user_datapath({.workers = 0}).error().code, Errc::invalid);
  EXPECT_EQ(make_user_datapath({.workers = 1, .frames = 10}).error().code, Errc::invalid);
}

TEST_F(UserDatapathTest, LearnsAndSendsToOnePortOnly) {
  std::map<std::string, PortNo> ports;
  for (const std::string name : {"a", "b", "c"}) {
    heddle::test::veth(name + "0", name + "1");
    ports[name] = add(name + "0");
  }
  for (const auto& [name, no] : ports) ASSERT_TRUE(comes_up(no));
  const Station a("a1");
  const Station b("b1");
  const Station c("c1");
  b.send(hello(1, 2, 1));
  ASSERT_TRUE(a.awaits(hello(1, 2, 1)));
  ASSERT_TRUE(c.awaits(hello(1, 2, 1)));
  std::vector<LearnEvent> events(64);
  const FdbKey key{static_cast<BridgeId>(0), 0, MacAddr::from_u64(0x020000000002ULL)};
  bool seen = false;
  ASSERT_TRUE(settles([&] {
    const std::size_t n = dp_->stations().poll(events);
    for (std::size_t i = 0; i < n; ++i)
      seen |= events[i].key == key && events[i].target == FdbTarget{ports["b"], std::nullopt};
    return seen;
  }));
  ASSERT_TRUE(dp_->stations().put(key, {ports["b"], std::nullopt}));
  a.send(hello(2, 1, 2));
  ASSERT_TRUE(b.awaits(hello(2, 1, 2)));
  a.send(hello(99, 1, 3));  // to all
  ASSERT_TRUE(c.awaits(hello(99, 1, 3), hello(2, 1, 2)));
  ASSERT_TRUE(dp_->ports().remove(ports["b"]));
  FdbUse use{key};
  dp_->stations().usage({&use, 1});
  EXPECT_EQ(use.idle_seconds, UINT32_MAX) << "the port is gone, its entry is not";
  EXPECT_EQ(dp_->stations().put(key, {ports["b"], std::nullopt}).error().code, Errc::not_found);
}

TEST_F(UserDatapathTest, TunnelWhoseUdpPortIsTaken) {
  Fd taken(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_port = htons(4789);
  ASSERT_EQ(bind(taken.get(), reinterpret_cast<const sockaddr*>(&at), sizeof at), 0);
  PortSpec spec;
  spec.name = "vx10";
  spec.kind = PortKind::vxlan;
  spec.tunnel.remote = IpAddr::parse("192.0.2.2");
  spec.tunnel.vxlan().vni = 10;
  const auto refused = add_port(spec);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::exists);
  EXPECT_NE(refused.error().text.find("4789"), std::string::npos) << refused.error().text;
  EXPECT_NE(refused.error().text.find("dst_port"), std::string::npos) << "no remedy: " << refused.error().text;
  taken.reset();
  const auto no = add_port(spec);
  ASSERT_TRUE(no) << no.error().text;
  EXPECT_FALSE(dp_->ports().state(*no).present);
  EXPECT_NE(dp_->ports().state(*no).error.find("192.0.2.2"), std::string::npos) << dp_->ports().state(*no).error;

  // Then there is a route, and it is taken up.
  heddle::test::veth("u0", "u1");
  sh("ip addr add 192.0.2.1/24 dev u0");
  ASSERT_TRUE(settles([&] { return dp_->ports().state(*no).present; })) << dp_->ports().state(*no).error;
  EXPECT_EQ(dp_->ports().state(*no).mtu, 1450U);
  ASSERT_TRUE(dp_->ports().remove(*no));
  taken.reset(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  EXPECT_EQ(bind(taken.get(), reinterpret_cast<const sockaddr*>(&at), sizeof at), 0)
      << "the UDP port is not given back";
}

TEST_F(UserDatapathTest, InternalPortOutlivesTheDatapathUntilItIsRemoved) {
  const PortNo first = add("br0", PortKind::internal);
  ASSERT_TRUE(dp_->ports().state(first).present) << dp_->ports().state(first).error;
  sh("ip addr add 198.51.100.1/24 dev br0");
  const unsigned index = if_nametoindex("br0");
  open();
  EXPECT_EQ(if_nametoindex("br0"), index);
  const PortNo second = add("br0", PortKind::internal);
  ASSERT_TRUE(comes_up(second)) << dp_->ports().state(second).error;
  EXPECT_EQ(dp_->ports().state(second).ifindex, static_cast<int>(index));
  sh("ip addr show dev br0 | grep -q 198.51.100.1/24");
  heddle::test::veth("a0", "a1");
  ASSERT_TRUE(comes_up(add("a0")));
  reach("a1", {"br0"});
  ASSERT_TRUE(dp_->ports().remove(second));
  EXPECT_EQ(if_nametoindex("br0"), 0U);
}

TEST_F(UserDatapathTest, WhatOutlivesItIsMarkedAndCleanedUp) {
  add("br0", PortKind::internal);
  sh("ip link show dev br0 | grep -q 'alias test:owner'");
  sh("ip link set dev br0 alias ''");
  open();
  add("br0", PortKind::internal);
  sh("ip link show dev br0 | grep -q 'alias test:owner'");
  add("tap0", PortKind::tap);
  dp_->clean_up();
  EXPECT_EQ(if_nametoindex("br0"), 0U);
  EXPECT_EQ(if_nametoindex("tap0"), 0U);
}

// Another datapath of the same owner made the bridge's device, as one of another kind.
TEST_F(UserDatapathTest, DeviceThatAnotherDatapathLeftGivesWay) {
  heddle::test::veth("br0", "x0");
  heddle::test::veth("br1", "x1");
  sh("ip link set dev br0 alias test:owner");
  sh("ip link set dev br1 alias test:another");
  EXPECT_TRUE(comes_up(add("br0", PortKind::internal)));
  EXPECT_EQ(dp_->ports().state(add("br1", PortKind::internal)).error,
            "a network device br1 exists and is not a tap: remove or rename it");
}

TEST_F(UserDatapathTest, DeviceOfAnotherBridgeIsRefusedWithARemedy) {
  heddle::test::veth("a0", "a1");
  sh("ip link add other type bridge && ip link set a0 master other");
  const PortNo a = add("a0");
  const std::string error = dp_->ports().state(a).error;
  EXPECT_NE(error.find("other"), std::string::npos) << error;
  EXPECT_NE(error.find("nomaster"), std::string::npos) << error;
  sh("ip link set a0 nomaster");
  EXPECT_TRUE(comes_up(a)) << dp_->ports().state(a).error;
}

}  // namespace
}  // namespace heddle::dp
