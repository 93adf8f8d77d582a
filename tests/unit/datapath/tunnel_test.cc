// SPDX-License-Identifier: Apache-2.0
// VXLAN in the forwarder: what leaves is taken apart here byte by byte (RFC 7348), what arrives is put together here;
// split horizon, learning from the outer source.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <random>

#include "tests/unit/datapath/overlay.h"

namespace heddle::dp {
namespace {

using namespace test;

TEST(Tunnel, WritesTheOuterHeaders) {
  for (const bool v6 : {false, true}) {
    for (const bool csum : {false, true}) {
      for (const bool inherit : {false, true}) {
        TunnelSpec v = vni10(v6 ? kThere6 : kThere);
        v.vxlan().vni = 0xabcdef;
        v.csum = csum;
        v.df = !csum;
        v.tos = 0x28;
        v.ttl = 9;
        v.tos_inherit = v.ttl_inherit = inherit;
        v.vxlan().dst_port = inherit ? 8472 : 4789;
        Overlay w(v);
        // Inner packets: DSCP 0x48, ECT(0), TTL 61 or hop limit 62; then no IP at all.
        const Bytes l4 = packet::test::udp({1, 2, 3});
        const Bytes f = frame(mac(2), mac(1), {}, cat({{0x08, 0x00}, packet::test::ipv4(17, l4, {.tos = 0x4a})}));
        w.arrive(w.vm, f);
        EXPECT_EQ(open(w.one_by_slot(w.wire), v, inherit ? 0x4a : 0x2a, inherit ? 61 : 9), f);
        const Bytes f6 = frame(mac(2), mac(1), {}, cat({{0x86, 0xdd}, packet::test::ipv6(17, l4, 0x49)}));
        w.arrive(w.vm, f6);
        EXPECT_EQ(open(w.one_by_slot(w.wire), v, inherit ? 0x49 : 0x29, inherit ? 62 : 9), f6);
        const Bytes odd = frame(mac(2), mac(1), Tag{0x8100, 0}, {0x99, 0x99, 7});
        w.arrive(w.vm, odd);
        EXPECT_EQ(open(w.one_by_slot(w.wire), v, 0x28, 9), frame(mac(2), mac(1), {}, {0x99, 0x99, 7}));
        EXPECT_EQ(w.counters(w.tun).tx_packets, 3U);
        EXPECT_EQ(w.counters(w.tun).tx_bytes, f.size() + f6.size() + odd.size() - 4);
      }
    }
  }
}

TEST(Tunnel, OpensWhatIsForUsAndNothingElse) {
  Overlay w;
  w.know(0, mac(1), w.vm);
  const Bytes inner = frame(mac(1), mac(2));
  const Bytes good = outer(inner, 10, kThere, kHere);
  const auto changed = [&](std::size_t at, std::uint8_t to) {
    Bytes b = good;
    b.at(at) = to;
    return b;
  };
  Bytes short_inner = frame(mac(1), mac(2));
  short_inner.resize(13);
  Bytes padded = good;
  padded.insert(padded.end(), 20, 0xff);
  struct Case {
    std::string what;
    Bytes packet;
    std::optional<Drop> why;  // none: the inner frame arrives
  };
  const Case cases[] = {
      {"no UDP checksum", good, {}},
      {"right UDP checksum", outer(inner, 10, kThere, kHere, UdpSum::right), {}},
      {"wrong UDP checksum", outer(inner, 10, kThere, kHere, UdpSum::wrong), Drop::bad_udp_checksum},
      {"reserved bits set", outer(inner, 10, kThere, kHere, UdpSum::none, 0xff), {}},
      {"padding behind the datagram", padded, {}},
      {"another VNI", outer(inner, 11, kThere, kHere), Drop::unknown_vni},
      {"another sender", outer(inner, 10, kElsewhere, kHere), Drop::unknown_vni},
      {"another family", outer(inner, 10, kThere6, kHere6), Drop::unknown_vni},
      {"no I flag", outer(inner, 10, kThere, kHere, UdpSum::none, 0), Drop::bad_vxlan},
      {"no room for an Ethernet header", outer(short_inner, 10, kThere, kHere), Drop::truncated},
      {"IP header checksum wrong", changed(24, 0xff), Drop::bad_header},
      {"IP longer than the frame", slice(good, 0, good.size() - 1), Drop::bad_length},
      {"cut in the VXLAN header", slice(good, 0, 45), Drop::bad_length},
      {"cut in the IP header", slice(good, 0, 30), Drop::truncated},
      {"not even Ethernet", slice(good, 0, 10), Drop::truncated},
      {"ARP", packet::test::eth(0x0806, Bytes(46, 0)), Drop::truncated},
  };
  for (const Case& c : cases) {
    w.arrive_at_slot(w.wire, c.packet);
    const auto sent = w.sent(w.vm);
    auto drops = w.drops();
    if (c.what == "ARP") {  // which header it lacks is no matter, but that it is counted is
      EXPECT_EQ(drops.size(), 1U) << c.what;
      EXPECT_TRUE(sent.empty());
      continue;
    }
    EXPECT_EQ(drops, c.why ? World::only_underlay(0, *c.why) : World::Drops{}) << c.what;
    ASSERT_EQ(sent.size(), c.why ? 0U : 1U) << c.what;
    EXPECT_TRUE(sent.empty() || sent[0].bytes == inner) << c.what;
  }
  EXPECT_EQ(w.counters(w.tun).rx_packets, 4U);
  EXPECT_EQ(w.counters(w.tun).rx_bytes, 4 * inner.size());
}

// The device that brought a packet is told by the underlay, or by each frame in place of the outer source MAC.
TEST(Tunnel, TakesPacketsFromDevicesThatLeadToTheSender) {
  constexpr int kLeads = 7;
  constexpr int kToo = 9;
  constexpr int kTenants = 12;
  constexpr int kOther = 5;
  struct Case {
    std::string what;
    bool multipoint;
    bool strict;
    bool routed;
    std::vector<int> taken;
  };
  for (const Case& c : {Case{"strict", false, true, true, {kLeads, kToo}},
                        {"strict, no route", false, true, false, {kLeads, kToo, kOther}},
                        {"loose", false, false, true, {kLeads, kToo, kOther}},
                        {"multipoint", true, true, true, {kLeads, kToo, kOther}}}) {
    TunnelSpec v = vni10();
    v.strict_ingress = c.strict;
    if (c.multipoint) v.remote = std::nullopt;
    Overlay w(v);
    w.know(0, mac(1), w.vm);
    if (c.routed && !c.multipoint) {
      const std::uint32_t number = w.ports[w.tun].path;
      auto path = std::make_unique<TunnelPath>(*w.paths.at(number));
      path->devices = {kLeads, kToo};
      delete w.paths.replace(number, path.release());
    }
    w.config.untrusted = {kTenants};
    const Bytes inner = frame(mac(1), mac(2));
    for (const bool told_by_underlay : {false, true}) {
      for (const int device : {kLeads, kToo, kTenants, kOther}) {
        Bytes packet = outer(inner, 10, kThere, kHere);
        auto underlay = std::make_shared<IoConf>(*w.config.ios[w.wire]);
        underlay->device = told_by_underlay ? device : 0;
        w.config.ios[w.wire] = std::move(underlay);
        if (!told_by_underlay) std::memcpy(packet.data() + 6, &device, sizeof device);
        w.arrive_at_slot(w.wire, packet);
        const bool taken = std::ranges::find(c.taken, device) != c.taken.end();
        EXPECT_EQ(w.sent(w.vm).size(), taken ? 1U : 0U) << c.what << ", device " << device;
        EXPECT_EQ(w.drops(), taken ? World::Drops{} : World::only_underlay(0, Drop::wrong_ingress)) << c.what;
      }
    }
  }
}

// RFC 7348 section 4.2.
TEST(Tunnel, TakesPacketsToItsOwnGroupAlone) {
  for (const bool v6 : {false, true}) {
    const IpAddr own = *IpAddr::parse(v6 ? "ff05::10" : "239.1.1.10");
    const IpAddr others = *IpAddr::parse(v6 ? "ff15::10" : "239.129.1.10");  // of the same Ethernet address
    const IpAddr here = v6 ? kHere6 : kHere;
    const IpAddr there = v6 ? kThere6 : kThere;
    TunnelSpec v = vni10(std::nullopt);
    v.v6 = v6;
    v.group = own;
    Overlay w(v);
    TunnelSpec flow = vni10(std::nullopt);
    flow.v6 = v6;
    flow.vxlan().vni = 20;
    w.tunnel(flow, trunk());
    TunnelSpec pair = vni10(there);
    pair.vxlan().vni = 30;
    const PortNo p2p = w.tunnel(pair, trunk());
    w.ports[p2p].path = w.path(p2p, here, there, w.wire, 1550);
    w.know(0, mac(1), w.vm);
    const Bytes inner = frame(mac(1), mac(2));
    struct Case {
      std::uint32_t vni;
      IpAddr to;
      std::optional<Drop> why;
    };
    for (const Case& c :
         {Case{10, own, {}}, Case{10, here, {}}, Case{10, others, Drop::wrong_group}, Case{20, own, Drop::wrong_group},
          Case{20, here, {}}, Case{30, own, Drop::unknown_vni}, Case{30, here, {}}, Case{40, own, Drop::unknown_vni}}) {
      w.arrive_at_slot(w.wire, outer(inner, c.vni, there, c.to, UdpSum::right));
      EXPECT_EQ(w.sent(w.vm).size(), c.why ? 0U : 1U) << c.vni << " to " << c.to.to_string();
      EXPECT_EQ(w.drops(), c.why ? World::only_underlay(0, *c.why) : World::Drops{}) << c.vni << c.to.to_string();
    }
  }
}

TEST(Tunnel, CongestionMarksFollowRfc6040) {
  Overlay w;
  w.know(0, mac(1), w.vm);
  const auto inner = [](std::uint8_t tos) {
    return frame(mac(1), mac(2), {}, cat({{0x08, 0x00}, packet::test::ipv4(17, packet::test::udp({1}), {.tos = tos})}));
  };
  w.arrive_at_slot(w.wire, outer(inner(2), 10, kThere, kHere, UdpSum::right, 8, 3));
  EXPECT_EQ(w.one(w.vm), inner(3));
  w.arrive_at_slot(w.wire, outer(inner(0), 10, kThere, kHere, UdpSum::right, 8, 3));
  EXPECT_EQ(w.drops(), World::only(w.tun, Drop::ecn_invalid));
}

TEST(Tunnel, PortsOfOneVniDifferInTheirLocalAddress) {
  TunnelSpec v = vni10();
  v.local = kHere;
  Overlay w(v);
  v.local = kHereToo;
  const PortNo other = w.tunnel(v, trunk());
  v.local = std::nullopt;
  v.remote = std::nullopt;
  const PortNo any = w.tunnel(v, trunk());
  const Bytes inner = frame(mac(1), mac(2));
  w.arrive_at_slot(w.wire, outer(inner, 10, kThere, kHere));
  w.arrive_at_slot(w.wire, outer(inner, 10, kThere, kHereToo));
  w.arrive_at_slot(w.wire, outer(inner, 10, kThere, kHereToo));
  w.arrive_at_slot(w.wire, outer(inner, 10, kElsewhere, kHere));
  EXPECT_EQ(w.counters(w.tun).rx_packets, 1U);
  EXPECT_EQ(w.counters(other).rx_packets, 2U);
  EXPECT_EQ(w.counters(any).rx_packets, 1U);
}

TEST(Tunnel, LearnsTheRemoteOfAMultipointPort) {
  Overlay w(vni10(std::nullopt));
  const std::uint32_t there = w.path(w.tun, kHere, kThere, w.wire);
  const Bytes inner = frame(mac(1), mac(2));
  w.arrive_at_slot(w.wire, outer(inner, 10, kThere, kHere));
  auto records = w.learned(w.tun);
  ASSERT_EQ(records.size(), 1U);
  EXPECT_TRUE(records[0].tunnelled);
  EXPECT_EQ(records[0].remote, kThere);
  EXPECT_EQ(records[0].key, fdb_key(0, mac(2)));
  w.know(0, mac(2), w.tun, there);
  w.now = 77;
  w.arrive_at_slot(w.wire, outer(inner, 10, kThere, kHere));
  EXPECT_TRUE(w.learned(w.tun).empty());
  std::uint32_t used = 0;
  ASSERT_TRUE(w.fdb().used_at(fdb_key(0, mac(2)), used));
  EXPECT_EQ(used, 77U);
  w.arrive_at_slot(w.wire, outer(inner, 10, kElsewhere, kHere));  // the station moved to another host
  records = w.learned(w.tun);
  ASSERT_EQ(records.size(), 1U);
  EXPECT_EQ(records[0].remote, kElsewhere);
}

TEST(Tunnel, FloodsToEveryRemoteOfTheList) {
  Overlay w(vni10(std::nullopt));
  w.ports[w.tun].flood = {w.path(w.tun, kHere, kThere, w.wire), w.path(w.tun, kHere, kElsewhere, w.wire)};
  const Bytes f = segment(true, false, false);
  w.arrive(w.vm, f, {.maybe_partial = true});
  const auto sent = w.sent_by_slot(w.wire);
  ASSERT_EQ(sent.size(), 2U);
  EXPECT_EQ(open(sent[0].bytes, vni10(), 0, 64), segment(true, false, true));
  EXPECT_EQ(slice(sent[1].bytes, 30, 34), packet::test::addr_bytes(kElsewhere));
  EXPECT_EQ(slice(sent[1].bytes, 50, sent[1].bytes.size()), segment(true, false, true));
}

TEST(Tunnel, SplitHorizon) {
  for (const bool on : {true, false}) {
    TunnelSpec v = vni10();
    v.split_horizon = on;
    Overlay w(v);
    TunnelSpec second = v;
    second.vxlan().vni = 20;
    const PortNo b = w.tunnel(second, trunk());
    w.ports[b].path = w.path(b, kHere, kThere, w.wire);
    w.know(0, mac(3), b, w.ports[b].path);
    w.arrive_at_slot(w.wire, outer(frame(mac(9), mac(2)), 10, kThere, kHere));  // flood
    EXPECT_EQ(w.sent(w.vm).size(), 1U);
    EXPECT_EQ(w.sent_by_slot(w.wire).size(), on ? 0U : 1U);
    EXPECT_TRUE(w.drops().empty());
    w.arrive_at_slot(w.wire, outer(frame(mac(3), mac(2)), 10, kThere, kHere));  // known
    EXPECT_EQ(w.sent_by_slot(w.wire).size(), on ? 0U : 1U);
    EXPECT_EQ(w.drops(), on ? World::only(w.tun, Drop::split_horizon) : World::Drops{});
  }
}

// datapath.h: "frames from a tunnel do not leave through this one" - it is the way out that decides.
TEST(Tunnel, SplitHorizonIsTheWayOutsMatter) {
  TunnelSpec open_spec = vni10();
  open_spec.split_horizon = false;
  Overlay w(open_spec);
  TunnelSpec strict = vni10();
  strict.vxlan().vni = 20;
  const PortNo b = w.tunnel(strict, trunk());
  w.ports[b].path = w.path(b, kHere, kThere, w.wire);
  w.arrive_at_slot(w.wire, outer(frame(mac(9), mac(2)), 10, kThere, kHere));
  EXPECT_EQ(w.sent_by_slot(w.wire).size(), 0U) << "left through a tunnel with split horizon";
  EXPECT_EQ(w.sent(w.vm).size(), 1U);
}

TEST(Tunnel, WithoutARouteThereIsNoWay) {
  Overlay w;
  w.ports[w.tun].path = 60000;  // nothing there
  w.commit();
  w.arrive(w.vm, frame(mac(2), mac(1)));
  EXPECT_EQ(w.drops(), World::only(w.tun, Drop::no_route));
}

TEST(Tunnel, CarriesJumboFrames) {
  TunnelSpec v = vni10();
  v.csum = true;
  Overlay w(v, access(), 9100);
  const PortNo b = w.device(access());
  const Bytes payload = packet::test::filler(8900);
  const Bytes f = frame(mac(2), mac(1), {}, cat({{0x12, 0x34}, payload}));
  w.arrive(w.vm, f, {.cuts = {3840, 7680}});  // flood: to the tunnel and to b
  EXPECT_EQ(w.one(b), f);
  const Bytes packet = w.one_by_slot(w.wire);
  EXPECT_EQ(open(packet, v, 0, 64), f);
  Bytes back = outer(f, 10, kThere, kHere, UdpSum::right);
  for (const std::vector<std::size_t>& cuts : {std::vector<std::size_t>{3840, 7680}, {64, 3900, 7700}, {3001, 6001}}) {
    w.arrive_at_slot(w.wire, back, {.maybe_partial = true, .cuts = cuts});
    EXPECT_EQ(w.one(w.vm), f);
    EXPECT_EQ(w.one(b), f);
  }
  w.arrive_at_slot(w.wire, back, {.cuts = {60, 3800, 7600}});  // headers not in the first buffer
  EXPECT_EQ(w.drops(), World::only_underlay(0, Drop::truncated));
  back.insert(back.end(), 7, 0xff);  // more bytes than the datagram
  w.arrive_at_slot(w.wire, back, {.cuts = {3840, 7680}});
  EXPECT_EQ(w.one(w.vm), f) << "bytes behind the outer datagram are no part of the inner frame";
}

// Random frames both ways, random damage: each ends somewhere, exactly once when it has one way to go.
TEST(Tunnel, EveryFrameEndsOnce) {
  std::mt19937 random(3);
  TunnelSpec many = vni10(std::nullopt);
  many.vxlan().vni = 30;
  many.split_horizon = false;
  Overlay w(vni10(), trunk());
  const PortNo b = w.device(access(10));
  const PortNo multi = w.tunnel(many, trunk());
  const std::uint32_t paths[] = {w.path(multi, kHere, kThere, w.wire, 400), w.path(multi, kHere, kElsewhere, w.wire)};
  for (const VlanId vlan : {0, 10}) {
    w.know(vlan, mac(1), w.vm);
    w.know(vlan, mac(2), w.tun, w.ports[w.tun].path);
    w.know(vlan, mac(3), b);
    w.know(vlan, mac(4), multi, paths[0]);
    w.know(vlan, mac(5), multi, paths[1]);
  }
  for (int i = 0; i < 20000; ++i) {
    Bytes f = segment(random() % 2 != 0, random() % 2 != 0, random() % 2 != 0, random() % 1500,
                      random() % 2 != 0 ? std::optional<Tag>(Tag{0x8100, 10}) : std::nullopt);
    f[5] = static_cast<std::uint8_t>(1 + random() % 5);
    f[11] = static_cast<std::uint8_t>(1 + random() % 5);
    const bool wire = random() % 2 != 0;
    if (wire) {
      f = outer(f,
                random() % 8 == 0   ? 11
                : random() % 2 != 0 ? 10
                                    : 30,
                random() % 3 == 0 ? kElsewhere : kThere, kHere,
                random() % 4 == 0   ? UdpSum::wrong
                : random() % 2 != 0 ? UdpSum::none
                                    : UdpSum::right);
    }
    for (unsigned n = random() % 4 == 0 ? random() % 4 : 0; n > 0; --n) {
      f[12 + random() % (f.size() - 12)] = static_cast<std::uint8_t>(random());
    }
    if (random() % 10 == 0) f.resize(1 + random() % f.size());
    Arrival how{.maybe_partial = random() % 2 != 0};
    for (std::size_t at = 1 + random() % 200; random() % 2 != 0 && at < f.size(); at += 1 + random() % 800)
      how.cuts.push_back(at);
    const std::uint64_t answers = w.counters(w.vm).icmp_too_big + w.counters(b).icmp_too_big;
    w.arrive_at_slot(wire ? w.wire : w.ports[random() % 2 != 0 ? w.vm : b].io, f, how);
    std::size_t ends = 0;
    for (const auto& io : w.ios) ends += std::exchange(io->sent, {}).size();
    for (const auto& [what, n] : w.drops()) ends += n;
    ends -= w.counters(w.vm).icmp_too_big + w.counters(b).icmp_too_big - answers;
    // More than one end: a damaged destination or VLAN was flooded.
    ASSERT_GE(ends, 1U) << "frame " << i;
    ASSERT_LE(ends, w.ports.size()) << "frame " << i;
    if (i % 64 == 0)
      for (const auto& [no, port] : w.ports) w.learned(no);
    w.now = 1 + static_cast<std::uint32_t>(i) / 50;
  }
}

}  // namespace
}  // namespace heddle::dp
