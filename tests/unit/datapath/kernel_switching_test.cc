// SPDX-License-Identifier: Apache-2.0
// The TC program against the naive bridge that the user-space forwarder is held to: every VLAN rule, and random
// traffic. Frames come and go through real devices.
#include <random>

#include "tests/unit/datapath/kernel_world.h"
#include "tests/unit/datapath/naive_bridge.h"

namespace heddle::dp {
namespace {

using namespace test;
using packet::test::cat;

class KernelSwitching : public KernelWorldTest {
 protected:
  // Sends the frame and holds everything that happens against what must. A stray frame is found here or, when it is
  // late, by the next check: no two frames are alike.
  void check(const NaiveBridge<KernelWorld>& bridge, PortNo in, const Bytes& f, const std::string& what) {
    const Outcome want = bridge.expect(in, f);
    w().arrive(in, f);
    for (const auto& [no, frame] : want.out) {
      const auto got = w().ear(no).await();
      ASSERT_TRUE(got) << what << ": nothing at port " << static_cast<int>(no);
      ASSERT_EQ(*got, frame) << what << ": port " << static_cast<int>(no);
    }
    KernelWorld::Drops drops;
    eventually([&] {
      drops.merge(w().drops());
      return drops.size() >= want.drops.size();
    });
    ASSERT_EQ(drops, want.drops) << what;
    for (const auto& [no, port] : w().ports)
      ASSERT_FALSE(w().ear(no).take()) << what << ": one more at port " << static_cast<int>(no);
    const auto learned = w().learned();
    ASSERT_EQ(learned.size(), want.learn ? 1U : 0U) << what;
    if (learned.empty()) return;
    EXPECT_EQ(learned[0].key, (FdbKey{w().ports.at(in).policy.bridge, want.vlan, packet::load<MacAddr>(f.data() + 6)}));
    EXPECT_EQ(learned[0].target, (FdbTarget{in, std::nullopt}));
  }
  // A payload that no frame had before.
  Bytes payload(std::size_t size = 60) {
    ++number_;
    Bytes p(size, 0x5a);
    std::memcpy(p.data(), &number_, sizeof number_);
    return cat({{0x12, 0x34}, p});
  }

 private:
  std::uint32_t number_ = 0;
};

TEST_F(KernelSwitching, VlanMatrix) {
  const PortNo a = w().device(access());
  const PortNo b = w().device(access());
  w().attach();
  NaiveBridge<KernelWorld> bridge(w());
  for (const VlanId vlan : {0, 10, 20, 30, 4095}) {
    w().know(vlan, mac(2), b);
    bridge.fdb[{vlan, mac(2).to_u64()}] = b;
  }
  for (const auto& [in_name, in] : kPolicies) {
    for (const auto& [out_name, out] : kPolicies) {
      w().ports[a].policy = in;
      w().ports[b].policy = out;
      w().commit();
      for (const auto& [tag_name, tag] : kTags) {
        for (const auto& dst : {mac(2), mac(9), *MacAddr::parse("ff:ff:ff:ff:ff:ff")})
          check(bridge, a, frame(dst, mac(1), tag, payload()),
                in_name + " -> " + out_name + ", " + tag_name + " to " + dst.to_string());
        if (HasFatalFailure()) return;
      }
    }
  }
}

// The same rules by BPF_PROG_TEST_RUN, where the tag is in the frame and the verdict is seen.
TEST_F(KernelSwitching, VlanVerdicts) {
  const PortNo a = w().device(access());
  const PortNo b = w().device(access());
  NaiveBridge<KernelWorld> bridge(w());
  for (const auto& [in_name, in] : kPolicies) {
    for (const auto& [out_name, out] : kPolicies) {
      w().ports[a].policy = in;
      w().ports[b].policy = out;
      w().commit();
      for (const auto& [tag_name, tag] : kTags) {
        const std::string what = in_name + " -> " + out_name + ", " + tag_name;
        const Bytes f = frame(mac(2), mac(1), tag);
        const Outcome want = bridge.expect(a, f);
        const auto v = w().run(a, f);
        EXPECT_EQ(v.action, want.out.empty() ? TC_ACT_SHOT : TC_ACT_REDIRECT) << what;
        if (!want.out.empty()) {
          EXPECT_EQ(v.out, frame(mac(2), mac(1))) << what << ": the tag is beside the frame";
        }
        EXPECT_EQ(w().drops(), want.drops) << what;
        EXPECT_EQ(w().transmitted(),
                  (want.out.empty() ? std::map<PortNo, std::uint64_t>{} : std::map<PortNo, std::uint64_t>{{b, 1}}))
            << what;
        EXPECT_EQ(w().learned().size(), want.learn ? 1U : 0U) << what;
      }
    }
  }
}

// Everything at once: policies, protection, links that are down, MTUs, moved and unknown stations, senseless addresses.
TEST_F(KernelSwitching, RandomTrafficAgreesWithANaiveBridge) {
  std::mt19937 random(7);
  NaiveBridge<KernelWorld> bridge(w());
  std::vector<PortNo> ports;
  for (int i = 0; i < 7; ++i) ports.push_back(w().device(access()));
  w().attach();
  const VlanId vlans[] = {0, 10, 20};
  for (int i = 0; i < 4000; ++i) {
    if (i % 50 == 0) {
      for (const PortNo p : ports) {
        PortPolicy policy = kPolicies[random() % kPolicies.size()].second;
        policy.protected_port = random() % 3 == 0;
        policy.learning = random() % 4 != 0;
        policy.bridge = random() % 10 == 0 ? BridgeId::none : static_cast<BridgeId>(random() % 5 == 0 ? 1 : 0);
        w().ports[p].policy = policy;
        w().ports[p].up = random() % 6 != 0;
        w().ports[p].mtu = random() % 3 == 0 ? 100 : 1500;
      }
      w().commit();
      for (unsigned n = 0; n < 8; ++n) {
        for (const VlanId vlan : vlans) {
          const PortNo at = ports[random() % ports.size()];
          w().know(vlan, mac(n), at, 0, 0);
          w().know(vlan, mac(n), at, 0, 1);
          bridge.fdb[{vlan, mac(n).to_u64()}] = at;
        }
      }
    }
    MacAddr dst = mac(random() % 10);
    MacAddr src = mac(random() % 10);
    if (random() % 10 == 0) dst = MacAddr::from_u64(0x0180c2000000ULL + random() % 20);
    if (random() % 30 == 0) src.bytes[0] |= 1;
    if (random() % 50 == 0) src = MacAddr{};
    const std::optional<Tag> tag = kTags[random() % kTags.size()].second;
    check(bridge, ports[random() % ports.size()],
          frame(dst, src, tag, payload(random() % 2 == 0 ? 46 : 80 + random() % 30)), "frame " + std::to_string(i));
    if (HasFatalFailure()) return;
  }
}

}  // namespace
}  // namespace heddle::dp
