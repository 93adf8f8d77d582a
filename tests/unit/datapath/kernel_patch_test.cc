// SPDX-License-Identifier: Apache-2.0
// Patch ports of the kernel datapath: two bridges that are one network while both ends are there.
#include "tests/unit/datapath/kernel_lives.h"

namespace heddle::dp {
namespace {

using namespace test;

class KernelPatchTest : public KernelDatapathTest {
 protected:
  // A guest a1 in bridge "br", and b1 in "br2".
  void guests() {
    for (const std::string n : {"a", "b"}) veth(n + "0", n + "1");
    two_bridges();
  }
  void two_bridges() {
    ASSERT_EQ(dp_->bridges().add("br2"), static_cast<BridgeId>(1));
    ASSERT_TRUE(comes_up(add("a0")));
    ASSERT_TRUE(comes_up(add_in(1, device("b0"))));
  }
  PortNo add_in(unsigned bridge, const PortSpec& spec) {
    const PortNo no = must(add_port(spec));
    PortPolicy policy = trunk();
    policy.bridge = static_cast<BridgeId>(bridge);
    must(set_port(no, policy));
    return no;
  }
  PortNo patch(unsigned bridge, const std::string& name, const std::string& peer) {
    PortSpec spec = device(name, PortKind::patch);
    spec.peer = peer;
    return add_in(bridge, spec);
  }
  bool link(PortNo no, bool up) {
    return settles([&] { return dp_->ports().state(no).present && dp_->ports().state(no).link_up == up; });
  }
  [[nodiscard]] std::uint64_t dropped(PortNo no, Drop why) const {
    return dp_->ports().counters(no).drops[static_cast<std::size_t>(why)];
  }
  // Devices of patch ports that would give frames to the host: up, and no port's.
  [[nodiscard]] std::size_t open_ends(const std::vector<PortNo>& ports) const {
    std::set<std::string> ours;
    for (const PortNo no : ports)
      for (const auto& [name, value] : dp_->ports().state(no).details)
        if (name == "device") ours.insert(value);
    std::size_t n = 0;
    const auto links = must(must(netlink::Netlink::open())->links());
    for (const auto& l : links)
      if (l.name.starts_with("hp") && l.admin_up && !ours.contains(l.name)) ++n;
    return n;
  }
};

TEST_F(KernelPatchTest, BridgesAreOneNetworkWhileBothEndsAreThere) {
  guests();
  const std::string here = "patch-port-with-a-long-name-to-br2";
  const std::string there = "patch-port-with-a-long-name-to-br";
  const PortNo a = patch(0, here, there);
  EXPECT_TRUE(dp_->ports().state(a).present) << dp_->ports().state(a).error;
  EXPECT_TRUE(dp_->ports().state(a).admin_up);
  EXPECT_FALSE(dp_->ports().state(a).link_up);
  EXPECT_EQ(dp_->ports().state(a).details.front(), (std::pair<std::string, std::string>{"peer", there}));
  EXPECT_EQ(open_ends({a}), 0U);
  must(dp_->stations().put(key(2), {a, std::nullopt}));
  Ear("a1").send(frame(mac(2), mac(1)));
  EXPECT_TRUE(eventually([&] { return dropped(a, Drop::port_down) == 1; }));
  for (int round = 0; round < 2; ++round) {
    const PortNo b = patch(1, there, here);
    ASSERT_TRUE(link(a, true));
    ASSERT_TRUE(link(b, true));
    EXPECT_EQ(open_ends({a, b}), 0U);
    reach("a1", {"b1"});
    reach("b1", {"a1"});
    EXPECT_GE(dp_->ports().counters(b).rx_packets, 1U);
    must(dp_->ports().remove(b));
    ASSERT_TRUE(link(a, false));
    EXPECT_EQ(open_ends({a}), 0U);
  }
  must(dp_->ports().remove(a));
  sh("! ip -o link show | grep -q 'alias test:owner'");
}

// VLAN tags and known destinations go on in the other bridge.
TEST_F(KernelPatchTest, TaggedUnicastPasses) {
  guests();
  const PortNo a = patch(0, "p1", "p2");
  const PortNo b = patch(1, "p2", "p1");
  ASSERT_TRUE(link(a, true));
  ASSERT_TRUE(link(b, true));
  must(dp_->stations().put(key(2, 7), {a, std::nullopt}));
  const Ear ear("b1");
  const Bytes f = frame(mac(2), mac(1), Tag{0x8100, 7});
  Ear("a1").send(f);
  EXPECT_EQ(ear.await(), f);
}

TEST_F(KernelPatchTest, OnlyThePortThatIsNamedIsTheOtherEnd) {
  guests();
  const PortNo one = patch(0, "p1", "p2");
  const PortNo third = patch(0, "p3", "p2");
  const PortNo two = patch(1, "p2", "p1");
  ASSERT_TRUE(link(one, true));
  ASSERT_TRUE(link(two, true));
  EXPECT_TRUE(link(third, false));
  EXPECT_EQ(open_ends({one, two, third}), 0U);
  reach("a1", {"b1"});
}

TEST_F(KernelPatchTest, LoopsEnd) {
  guests();
  std::vector<PortNo> ports;
  for (const std::string n : {"x", "y"}) {
    ports.push_back(patch(0, n + "1", n + "2"));
    ports.push_back(patch(1, n + "2", n + "1"));
  }
  for (const PortNo no : ports) ASSERT_TRUE(link(no, true));
  Ear("a1").send(frame(kAll, mac(1)));
  const auto loops = [&] {
    std::uint64_t sum = 0;
    for (const PortNo no : ports) sum += dropped(no, Drop::patch_loop);
    return sum;
  };
  // It goes both ways round.
  EXPECT_TRUE(eventually([&] { return loops() == 2; }));
  std::uint64_t passed = 0;
  for (const PortNo no : ports) passed += dp_->ports().counters(no).rx_packets;
  EXPECT_EQ(passed, 2 * (limits::kPatchHops + 1U));
}

// Names of devices are hashes of port names, and may be equal. The port that comes second gets an error, in either
// order, and the first one's pair stays, also when the second goes.
TEST_F(KernelPatchTest, DevicesOfOneNameBelongToThePortThatCameFirst) {
  struct Case {
    const char* first;
    const char* second;
  };
  // The near ends have one name; the near end of one has the name of the other's far end.
  for (const auto& [first, second] : {Case{"12655", "57759"}, Case{"27233", "69359"}, Case{"69359", "27233"}}) {
    const auto name = [](const char* side, const char* n) { return std::string(side) + n; };
    const PortNo a = patch(0, name("p", first), name("q", first));
    const PortNo b = patch(0, name("p", second), name("q", second));
    EXPECT_TRUE(dp_->ports().state(a).present) << dp_->ports().state(a).error;
    EXPECT_FALSE(dp_->ports().state(b).present);
    EXPECT_NE(dp_->ports().state(b).error.find("another name"), std::string::npos) << dp_->ports().state(b).error;
    const PortNo peer = patch(1, name("q", first), name("p", first));
    EXPECT_TRUE(settles([&] { return dp_->ports().state(a).link_up && dp_->ports().state(peer).link_up; }));
    must(dp_->ports().remove(b));
    EXPECT_TRUE(settles([&] { return dp_->ports().state(a).link_up; }));
    EXPECT_EQ(dp_->ports().state(a).error, "");
    for (const PortNo no : {a, peer}) must(dp_->ports().remove(no));
  }
}

TEST_F(KernelPatchTest, RequestsThatCannotWork) {
  guests();
  PortSpec spec = device("p1", PortKind::patch);
  EXPECT_EQ(add_port(spec).error().code, Errc::invalid);
  spec.peer = "p1";
  EXPECT_EQ(add_port(spec).error().code, Errc::invalid);
  const PortNo a = patch(0, "p1", "p2");
  EXPECT_EQ(set_qos(a, QosSpec{1'000'000, {}}).has_value(), false);
  EXPECT_TRUE(set_qos(a, std::nullopt));
}

TEST_F(KernelPatchTest, RemovedPairIsMadeAnew) {
  guests();
  const PortNo a = patch(0, "p1", "p2");
  const PortNo b = patch(1, "p2", "p1");
  ASSERT_TRUE(link(a, true));
  ASSERT_TRUE(link(b, true));
  std::string name;
  for (const auto& [detail, value] : dp_->ports().state(a).details)
    if (detail == "device") name = value;
  const unsigned index = if_nametoindex(name.c_str());
  ASSERT_NE(index, 0U);
  sh("ip link del " + name);
  ASSERT_TRUE(settles([&] {
    const unsigned now = if_nametoindex(name.c_str());
    return now != 0 && now != index && dp_->ports().state(a).link_up && dp_->ports().state(b).link_up;
  }));
  reach("a1", {"b1"});
  reach("b1", {"a1"});
  EXPECT_EQ(open_ends({a, b}), 0U);
}

TEST_F(KernelPatchTest, SecondLifeTakesBothEndsOver) {
  guests();
  std::vector<PortNo> ports{patch(0, "p1", "p2"), patch(1, "p2", "p1")};
  for (const PortNo no : ports) ASSERT_TRUE(link(no, true));
  reach("a1", {"b1"});
  open();
  reach("a1", {"b1"});  // nobody has asked for anything yet
  two_bridges();
  EXPECT_EQ(patch(0, "p1", "p2"), ports[0]);
  reach("a1", {"b1"});
  EXPECT_EQ(patch(1, "p2", "p1"), ports[1]);
  reach("b1", {"a1"});
  dp_->settle();
  for (const PortNo no : ports) ASSERT_TRUE(link(no, true));
  reach("a1", {"b1"});
  // A third life, in which one end has another peer.
  open();
  two_bridges();
  ports = {patch(0, "p1", "p2"), patch(1, "p2", "p9")};
  dp_->settle();
  for (const PortNo no : ports) EXPECT_TRUE(link(no, false));
  EXPECT_EQ(open_ends(ports), 0U);
  // And a fourth that has none.
  open();
  two_bridges();
  dp_->settle();
  sh("! ip -o link show | grep -q ' hp'");
}

}  // namespace
}  // namespace heddle::dp
