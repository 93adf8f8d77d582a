// SPDX-License-Identifier: Apache-2.0
// Decisions about frames, without a frame being sent: NORMAL's walk against a naive bridge written from IEEE 802.1Q, a
// bridge's rules, tunnels and the copies of mirrors against tables, and that deciding changes nothing.
#include <gtest/gtest.h>

#include <random>
#include <set>

#include "datapath/user/mirrors.h"
#include "datapath/user/normal_path.h"
#include "tests/unit/datapath/naive_bridge.h"
#include "tests/unit/datapath/overlay.h"

namespace heddle::dp {
namespace {

using namespace test;

const MacAddr kAll = *MacAddr::parse("ff:ff:ff:ff:ff:ff");
const MacAddr kLldp = *MacAddr::parse("01:80:c2:00:00:0e");

// Asks for decisions about frames that arrive in a World.
class Decider {
 public:
  explicit Decider(World& w) : w_(w), normal_(round_, w.paths), mirrors_(round_) {}

  // Valid until the next call.
  const Decision& decide(PortNo in, const Bytes& f, const IpAddr* outer_source = nullptr) {
    w_.begin();
    round_ = {0, &w_.config, std::uint64_t{w_.now} * 1'000'000'000, w_.now};
    Ingress ingress{w_.config.port(in), outer_source, {}};
    EXPECT_FALSE(packet::parse_l2(f.data(), f.size(), ingress.l2));
    last_ = normal_.decide(ingress);
    if (ingress.port->rules) mirrors_.add_copies(ingress, last_);
    return last_;
  }

 private:
  World& w_;
  Round round_;
  NormalPath normal_;
  Mirrors mirrors_;
  Decision last_;
};

std::string text(const Decision& d) {
  std::string s;
  if (d.drop) s = std::to_string(static_cast<int>(d.counted_at->no)) + ":" + std::string(drop_name(*d.drop));
  for (const Output& to : d.outputs())
    s += (s.empty() ? "" : " ") + std::to_string(static_cast<int>(to.port->no)) + "/" + std::to_string(to.vlan) +
         (to.path != 0 ? "@" + std::to_string(to.path) : "");
  return s;
}
// "slot>port/VLAN", or with the reason for which the copy cannot leave.
std::string copies(const Decision& d) {
  std::string s;
  for (const MirrorCopy& c : d.copies)
    s += (s.empty() ? "" : " ") + std::to_string(c.mirror->slot) + ">" +
         std::to_string(static_cast<int>(c.to.port->no)) + "/" + std::to_string(c.to.vlan) +
         (c.drop ? ":" + std::string(drop_name(*c.drop)) : "");
  return s;
}

// The naive bridge says what becomes of the frame; a frame that is too long for a port ends only there, after the
// decision.
void check(Decider& decider, const NaiveBridge<World>& bridge, PortNo in, const Bytes& f, const std::string& what) {
  const Outcome want = bridge.expect(in, f);
  const Decision& d = decider.decide(in, f);
  std::map<PortNo, VlanId> outputs;
  for (const Output& to : d.outputs()) outputs[to.port->no] = to.vlan;
  ASSERT_EQ(outputs.size(), d.outputs().size()) << what << ": " << text(d);
  std::map<PortNo, VlanId> expected;
  std::string drop;
  for (const auto& [no, bytes] : want.out) expected[no] = want.vlan;
  for (const auto& [reason, n] : want.drops) {
    if (reason.ends_with(":oversize")) {
      expected[static_cast<PortNo>(std::stoi(reason))] = want.vlan;
    } else {
      drop = reason;
    }
  }
  ASSERT_EQ(outputs, expected) << what << ": " << text(d);
  ASSERT_EQ(d.drop ? text(d) : "", drop) << what;
  ASSERT_EQ(d.learn, want.learn) << what;
  if (d.admitted && d.drop != Drop::reserved_multicast) {
    ASSERT_EQ(d.vlan, want.vlan) << what;
  }
  ASSERT_TRUE(d.copies.empty()) << what;
  if (d.source_use == nullptr) return;
  const auto known = bridge.fdb.find({want.vlan, packet::load<MacAddr>(f.data() + 6).to_u64()});
  ASSERT_TRUE(known != bridge.fdb.end() && known->second == in) << what << ": a foreign entry is kept alive";
}

TEST(Decision, VlanMatrix) {
  World w;
  const PortNo a = w.device(access());
  const PortNo b = w.device(access());
  Decider decider(w);
  NaiveBridge<World> bridge(w);
  for (const VlanId vlan : {0, 10, 20, 30, 4095}) {
    for (const auto& [n, at] : {std::pair(2U, b), std::pair(3U, a)}) {
      w.know(vlan, mac(n), at);
      bridge.fdb[{vlan, mac(n).to_u64()}] = at;
    }
  }
  for (const auto& [in_name, in] : kPolicies) {
    for (const auto& [out_name, out] : kPolicies) {
      w.ports[a].policy = in;
      w.ports[b].policy = out;
      w.commit();
      for (const auto& [tag_name, tag] : kTags) {
        for (const MacAddr& dst : {mac(2), mac(3), mac(9), kAll, kLldp})
          check(decider, bridge, a, frame(dst, mac(1), tag),
                in_name + " -> " + out_name + ", " + tag_name + " to " + dst.to_string());
        if (HasFatalFailure()) return;
      }
    }
  }
}

// Policies, protection, links that are down, moved and unknown stations, ports without a bridge; in half of the rounds
// the bridges have rules that touch no frame.
TEST(Decision, AgreesWithANaiveBridge) {
  World w;
  std::mt19937 random(11);
  Decider decider(w);
  NaiveBridge<World> bridge(w);
  std::vector<PortNo> ports;
  for (int i = 0; i < 6; ++i) ports.push_back(w.device(access()));
  for (int i = 0; i < 20000; ++i) {
    if (i % 100 == 0) {
      for (const PortNo p : ports) {
        PortPolicy policy = kPolicies[random() % kPolicies.size()].second;
        policy.protected_port = random() % 3 == 0;
        policy.learning = random() % 4 != 0;
        policy.bridge = random() % 10 == 0 ? BridgeId::none : static_cast<BridgeId>(random() % 5 == 0 ? 1 : 0);
        w.ports[p].policy = policy;
        w.shared(p).up = random() % 6 != 0;
        w.shared(p).mtu = random() % 3 == 0 ? 50 : 1500;
      }
      w.rules.clear();
      if (random() % 2 == 0) w.rules[0].flood_vlans.set(4000);
      if (random() % 2 == 0) w.rules[1].mirrors[0].from = {static_cast<PortNo>(4000)};
      w.commit();
      for (unsigned n = 0; n < 8; ++n) {
        for (const VlanId vlan : {0, 10, 20}) {
          const PortNo at = ports[random() % ports.size()];
          w.know(vlan, mac(n), at, 0, 0);
          w.know(vlan, mac(n), at, 0, 1);
          bridge.fdb[{vlan, mac(n).to_u64()}] = at;
        }
      }
    }
    MacAddr dst = mac(random() % 10);
    MacAddr src = mac(random() % 10);
    if (random() % 10 == 0) dst = MacAddr::from_u64(0x0180c2000000ULL + random() % 20);
    if (random() % 20 == 0) dst = kAll;
    if (random() % 30 == 0) src.bytes[0] |= 1;
    if (random() % 50 == 0) src = MacAddr{};
    check(decider, bridge, ports[random() % ports.size()], frame(dst, src, kTags[random() % kTags.size()].second),
          "frame " + std::to_string(i));
    if (HasFatalFailure()) return;
  }
}

// Asking is free of effects, however often: no frame, no event, no counter, no mark.
TEST(Decision, ChangesNothing) {
  World w;
  const PortNo a = w.device(access());
  const PortNo b = w.device(access());
  w.know(0, mac(1), a);
  w.now = 50;
  Decider decider(w);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(text(decider.decide(a, frame(mac(2), mac(1)))), "2/0");
    const Decision& known = decider.decide(a, frame(mac(2), mac(1)));
    EXPECT_NE(known.source_use, nullptr);
    EXPECT_FALSE(known.learn);
    EXPECT_TRUE(decider.decide(b, frame(mac(2), mac(1))).learn) << "moved";
    EXPECT_TRUE(decider.decide(a, frame(mac(2), mac(7))).learn) << "unknown";
  }
  w.forwarder.flush();
  std::uint32_t used = 0;
  ASSERT_TRUE(w.fdb().used_at(fdb_key(0, mac(1)), used));
  EXPECT_EQ(used, 1U);
  EXPECT_TRUE(w.learned(a).empty());
  EXPECT_TRUE(w.learned(b).empty());
  EXPECT_TRUE(w.sent(b).empty());
  EXPECT_TRUE(w.drops().empty());
}

// Ports 1 and 2 carry all VLANs, port 3 is access 10; mac(n) is behind port n in VLAN 10.
TEST(Decision, RulesOfABridge) {
  struct Case {
    std::string what;
    BridgePolicy rules;
    MacAddr dst;
    VlanId vlan;
    std::string decision;
    bool learn;
  };
  const BridgePolicy none;
  BridgePolicy secure;
  secure.secure = true;
  BridgePolicy flood_10;
  flood_10.flood_vlans.set(10);
  const Case cases[] = {
      {"no rules, known", none, mac(2), 10, "2/10", true},
      {"no rules, unknown", none, mac(9), 10, "2/10 3/10", true},
      {"no rules, to where it came from", none, mac(1), 10, "1:same_port", true},
      {"secure, known", secure, mac(2), 10, "1:fail_secure", false},
      {"secure, everyone", secure, kAll, 10, "1:fail_secure", false},
      {"secure, reserved", secure, kLldp, 10, "1:reserved_multicast", false},
      {"flooded VLAN, known", flood_10, mac(2), 10, "2/10 3/10", false},
      {"flooded VLAN, to where it came from", flood_10, mac(1), 10, "2/10 3/10", false},
      {"flooded VLAN, reserved", flood_10, kLldp, 10, "1:reserved_multicast", false},
      {"another VLAN than the flooded one", flood_10, mac(2), 20, "2/20", true},
  };
  for (const Case& c : cases) {
    World w;
    const PortNo ports[] = {w.device(trunk()), w.device(trunk()), w.device(access(10))};
    for (unsigned n = 1; n <= 3; ++n) w.know(10, mac(n), ports[n - 1]);
    w.rules[0] = c.rules;
    Decider decider(w);
    const Decision& d = decider.decide(ports[0], frame(c.dst, mac(77), Tag{0x8100, c.vlan}));
    EXPECT_EQ(text(d), c.decision) << c.what;
    EXPECT_EQ(d.learn, c.learn) << c.what;
  }
}

MirrorSpec mirror(bool all, std::vector<PortNo> from, std::vector<PortNo> to, PortNo output,
                  std::optional<VlanId> output_vlan = {}) {
  MirrorSpec m;
  m.all = all;
  m.from = std::move(from);
  m.to = std::move(to);
  m.output = output;
  m.output_vlan = output_vlan;
  return m;
}

// Ports 1 to 3 are access 10, port 4 a trunk of VLAN 99, 5 the output of mirrors, 6 an output that is down; mac(n) is
// behind port n.
TEST(Decision, CopiesForMirrors) {
  const auto port = [](int n) { return static_cast<PortNo>(n); };
  const MirrorSpec to_5 = mirror(false, {port(1)}, {}, port(5));
  MirrorSpec vlan_20_only = to_5;
  vlan_20_only.vlans.set(20);
  const MirrorSpec rspan = mirror(true, {}, {}, PortNo::none, 99);
  struct Case {
    std::string what;
    std::map<unsigned, MirrorSpec> mirrors;
    int in;
    MacAddr dst;
    std::string decision;
    std::string copies;
  };
  const Case cases[] = {
      {"by the way in", {{0, to_5}}, 1, mac(2), "2/10", "0>5/10"},
      {"by another way in", {{0, to_5}}, 2, mac(3), "3/10", ""},
      {"by the way out", {{3, mirror(false, {}, {port(2)}, port(5))}}, 1, mac(2), "2/10", "3>5/10"},
      {"by one way out of a flood", {{3, mirror(false, {}, {port(2)}, port(5))}}, 1, kAll, "2/10 3/10", "3>5/10"},
      {"by both, once", {{0, mirror(false, {port(1)}, {port(2)}, port(5))}}, 1, mac(2), "2/10", "0>5/10"},
      {"two mirrors, in the order of their slots",
       {{7, mirror(true, {}, {}, port(6))}, {0, to_5}},
       1,
       mac(2),
       "2/10",
       "0>5/10 7>6/10:port_down"},
      {"another VLAN than the selected", {{0, vlan_20_only}}, 1, mac(2), "2/10", ""},
      {"a frame that ends after it was admitted", {{0, to_5}}, 1, mac(1), "1:same_port", "0>5/10"},
      {"a reserved address", {{0, to_5}}, 1, kLldp, "1:reserved_multicast", "0>5/10"},
      {"into a VLAN", {{0, rspan}}, 1, mac(2), "2/10", "0>4/99"},
      {"a reserved address into a VLAN", {{0, rspan}}, 1, kLldp, "1:reserved_multicast", ""},
      {"no such output", {{0, mirror(true, {}, {}, port(4000))}}, 1, mac(2), "2/10", ""},
  };
  for (const Case& c : cases) {
    World w;
    for (unsigned n = 1; n <= 3; ++n) w.know(10, mac(n), w.device(access(10)));
    w.device(trunk({99}));
    w.device(access());
    w.shared(w.device(access())).up = false;
    w.rules[0].mirrors = c.mirrors;
    Decider decider(w);
    const Decision& d = decider.decide(port(c.in), frame(c.dst, mac(77)));
    EXPECT_EQ(text(d), c.decision) << c.what;
    EXPECT_EQ(copies(d), c.copies) << c.what;
  }
}

TEST(Decision, WhatIsNotAdmittedIsNotCopied) {
  World w;
  const PortNo a = w.device(access());
  const PortNo x = w.device(access());
  w.rules[0].mirrors[0] = mirror(true, {}, {}, x);
  Decider decider(w);
  for (const MacAddr& dst : {mac(2), kLldp}) {
    const Decision& d = decider.decide(a, frame(dst, mac(1), Tag{0x8100, 7}));
    EXPECT_TRUE(d.drop);
    EXPECT_FALSE(d.admitted);
    EXPECT_EQ(copies(d), "");
  }
}

// A flood names every remote of a multipoint port's list; split horizon and the hub rule are the way out's.
TEST(Decision, Tunnels) {
  for (const bool split_horizon : {true, false}) {
    TunnelSpec hub = vni10(std::nullopt);
    hub.split_horizon = split_horizon;
    Overlay w(hub);
    const std::uint32_t there = w.path(w.tun, kHere, kThere, w.wire);
    const std::uint32_t elsewhere = w.path(w.tun, kHere, kElsewhere, w.wire);
    w.ports[w.tun].flood = {there, elsewhere};
    w.know(0, mac(2), w.tun, there);
    w.know(0, mac(3), w.tun, elsewhere);
    Decider decider(w);
    EXPECT_EQ(text(decider.decide(w.vm, frame(kAll, mac(1)))), "2/0@1 2/0@2");
    EXPECT_EQ(text(decider.decide(w.vm, frame(mac(3), mac(1)))), "2/0@2");
    EXPECT_EQ(text(decider.decide(w.tun, frame(kAll, mac(2)), &kThere)), split_horizon ? "1/0" : "1/0 2/0@2");
    EXPECT_EQ(text(decider.decide(w.tun, frame(mac(3), mac(2)), &kThere)), split_horizon ? "2:split_horizon" : "2/0@2");
    EXPECT_EQ(text(decider.decide(w.tun, frame(mac(2), mac(2)), &kThere)),
              split_horizon ? "2:split_horizon" : "2:same_port");
    EXPECT_FALSE(decider.decide(w.tun, frame(kAll, mac(2)), &kThere).learn);
    EXPECT_TRUE(decider.decide(w.tun, frame(kAll, mac(2)), &kElsewhere).learn) << "moved to another host";
  }
}

}  // namespace
}  // namespace heddle::dp
