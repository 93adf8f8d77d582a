// SPDX-License-Identifier: Apache-2.0
// An oracle for both datapaths: a bridge as IEEE 802.1Q and the words of datapath.h tell it, slow and plain. `World`
// has `ports` (by number, with `policy`) and shared(number) with `up` and `mtu`.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "tests/unit/datapath/world.h"

namespace heddle::dp::test {

// What must come of one frame.
struct Outcome {
  std::map<PortNo, Bytes> out;
  std::map<std::string, std::uint64_t> drops;  // "port:reason"
  bool learn = false;
  VlanId vlan = 0;
};

// A bridge as the standard tells it: classify, filter, look up, and put the frame together anew for each way out.
template <typename World>
class NaiveBridge {
 public:
  explicit NaiveBridge(World& w) : w_(w) {}
  std::map<std::pair<VlanId, std::uint64_t>, PortNo> fdb;

  Outcome expect(PortNo in_no, const Bytes& f) const {
    Outcome o;
    const PortPolicy& in = w_.ports.at(in_no).policy;
    const bool tagged = f.size() >= 14 && ((f[12] == 0x81 && f[13] == 0x00) || (f[12] == 0x88 && f[13] == 0xa8));
    if (f.size() < (tagged ? 18U : 14U)) return drop(o, in_no, Drop::truncated);
    if (in.bridge == BridgeId::none) return drop(o, in_no, Drop::no_bridge);
    if (f[6] % 2 == 1) return drop(o, in_no, Drop::source_multicast);
    if (f[0] == 1 && f[1] == 0x80 && f[2] == 0xc2 && f[3] == 0 && f[4] == 0 && f[5] < 16)
      return drop(o, in_no, Drop::reserved_multicast);

    const unsigned vid = tagged ? (f[14] % 16U) * 256U + f[15] : 0;
    if (in.vlan_mode == VlanMode::access && vid != 0) return drop(o, in_no, Drop::vlan_tagged_on_access);
    const bool has_pvid = in.vlan_mode != VlanMode::trunk;
    o.vlan = static_cast<VlanId>(vid == 0 && has_pvid ? in.tag : vid);
    if (!member(in, o.vlan)) return drop(o, in_no, Drop::vlan_not_member);

    const std::uint64_t src = number(f, 6);
    const std::uint64_t dst = number(f, 0);
    const auto known_src = fdb.find({o.vlan, src});
    o.learn = in.learning && src != 0 && (known_src == fdb.end() || known_src->second != in_no);

    const auto known = fdb.find({o.vlan, dst});
    const bool group = f[0] % 2 == 1;
    const bool elsewhere =
        known != fdb.end() && w_.ports.at(known->second).policy.bridge != w_.ports.at(in_no).policy.bridge;
    if (!group && known != fdb.end() && !elsewhere) {
      const PortNo to = known->second;
      const PortPolicy& out = w_.ports.at(to).policy;
      if (to == in_no) return drop(o, in_no, Drop::same_port);
      if (in.protected_port && out.protected_port) return drop(o, in_no, Drop::protected_port);
      if (!member(out, o.vlan)) return drop(o, to, Drop::egress_vlan);
      if (!w_.shared(to).up) return drop(o, to, Drop::port_down);
      put(o, to, f, tagged);
      return o;
    }
    bool any = false;
    for (const auto& [to, conf] : w_.ports) {
      if (to == in_no || conf.policy.bridge != in.bridge || !member(conf.policy, o.vlan)) continue;
      if ((in.protected_port && conf.policy.protected_port) || !w_.shared(to).up) continue;
      any = true;
      put(o, to, f, tagged);
    }
    return any ? o : drop(o, in_no, Drop::no_destination);
  }

 private:
  static std::uint64_t number(const Bytes& f, std::size_t at) {
    std::uint64_t n = 0;
    for (std::size_t i = at; i < at + 6; ++i) n = n * 256 + f[i];
    return n;
  }
  static bool member(const PortPolicy& p, VlanId vlan) {
    switch (p.vlan_mode) {
      case VlanMode::access:
        return p.tag == vlan;
      case VlanMode::trunk:
        return p.trunks.none() || p.trunks[vlan];
      case VlanMode::native_tagged:
      case VlanMode::native_untagged:
        return p.trunks.none() || p.trunks[vlan] || p.tag == vlan;
    }
    return false;
  }
  static Outcome& drop(Outcome& o, PortNo at, Drop why) {
    ++o.drops[std::to_string(static_cast<int>(at)) + ":" + std::string(drop_name(why))];
    return o;
  }
  void put(Outcome& o, PortNo to, const Bytes& f, bool was_tagged) const {
    const PortPolicy& p = w_.ports.at(to).policy;
    bool tag = o.vlan != 0;
    if (p.vlan_mode == VlanMode::access) tag = false;
    if (p.vlan_mode == VlanMode::native_untagged && o.vlan == p.tag) tag = false;
    Bytes out(f.begin(), f.begin() + 12);
    if (tag && was_tagged) {  // priority and tag protocol stay
      const auto high = static_cast<std::uint16_t>((f[14] & 0xf0) << 8);
      out =
          packet::test::cat({out, {f[12], f[13]}, packet::test::be16_bytes(static_cast<std::uint16_t>(high | o.vlan))});
    } else if (tag) {
      out = packet::test::cat({out, {0x81, 0x00}, packet::test::be16_bytes(o.vlan)});
    }
    out.insert(out.end(), f.begin() + (was_tagged ? 16 : 12), f.end());
    const unsigned mtu = w_.shared(to).mtu;
    if (mtu != 0 && out.size() > mtu + (tag ? 22U : 18U)) {
      drop(o, to, Drop::oversize);
    } else {
      o.out[to] = out;
    }
  }
  World& w_;
};

inline const std::vector<std::pair<std::string, PortPolicy>> kPolicies = {
    {"access 0", access()},
    {"access 10", access(10)},
    {"trunk", trunk()},
    {"trunk 10,20", trunk({10, 20})},
    {"trunk 0,10", trunk({0, 10})},
    {"trunk 4095", trunk({4095})},
    {"native-tagged 10", trunk({}, VlanMode::native_tagged, 10)},
    {"native-tagged 10 of 20", trunk({20}, VlanMode::native_tagged, 10)},
    {"native-untagged 10", trunk({}, VlanMode::native_untagged, 10)},
    {"native-untagged 10 of 20", trunk({20}, VlanMode::native_untagged, 10)},
};
inline const std::vector<std::pair<std::string, std::optional<Tag>>> kTags = {
    {"untagged", std::nullopt},
    {"priority 5", Tag{0x8100, 0xa000}},
    {"priority 0", Tag{0x8100, 0}},
    {"VLAN 10", Tag{0x8100, 10}},
    {"VLAN 20", Tag{0x8100, 20}},
    {"VLAN 30", Tag{0x8100, 30}},
    {"VLAN 10 with DEI 7", Tag{0x8100, 0xf00a}},
    {"service VLAN 10", Tag{0x88a8, 0x600a}},
    {"VLAN 4095", Tag{0x8100, 0xffff}},
};

}  // namespace heddle::dp::test
