// What a bridge's policy means for frames, by BPF_PROG_TEST_RUN: fail mode, VLANs that are flooded.
#include "tests/unit/datapath/kernel_world.h"

namespace heddle::dp {
namespace {

using namespace test;

using Sent = std::map<PortNo, std::uint64_t>;

class KernelPolicy : public KernelWorldTest {
 protected:
  void flags(PortNo no, __u32 more) {
    w().ports[no].more_flags = more;
    w().commit();
  }
  void flood_vlans(std::initializer_list<VlanId> vlans, __u32 bridge = 0) {
    hd_bridge b{};
    for (const VlanId vlan : vlans) b.flood_vlans[vlan / 64] |= 1ULL << vlan % 64;
    must(w().programs->bridges.put(bridge, b));
  }
};

// --- fail mode ---

TEST_F(KernelPolicy, SecureBridgesForwardNothing) {
  const PortNo a = w().device(access(), HD_SECURE);
  const PortNo b = w().device(access(), HD_SECURE);
  w().know(0, mac(2), b);
  for (const unsigned n : {2U, 3U}) {
    EXPECT_EQ(w().run(a, frame(mac(n), mac(1))).action, TC_ACT_SHOT);
    EXPECT_EQ(w().drops(), KernelWorld::only(a, Drop::fail_secure));
  }
  EXPECT_TRUE(w().learned().empty());
  EXPECT_EQ(w().transmitted(), Sent{});
  // What is not admitted is not a matter of the fail mode.
  w().run(a, frame(mac(2), mac(1), Tag{0x8100, 10}));
  EXPECT_EQ(w().drops(), KernelWorld::only(a, Drop::vlan_tagged_on_access));
}

// --- flooded VLANs ---

TEST_F(KernelPolicy, FloodedVlansNeitherLearnNorLookUp) {
  const PortNo a = w().device(trunk(), HD_FLOOD_VLANS);
  const PortNo b = w().device(trunk(), HD_FLOOD_VLANS);
  const PortNo c = w().device(trunk(), HD_FLOOD_VLANS);
  flood_vlans({10, 4095});
  for (const VlanId vlan : {10, 11, 4095}) w().know(vlan, mac(2), b);
  for (const VlanId vlan : {10, 4095}) {
    EXPECT_EQ(w().run(a, frame(mac(2), mac(1), Tag{0x8100, vlan})).action, TC_ACT_REDIRECT);
    EXPECT_EQ(w().transmitted(), (Sent{{b, 1}, {c, 1}})) << vlan;
    EXPECT_TRUE(w().learned().empty()) << vlan;
  }
  EXPECT_EQ(w().run(a, frame(mac(2), mac(1), Tag{0x8100, 11})).action, TC_ACT_REDIRECT);
  EXPECT_EQ(w().transmitted(), (Sent{{b, 1}}));
  EXPECT_EQ(w().learned().size(), 1U);
}

// Another bridge's VLANs are its own, and without the flag nobody looks.
TEST_F(KernelPolicy, FloodedVlansAreOfOneBridge) {
  const PortNo a = w().device(access(10), HD_FLOOD_VLANS);
  const PortNo b = w().device(access(10));
  w().device(access(10));
  w().know(10, mac(2), b);
  flood_vlans({10}, 1);
  EXPECT_EQ(w().run(a, frame(mac(2), mac(1))).action, TC_ACT_REDIRECT);
  EXPECT_EQ(w().transmitted(), (Sent{{b, 1}}));
  flood_vlans({10});
  flags(a, 0);
  EXPECT_EQ(w().run(a, frame(mac(2), mac(1))).action, TC_ACT_REDIRECT);
  EXPECT_EQ(w().transmitted(), (Sent{{b, 1}}));
}

}  // namespace
}  // namespace heddle::dp
