// SPDX-License-Identifier: Apache-2.0
// Bridge policies of the kernel datapath as a whole, on real devices: what set_bridge() and set_port() make of them,
// and what of it is there in the next life. In a namespace and a BPF file system of the test's own.
#include "tests/unit/datapath/kernel_lives.h"

namespace heddle::dp {
namespace {

using namespace test;
constexpr auto kBridge = static_cast<BridgeId>(0);

class KernelBridge : public KernelDatapathTest {
 protected:
  // A veth pair of which NAME0 is the port; up when this returns.
  PortNo add(const std::string& name, const PortPolicy& policy = trunk()) {
    if (!ears_.contains(name)) {
      veth(name + "0", name + "1");
      ears_[name] = std::make_unique<Ear>(name + "1");
    }
    PortSpec spec;
    spec.name = name + "0";
    const PortNo no = must(add_port(spec, policy));
    EXPECT_TRUE(settles([&] { return dp_->ports().state(no).link_up; })) << dp_->ports().state(no).error;
    return no;
  }
  std::uint64_t drops(PortNo no, Drop why) { return dp_->ports().counters(no).drops[static_cast<std::size_t>(why)]; }
  // A frame with a content that no other has.
  Bytes fresh(const MacAddr& dst = kAll, std::optional<Tag> tag = {}) {
    ++number_;
    Bytes payload(60, 0x5a);
    std::memcpy(payload.data() + 2, &number_, sizeof number_);
    return frame(dst, mac(1), tag, payload);
  }
  // Sent by `from`, it arrives at all of `to` as `what`, once, and at nobody else.
  void reaches(const std::string& from, const Bytes& f, const std::vector<std::string>& to) {
    ears_.at(from)->send(f);
    for (const std::string& n : to) {
      std::optional<Bytes> got;
      EXPECT_TRUE(eventually([&] { return (got = ears_.at(n)->take()) == f; })) << from << " -> " << n;
    }
    for (const auto& [n, ear] : ears_) EXPECT_NE(ear->take(), f) << from << " -> " << n;
  }
  // It is dropped, and counted there.
  void refused(const std::string& from, const Bytes& f, PortNo at, Drop why) {
    const auto before = drops(at, why);
    ears_.at(from)->send(f);
    EXPECT_TRUE(eventually([&] { return drops(at, why) == before + 1; })) << drop_name(why);
    for (const auto& [n, ear] : ears_) EXPECT_NE(ear->take(), f) << from << " -> " << n;
  }

