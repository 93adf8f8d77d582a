// SPDX-License-Identifier: Apache-2.0
#include "overlay/evpn/shadow_fdb.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <string>
#include <utility>

namespace heddle::overlay::evpn {
namespace {

IpAddr ip(const char* text) { return *IpAddr::parse(text); }
MacAddr mac(unsigned n) { return MacAddr::from_u64(0x020000000000ULL + n); }

struct Recorder final : ShadowFdb::Listener {
  std::vector<std::string> said;
  std::map<std::pair<Vni, MacAddr>, IpAddr> macs;
  std::set<std::pair<Vni, IpAddr>> members;
  void remote_mac(Vni vni, const MacAddr& m, const std::optional<IpAddr>& vtep) override {
    said.push_back(std::to_string(m.to_u64() & 0xff) + " " + (vtep ? vtep->to_string() : "gone"));
    if (vtep)
      macs[{vni, m}] = *vtep;
    else
      macs.erase({vni, m});
  }
  void remote_member(Vni vni, const IpAddr& vtep, bool here) override {
    said.push_back(vtep.to_string() + (here ? " in" : " out"));
    if (here)
      members.insert({vni, vtep});
    else
      members.erase({vni, vtep});
  }
  std::vector<std::string> take() { return std::exchange(said, {}); }
};
using Said = std::vector<std::string>;

// Each row of the table of zebra's requests as the kernel tells them.
TEST(ShadowFdb, AStationIsValidWithBothEntries) {
  Recorder r;
  ShadowFdb fdb(r);
  const IpAddr a = ip("192.0.2.1");
  const IpAddr b = ip("192.0.2.2");
  fdb.to_tunnel(10, mac(1), false);
  EXPECT_TRUE(r.take().empty()) << "the bridge's entry alone";
  fdb.at_vtep(10, mac(1), a);
  EXPECT_EQ(r.take(), Said{"1 192.0.2.1"});
  fdb.at_vtep(10, mac(1), b);
  EXPECT_EQ(r.take(), Said{"1 192.0.2.2"}) << "moved from one remote to another: one notification";
  fdb.not_at_vtep(10, mac(1), a);
  EXPECT_TRUE(r.take().empty()) << "the old VTEP's entry";
  // It moves here: our write changes the bridge's entry, and the device's stays behind.
  fdb.not_to_tunnel(10, mac(1));
  EXPECT_EQ(r.take(), Said{"1 gone"});
  EXPECT_EQ(fdb.device_entry(10, mac(1)), b);
  EXPECT_FALSE(fdb.vtep_of(10, mac(1)));
  // And away again, with an entry that was there before: the order is the other.
  fdb.to_tunnel(10, mac(1), false);
  EXPECT_EQ(r.take(), Said{"1 192.0.2.2"});
  fdb.not_to_tunnel(10, mac(1));
  fdb.not_at_vtep(10, mac(1), b);
  EXPECT_EQ(r.take(), Said{"1 gone"});
  EXPECT_FALSE(fdb.device_entry(10, mac(1)));
  // Removal of what is not there is no news.
  fdb.not_to_tunnel(10, mac(2));
  fdb.not_at_vtep(11, mac(1), b);
  EXPECT_TRUE(r.take().empty());
}

TEST(ShadowFdb, AStickyStationIsFixed) {
  Recorder r;
  ShadowFdb fdb(r);
  fdb.to_tunnel(10, mac(1), true);
  EXPECT_FALSE(fdb.is_fixed(10, mac(1)));
  fdb.at_vtep(10, mac(1), ip("192.0.2.1"));
  EXPECT_TRUE(fdb.is_fixed(10, mac(1)));
  fdb.to_tunnel(10, mac(1), false);
  EXPECT_FALSE(fdb.is_fixed(10, mac(1)));
}

TEST(ShadowFdb, Members) {
  Recorder r;
  ShadowFdb fdb(r);
  fdb.member(10, ip("192.0.2.1"));
  fdb.member(10, ip("192.0.2.1"));
  fdb.member(10, ip("192.0.2.2"));
  EXPECT_EQ(r.take(), (Said{"192.0.2.1 in", "192.0.2.2 in"}));
  EXPECT_TRUE(fdb.is_member(10, ip("192.0.2.1")));
  EXPECT_FALSE(fdb.is_member(11, ip("192.0.2.1")));
  fdb.no_member(10, ip("192.0.2.1"));
  fdb.no_member(10, ip("192.0.2.1"));
  EXPECT_EQ(r.take(), Said{"192.0.2.1 out"});
  fdb.forget(10);
  EXPECT_TRUE(r.take().empty());
  EXPECT_FALSE(fdb.is_member(10, ip("192.0.2.2")));
}

// Random news, against maps that know the rule; and a reading anew tells just the difference.
TEST(ShadowFdb, AgainstAnOracle) {
  std::mt19937 random(7);
  const auto pick = [&random](unsigned n) { return static_cast<unsigned>(random() % n); };
  Recorder r;
  ShadowFdb fdb(r);
  std::set<std::pair<Vni, MacAddr>> tunnel;
  std::map<std::pair<Vni, MacAddr>, IpAddr> device;
  std::set<std::pair<Vni, IpAddr>> members;
  const auto check = [&] {
    std::map<std::pair<Vni, MacAddr>, IpAddr> valid;
    for (const auto& [key, vtep] : device)
      if (tunnel.contains(key)) valid[key] = vtep;
    EXPECT_EQ(r.macs, valid);
    EXPECT_EQ(r.members, members);
  };
  for (int round = 0; round < 20'000; ++round) {
    const Vni vni = 10 + pick(2);
    const MacAddr m = mac(pick(4));
    const IpAddr vtep = IpAddr::v4(0xc0000200 + pick(3));
    switch (pick(6)) {
      case 0:
        fdb.to_tunnel(vni, m, false);
        tunnel.insert({vni, m});
        break;
      case 1:
        fdb.not_to_tunnel(vni, m);
        tunnel.erase({vni, m});
        break;
      case 2:
        fdb.at_vtep(vni, m, vtep);
        device[{vni, m}] = vtep;
        break;
      case 3:
        fdb.not_at_vtep(vni, m, vtep);
        if (const auto it = device.find({vni, m}); it != device.end() && it->second == vtep) device.erase(it);
        break;
      case 4:
        fdb.member(vni, vtep);
        members.insert({vni, vtep});
        break;
      default:
        fdb.no_member(vni, vtep);
        members.erase({vni, vtep});
    }
    if (round % 100 != 99) continue;
    check();
    // News are lost: what is there is another.
    Recorder nobody;
    ShadowFdb fresh(nobody);
    tunnel.clear();
    device.clear();
    members.clear();
    for (unsigned n = 0; n < 4; ++n) {
      if (pick(2) == 0) continue;
      fresh.to_tunnel(10, mac(n), false);
      fresh.at_vtep(10, mac(n), vtep);
      fresh.member(11, IpAddr::v4(0xc0000200 + n));
      tunnel.insert({10, mac(n)});
      device[{10, mac(n)}] = vtep;
      members.insert({11, IpAddr::v4(0xc0000200 + n)});
    }
    fdb.become(std::move(fresh));
    check();
    r.take();
    ShadowFdb again(nobody);
    for (const auto& [key, at] : device) {
      again.to_tunnel(key.first, key.second, false);
      again.at_vtep(key.first, key.second, at);
    }
    for (const auto& [n, at] : members) again.member(n, at);
    fdb.become(std::move(again));
    EXPECT_TRUE(r.take().empty()) << "the same again is no news";
  }
}

}  // namespace
}  // namespace heddle::overlay::evpn
