// SPDX-License-Identifier: Apache-2.0
// Patch ports, bridge policies, policing and QoS as they are configured in the user-space datapath, on real devices.
// What they do to a frame in every case is held down in rules_test, patch_test and shaper_test.
#include <gtest/gtest.h>

#include <map>

#include "tests/unit/datapath/user_fixture.h"

namespace heddle::dp {
namespace {

using namespace test;

class UserFeatures : public UserDatapathTest {
 protected:
  PortNo veth_port(const std::string& name, unsigned bridge = 0) {
    heddle::test::veth(name + "0", name + "1");
    const PortNo no = add(name + "0");
    put_into(no, bridge);
    EXPECT_TRUE(comes_up(no)) << dp_->ports().state(no).error;
    return no;
  }
  void put_into(PortNo no, unsigned bridge) {
    PortPolicy policy;
    policy.bridge = static_cast<BridgeId>(bridge);
    ASSERT_TRUE(set_port(no, policy));
  }
  Result<PortNo> add_patch(const std::string& name, const std::string& peer) {
    PortSpec spec;
    spec.name = name;
    spec.kind = PortKind::patch;
    spec.peer = peer;
    return add_port(spec);
  }
  std::uint64_t dropped(PortNo no, Drop why) { return dp_->ports().counters(no).drops[static_cast<std::size_t>(why)]; }
};

TEST_F(UserFeatures, PatchPortsFindEachOther) {
  ASSERT_EQ(dp_->bridges().add("other"), static_cast<BridgeId>(1));
  veth_port("a");
  veth_port("b", 1);
  const PortNo near = add_patch("near", "far").value();
  EXPECT_TRUE(dp_->ports().state(near).present);
  EXPECT_TRUE(dp_->ports().state(near).admin_up);
  EXPECT_FALSE(dp_->ports().state(near).link_up);
  const auto stranger = add_patch("far", "elsewhere");
  ASSERT_TRUE(stranger);
  EXPECT_FALSE(dp_->ports().state(near).link_up) << "that one names another";
  ASSERT_TRUE(dp_->ports().remove(*stranger));
  for (int round = 0; round < 2; ++round) {
    changes_.clear();
    const PortNo far = add_patch("far", "near").value();
    put_into(near, 0);
    put_into(far, 1);
    EXPECT_TRUE(dp_->ports().state(far).link_up);
    EXPECT_TRUE(dp_->ports().state(near).link_up);
    EXPECT_EQ(dp_->ports().state(near).details, (std::vector<std::pair<std::string, std::string>>{{"peer", "far"}}));
    EXPECT_TRUE(settles([&] { return changes_.contains(near); })) << "nobody is told of the change";
    reach("a1", {"b1"});
    reach("b1", {"a1"});
    EXPECT_GT(dp_->ports().counters(near).tx_packets, 0U);
    EXPECT_EQ(dp_->ports().counters(near).tx_packets > 0, dp_->ports().counters(far).rx_packets > 0);
    changes_.clear();
    ASSERT_TRUE(dp_->ports().remove(far));
    EXPECT_FALSE(dp_->ports().state(near).link_up);
    EXPECT_TRUE(settles([&] { return changes_.contains(near); }));
  }
}

TEST_F(UserFeatures, PatchPortsThatCanNeverWork) {
  EXPECT_EQ(add_patch("p", "").error().code, Errc::invalid);
  EXPECT_EQ(add_patch("p", "p").error().code, Errc::invalid);
  // A device of a patch port's name is none of its business.
  const PortNo p = add_patch("a0", "b0").value();
  heddle::test::veth("a0", "a1");
  const PortNo c = add("c0");
  heddle::test::veth("c0", "c1");
  EXPECT_TRUE(comes_up(c));
  EXPECT_EQ(dp_->ports().state(p).ifindex, 0);
  EXPECT_TRUE(dp_->ports().state(p).error.empty());
}

TEST_F(UserFeatures, BridgePolicyComesAndGoes) {
  const PortNo a = veth_port("a");
  veth_port("b");
  const PortNo x = veth_port("x");
  const auto bridge = static_cast<BridgeId>(0);
  BridgePolicy policy;
  policy.mirrors[3].from = {a};
  policy.mirrors[3].output = x;
  ASSERT_TRUE(dp_->bridges().set(bridge, policy));
  reach("a1", {"b1", "x1"});
  const auto once = dp_->bridges().mirror_counters(bridge, 3);
  EXPECT_GT(once.tx_packets, 0U);
  EXPECT_GE(once.tx_bytes, 60 * once.tx_packets);
  EXPECT_EQ(dp_->bridges().mirror_counters(bridge, 2).tx_packets, 0U);
  Station("x1").send(hello(99, 3, 1));
  EXPECT_TRUE(settles([&] { return dropped(x, Drop::mirror_port) > 0; }));
  // Another column changes: the slot goes on counting. Another mirror: it begins anew.
  policy.flood_vlans.set(7);
  ASSERT_TRUE(dp_->bridges().set(bridge, policy));
  EXPECT_GE(dp_->bridges().mirror_counters(bridge, 3).tx_packets, once.tx_packets);
  policy.secure = true;
  policy.mirrors[3].vlans.set(4000);
  ASSERT_TRUE(dp_->bridges().set(bridge, policy));
  EXPECT_EQ(dp_->bridges().mirror_counters(bridge, 3).tx_packets, 0U);
  Station("a1").send(hello(99, 1, 1));
  EXPECT_TRUE(settles([&] { return dropped(a, Drop::fail_secure) > 0; }));
  ASSERT_TRUE(dp_->bridges().set(bridge, {}));
  EXPECT_EQ(dp_->bridges().mirror_counters(bridge, 3).tx_packets, 0U);
  reach("a1", {"b1", "x1"});
  reach("x1", {"a1"});
}

TEST_F(UserFeatures, BridgePolicyIsChecked) {
  BridgePolicy policy;
  policy.mirrors[limits::kMirrors] = {};
  EXPECT_EQ(dp_->bridges().set(static_cast<BridgeId>(0), policy).error().code, Errc::limit);
  EXPECT_EQ(dp_->bridges().set(BridgeId::none, {}).error().code, Errc::invalid);
  // A bridge that takes a number over does not take its policy.
  policy.mirrors.clear();
  policy.secure = true;
  ASSERT_TRUE(dp_->bridges().set(static_cast<BridgeId>(0), policy));
  dp_->bridges().remove(static_cast<BridgeId>(0));
  ASSERT_EQ(dp_->bridges().add("br"), static_cast<BridgeId>(0));
  veth_port("a");
  veth_port("b");
  reach("a1", {"b1"});
}

TEST_F(UserFeatures, PolicingHoldsAndIsTakenBack) {
  const PortNo a = veth_port("a");
  veth_port("b");
  PortPolicy policy;
  policy.bridge = static_cast<BridgeId>(0);
  policy.policing = {.bits_per_second = 8, .burst_bits = 8, .packets_per_second = 0, .burst_packets = 0};
  ASSERT_TRUE(set_port(a, policy));
  const Station mouth("a1");
  for (int i = 0; i < 5; ++i) mouth.send(hello(99, 1, 1));
  EXPECT_TRUE(settles([&] { return dropped(a, Drop::policed) >= 4; }));
  // What the old rate charged is not waited for.
  policy.policing.bits_per_second = 8'000'000;
  policy.policing.burst_bits = 8'000'000;
  ASSERT_TRUE(set_port(a, policy));
  reach("a1", {"b1"});
}

TEST_F(UserFeatures, QosHoldsFramesBackAndLetsThemGo) {
  veth_port("a");
  const PortNo b = veth_port("b");
  EXPECT_TRUE(dp_->ports().queue_counters(b).empty());
  ASSERT_TRUE(set_qos(b, QosSpec{80'000, {{0, {}}, {5, {}}}}));  // 10 kB/s
  const Station mouth("a1");
  const Station ear("b1");
  for (std::uint8_t i = 0; i < 80; ++i) mouth.send(hello(99, 1, i));
  ASSERT_TRUE(ear.awaits(hello(99, 1, 79))) << "the last of 6 kB, of which 3 kB are a burst";
  const auto queues = dp_->ports().queue_counters(b);
  ASSERT_EQ(queues.size(), 2U);
  EXPECT_GE(queues.at(0).tx_packets, 80U);
  EXPECT_GE(queues.at(0).tx_bytes, 80U * 74);
  EXPECT_EQ(queues.at(5).tx_packets, 0U);
  // At this rate nobody lives to see the last of the next, until the QoS goes.
  ASSERT_TRUE(set_qos(b, QosSpec{8, {{0, {}}}}));
  for (std::uint8_t i = 0; i < 80; ++i) mouth.send(hello(99, 1, i));
  ASSERT_TRUE(set_qos(b, std::nullopt));
  ASSERT_TRUE(ear.awaits(hello(99, 1, 79)));
  EXPECT_TRUE(dp_->ports().queue_counters(b).empty());
}

TEST_F(UserFeatures, QosSurvivesItsDeviceAndEndsWithItsPort) {
  veth_port("a");
  PortNo b = veth_port("b");
  ASSERT_TRUE(set_qos(b, QosSpec{8, {{0, {}}}}));
  sh("ip link del b0");
  ASSERT_TRUE(settles([&] { return !dp_->ports().state(b).present; }));
  heddle::test::veth("b0", "b1");
  ASSERT_TRUE(comes_up(b));
  const Station mouth("a1");
  for (std::uint8_t i = 0; i < 200; ++i) mouth.send(hello(99, 1, i));
  EXPECT_TRUE(settles([&] { return dp_->ports().queue_counters(b).at(0).tx_packets > 10; }));
  EXPECT_LT(dp_->ports().queue_counters(b).at(0).tx_packets, 200U) << "14 kB at a byte a second";
  ASSERT_TRUE(dp_->ports().remove(b));  // with what waits
  b = add("b0");
  ASSERT_TRUE(comes_up(b));
  EXPECT_TRUE(dp_->ports().queue_counters(b).empty());
  reach("a1", {"b1"});
}

TEST_F(UserFeatures, QosIsChecked) {
  const PortNo a = add("a0");
  const PortNo p = add_patch("p", "q").value();
  EXPECT_FALSE(set_qos(p, QosSpec{1000, {}}));
  EXPECT_TRUE(set_qos(p, std::nullopt)) << "that is what it has";
  EXPECT_FALSE(set_qos(a, QosSpec{0, {}}));
  EXPECT_FALSE(set_qos(a, QosSpec{1000, {{limits::kQueueMax + 1, {}}}}));
  EXPECT_TRUE(set_qos(a, QosSpec{1000, {{limits::kQueueMax, {}}}})) << "before its device is there";
  EXPECT_EQ(dp_->ports().queue_counters(a).size(), 1U);
}

}  // namespace
}  // namespace heddle::dp