  std::map<std::string, std::unique_ptr<Ear>> ears_;
  std::uint32_t number_ = 0;
};

TEST_F(KernelBridge, UnknownBridges) {
  EXPECT_EQ(dp_->bridges().set(static_cast<BridgeId>(7), {}).error().code, Errc::not_found);
  EXPECT_EQ(dp_->bridges().set(BridgeId::none, {}).error().code, Errc::not_found);
  must(dp_->bridges().set(kBridge, {}));
}

// For ports that are there and those that come, until it is said otherwise; and for this bridge alone.
TEST_F(KernelBridge, FailModeSecure) {
  const PortNo a = add("a");
  must(dp_->bridges().set(kBridge, {.secure = true, .flood_vlans = {}, .mirrors = {}}));
  const PortNo b = add("b");
  refused("a", fresh(), a, Drop::fail_secure);
  refused("b", fresh(), b, Drop::fail_secure);
  ASSERT_EQ(dp_->bridges().add("other"), static_cast<BridgeId>(1));
  PortPolicy other = trunk();
  other.bridge = static_cast<BridgeId>(1);
  for (const PortNo no : {a, b}) must(set_port(no, other));
  reaches("a", fresh(), {"b"});
  for (const PortNo no : {a, b}) must(set_port(no, trunk()));
  refused("a", fresh(), a, Drop::fail_secure);
  must(dp_->bridges().set(kBridge, {}));
  reaches("a", fresh(), {"b"});
}

TEST_F(KernelBridge, FloodedVlans) {
  add("a");
  const PortNo b = add("b");
  add("c");
  must(dp_->stations().put({kBridge, 10, mac(2)}, {b, std::nullopt}));
  const Tag tag{0x8100, 10};
  reaches("a", fresh(mac(2), tag), {"b"});
  BridgePolicy policy;
  policy.flood_vlans.set(10);
  must(dp_->bridges().set(kBridge, policy));
  reaches("a", fresh(mac(2), tag), {"b", "c"});
  must(dp_->bridges().set(kBridge, {}));
  reaches("a", fresh(mac(2), tag), {"b"});
}

// A daemon that comes again does not open for a moment what was closed: the bridge stays as it was until it is told
// otherwise, or all is configured and nobody said anything.
TEST_F(KernelBridge, PoliciesOfAFormerLife) {
  const PortNo a = add("a");
  add("b");
  must(dp_->bridges().set(kBridge, {.secure = true, .flood_vlans = {}, .mirrors = {}}));
  for (const bool told : {true, false}) {
    open();
    add("a");
    add("b");
    refused("a", fresh(), a, Drop::fail_secure);
    if (told) must(dp_->bridges().set(kBridge, {.secure = true, .flood_vlans = {}, .mirrors = {}}));
    dp_->settle();
    if (told) refused("a", fresh(), a, Drop::fail_secure);
  }
  reaches("a", fresh(), {"b"});
}

// What is dropped shows that the rate holds; so slow a one that time does not matter (a frame in two minutes).
TEST_F(KernelBridge, Policing) {
  constexpr std::size_t kLarge = 1014;
  const auto large = [&] {
    Bytes f = fresh();
    f.resize(kLarge);
    return f;
  };
  PortPolicy policed = trunk();
  policed.policing = {.bits_per_second = 1, .burst_bits = kLarge * 8 + 8, .packets_per_second = 0, .burst_packets = 0};
  const PortNo a = add("a", policed);
  add("b");
  reaches("a", large(), {"b"});  // eight bits are left
  reaches("a", large(), {"b"});
  refused("a", large(), a, Drop::policed);
  policed.protected_port = true;
  must(set_port(a, policed));
  refused("a", large(), a, Drop::policed);  // nothing of it is new
  open();
  add("a", policed);
  add("b");
  dp_->settle();
  refused("a", large(), a, Drop::policed);
  policed.policing.burst_bits = 500;
  must(set_port(a, policed));
  reaches("a", large(), {"b"});  // another rate, a full bucket
  refused("a", large(), a, Drop::policed);
  must(set_port(a, trunk()));
  reaches("a", large(), {"b"});
  policed.policing = {.bits_per_second = 0, .burst_bits = 0, .packets_per_second = 1, .burst_packets = 1'000'000};
  must(set_port(a, policed));
  for (int i = 0; i < 20; ++i) reaches("a", large(), {"b"});
}

TEST_F(KernelBridge, Mirrors) {
  const PortNo a = add("a");
  add("b");
  const PortNo d = add("d");
  BridgePolicy policy;
  policy.mirrors[5].from = {a, static_cast<PortNo>(4000)};
  policy.mirrors[5].output = d;
  must(dp_->bridges().set(kBridge, policy));
  Bytes f = fresh();
  reaches("a", f, {"b", "d"});
  reaches("b", fresh(), {"a"});
  refused("d", fresh(), d, Drop::mirror_port);
  EXPECT_EQ(dp_->bridges().mirror_counters(kBridge, 5).tx_packets, 1U);
  EXPECT_EQ(dp_->bridges().mirror_counters(kBridge, 5).tx_bytes, f.size());

  // Its counters go on until it is another; a second one is another's affair.
  policy.mirrors[0].to = {a};
  policy.mirrors[0].output = d;
  policy.secure = true;
  must(dp_->bridges().set(kBridge, policy));
  policy.secure = false;
  must(dp_->bridges().set(kBridge, policy));
  reaches("b", fresh(), {"a", "d"});
  EXPECT_EQ(dp_->bridges().mirror_counters(kBridge, 5).tx_packets, 1U);
  EXPECT_EQ(dp_->bridges().mirror_counters(kBridge, 0).tx_packets, 1U);
  policy.mirrors[5].all = true;
  policy.mirrors.erase(0);
  must(dp_->bridges().set(kBridge, policy));
  EXPECT_EQ(dp_->bridges().mirror_counters(kBridge, 5).tx_packets, 0U);
  reaches("b", fresh(), {"a", "d"});
  EXPECT_EQ(dp_->bridges().mirror_counters(kBridge, 0).tx_packets, 0U);

  // A port that comes is of "all"; without the mirror the output is a port as any other.
  add("c");
  reaches("c", fresh(), {"a", "b", "d"});
  must(dp_->bridges().set(kBridge, {}));
  reaches("d", fresh(), {"a", "b", "c"});
  reaches("b", fresh(), {"a", "c", "d"});
}

TEST_F(KernelBridge, MirrorsThatCannotBe) {
  const PortNo a = add("a");
  add("b");
  BridgePolicy policy;
  policy.mirrors[limits::kMirrors].all = true;
  EXPECT_EQ(dp_->bridges().set(kBridge, policy).error().code, Errc::limit);
  policy.mirrors.clear();
  policy.mirrors[0].all = true;  // to nowhere
  policy.mirrors[1].all = true;
  policy.mirrors[1].output = static_cast<PortNo>(4000);
  policy.mirrors[2].all = true;
  policy.mirrors[2].output = a;
  must(dp_->bridges().set(kBridge, policy));
  PortPolicy other = trunk();
  ASSERT_EQ(dp_->bridges().add("other"), static_cast<BridgeId>(1));
  other.bridge = static_cast<BridgeId>(1);
  must(set_port(a, other));  // and is the mirror's no more
  add("c");
  reaches("b", fresh(), {"c"});
  add("e", other);
  reaches("e", fresh(), {"a"});
}

TEST_F(KernelBridge, MirrorsOfAFormerLife) {
  const PortNo a = add("a");
  add("b");
  const PortNo d = add("d");
  BridgePolicy policy;
  policy.mirrors[1].all = true;
  policy.mirrors[1].output = d;
  must(dp_->bridges().set(kBridge, policy));
  reaches("a", fresh(), {"b", "d"});
  dp_.reset();
  reaches("a", fresh(), {"b", "d"});
  open();
  for (const std::string n : {"a", "b", "d"}) add(n);
  reaches("a", fresh(), {"b", "d"});
  refused("d", fresh(), d, Drop::mirror_port);
  must(dp_->bridges().set(kBridge, policy));
  EXPECT_EQ(dp_->bridges().mirror_counters(kBridge, 1).tx_packets, 3U);
  dp_->settle();
  reaches("a", fresh(), {"b", "d"});
  open();
  for (const std::string n : {"a", "b", "d"}) add(n);
  dp_->settle();  // nobody asked for it
  EXPECT_EQ(dp_->bridges().mirror_counters(kBridge, 1).tx_packets, 0U);
  reaches("d", fresh(), {"a", "b"});
  EXPECT_EQ(a, static_cast<PortNo>(1));
}

// A bridge's number is another bridge's later.
TEST_F(KernelBridge, PoliciesGoWithTheBridge) {
  const PortNo a = add("a");
  add("b");
  BridgePolicy policy{.secure = true, .flood_vlans = {}, .mirrors = {}};
  policy.flood_vlans.set(10);
  policy.mirrors[0].all = true;
  policy.mirrors[0].output = a;
  must(dp_->bridges().set(kBridge, policy));
  PortPolicy nowhere = trunk();
  nowhere.bridge = BridgeId::none;
  must(set_port(a, nowhere));
  dp_->bridges().remove(kBridge);
  ASSERT_EQ(dp_->bridges().add("new"), kBridge);
  must(set_port(a, trunk()));
  reaches("a", fresh(), {"b"});
}

}  // namespace
}  // namespace heddle::dp
