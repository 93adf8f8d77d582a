// SPDX-License-Identifier: Apache-2.0
#include "overlay/vtep_set.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>

namespace heddle::overlay {
namespace {

using std::chrono::seconds;

IpAddr ip(const char* text) { return *IpAddr::parse(text); }
MacAddr mac(unsigned n) { return MacAddr::from_u64(0x020000000000ULL + n); }

struct Recorder final : VtepSet::Sink {
  std::vector<std::string> said;
  void members_changed(Vni vni) override { said.push_back("members " + std::to_string(vni)); }
  void mac_changed(Vni vni, const MacAddr& m, const std::optional<IpAddr>& vtep) override {
    said.push_back(std::to_string(vni) + " " + std::to_string(m.to_u64() & 0xff) + " " +
                   (vtep ? vtep->to_string() : "gone"));
  }
  std::vector<std::string> take() { return std::exchange(said, {}); }
};
using Said = std::vector<std::string>;

TEST(VtepSet, TellsWhatIsNew) {
  Recorder sink;
  VtepSet set(sink, seconds(60));
  set.put_member(10, "a", ip("192.0.2.1"));
  set.put_member(10, "b", ip("192.0.2.2"));
  set.put_member(10, "b", ip("192.0.2.2"));
  EXPECT_EQ(sink.take(), (Said{"members 10", "members 10"}));
  EXPECT_EQ(set.members(10), (std::vector{ip("192.0.2.1"), ip("192.0.2.2")}));
  EXPECT_TRUE(set.members(11).empty());
  set.put_mac(10, mac(1), ip("192.0.2.1"));
  set.put_mac(10, mac(1), ip("192.0.2.1"));
  set.put_mac(10, mac(1), ip("192.0.2.2"));
  set.put_mac(11, mac(1), ip("192.0.2.2"));
  EXPECT_EQ(sink.take(), (Said{"10 1 192.0.2.1", "10 1 192.0.2.2", "11 1 192.0.2.2"}));
  EXPECT_EQ(set.mac_count(), 2U);
  set.remove_mac(10, mac(1));
  set.remove_mac(10, mac(1));
  set.remove_member(10, "a");
  EXPECT_EQ(sink.take(), (Said{"10 1 gone", "members 10"}));
  set.remove_network(10);
  set.remove_network(11);
  EXPECT_EQ(sink.take(), (Said{"members 10", "11 1 gone"}));
  EXPECT_EQ(set.mac_count(), 0U);
}

// A stale entry misleads one frame, an absent one floods.
TEST(VtepSet, KeepsWhatALostSourceToldForTheHoldTime) {
  Recorder sink;
  VtepSet set(sink, seconds(60));
  TimePoint now{};
  set.put_member(10, "a", ip("192.0.2.1"));
  set.put_mac(10, mac(1), ip("192.0.2.1"));
  set.put_mac(10, mac(2), ip("192.0.2.1"));
  set.in_step(now);
  EXPECT_EQ(set.tick(now + seconds(100)), std::nullopt) << "all is confirmed";
  sink.take();

  now += seconds(1000);
  set.lost(now);
  EXPECT_EQ(set.tick(now + seconds(59)), now + seconds(60));
  EXPECT_TRUE(sink.take().empty());
  EXPECT_TRUE(set.macs(10).front().stale);
  // Back after 30 s: one station is told again, one is told to be gone, the member is not heard of.
  now += seconds(30);
  set.begin();
  set.put_mac(10, mac(1), ip("192.0.2.1"));
  set.in_step(now);
  EXPECT_TRUE(sink.take().empty());
  EXPECT_FALSE(set.macs(10).front().stale);
  EXPECT_EQ(set.tick(now + seconds(59)), now + seconds(60)) << "others may be on their way to it";
  set.remove_mac(10, mac(2));
  EXPECT_EQ(sink.take(), Said{"10 2 gone"});
  EXPECT_EQ(set.tick(now + seconds(60)), std::nullopt);
  EXPECT_EQ(sink.take(), Said{"members 10"});
  EXPECT_EQ(set.mac_count(), 1U);
  set.lost(now);
  set.tick(now + seconds(60));
  EXPECT_EQ(sink.take(), Said{"10 1 gone"});
}

// Each thing that is held goes at its own time; what is told again stays.
TEST(VtepSet, HoldsSingleThings) {
  Recorder sink;
  VtepSet set(sink, seconds(60));
  TimePoint now{};
  set.put_member(10, "a", ip("192.0.2.1"));
  for (unsigned n = 1; n <= 3; ++n) set.put_mac(10, mac(n), ip("192.0.2.1"));
  sink.take();
  set.hold_mac(10, mac(1), now);
  set.hold_mac(10, mac(2), now + seconds(10));
  set.hold_mac(10, mac(2), now + seconds(30));  // once is enough
  set.hold_member(10, "a", now + seconds(20));
  set.hold_mac(10, mac(9), now);
  set.hold_member(11, "a", now);
  EXPECT_TRUE(set.mac(10, mac(1))->stale);
  EXPECT_FALSE(set.mac(10, mac(3))->stale);
  EXPECT_FALSE(set.mac(10, mac(9)));
  EXPECT_TRUE(sink.take().empty());
  EXPECT_EQ(set.tick(now + seconds(60)), now + seconds(70));
  EXPECT_EQ(sink.take(), Said{"10 1 gone"});
  set.put_mac(10, mac(2), ip("192.0.2.1"));
  EXPECT_EQ(set.tick(now + seconds(70)), now + seconds(80));
  EXPECT_TRUE(sink.take().empty());
  EXPECT_EQ(set.tick(now + seconds(80)), std::nullopt);
  EXPECT_EQ(sink.take(), Said{"members 10"});
  EXPECT_EQ(set.mac_count(), 2U);
}

}  // namespace
}  // namespace heddle::overlay
