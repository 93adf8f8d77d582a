// SPDX-License-Identifier: Apache-2.0
#include "packet/parse.h"

#include <gtest/gtest.h>

#include <string>

#include "base/limits.h"
#include "tests/unit/packet/frames.h"

namespace heddle::packet {
namespace {

using namespace test;
using Kind = L3L4::Kind;

TEST(ParseL2, ReadsAddressesAndOuterTag) {
  L2 l2;
  const Bytes plain = eth(kEthIpv4, filler(46));
  ASSERT_FALSE(parse_l2(plain.data(), plain.size(), l2));
  EXPECT_EQ(l2.dst, kDstMac);
  EXPECT_EQ(l2.src, kSrcMac);
  EXPECT_EQ(l2.vlan_tpid, 0);
  EXPECT_EQ(l2.eth_type, kEthIpv4);
  EXPECT_EQ(l2.l3_offset, 14);

  const Bytes twice = eth(kEthIpv4, filler(46), {kEthQinq, kEthVlan});
  ASSERT_FALSE(parse_l2(twice.data(), twice.size(), l2));
  EXPECT_EQ(l2.vlan_tpid, kEthQinq);
  EXPECT_EQ(l2.vlan_tci, 100);
  EXPECT_EQ(l2.eth_type, kEthVlan);
  EXPECT_EQ(l2.l3_offset, 18);

  ASSERT_FALSE(parse_l2(plain.data(), plain.size(), l2));
  EXPECT_EQ(l2.vlan_tpid, 0) << "left over from the frame before";
  EXPECT_EQ(l2.vlan_tci, 0);
}

TEST(ParseL2, RefusesTruncatedHeaders) {
  L2 l2;
  const Bytes tagged = eth(kEthIpv4, {}, {kEthVlan});
  for (std::size_t len = 0; len < 18; ++len) EXPECT_EQ(parse_l2(tagged.data(), len, l2), Drop::truncated) << len;
  EXPECT_FALSE(parse_l2(tagged.data(), 18, l2));
  const Bytes bare = eth(0x88cc, {});
  EXPECT_FALSE(parse_l2(bare.data(), 14, l2));
}

Bytes arp() {
  ArpIpv4 a{};
  a.hardware = be16(1);
  a.protocol = be16(kEthIpv4);
  a.hardware_len = 6;
  a.protocol_len = 4;
  a.op = be16(1);
  return bytes_of(a);
}

struct Good {
  std::string name;
  Bytes frame;
  Kind kind;
  std::uint8_t proto = 0;
  std::uint16_t l3 = 14;
  std::uint16_t l4 = 0;
  std::uint32_t l4_len = 0;
  bool fragment = false;
  bool first = false;
};

std::vector<Good> good_frames() {
  const Bytes t = tcp(filler(10));
  const Bytes u = udp(filler(10));
  const Bytes i = icmp(8);
  Bytes short_udp = udp(filler(10));
  put16(short_udp, 4, 12);
  const Bytes ah = cat({Bytes{kProtoUdp, 1}, Bytes(10, 0)});  // length field: 4-byte units less two
  const auto v4 = [](const Bytes& ip) { return eth(kEthIpv4, ip); };
  const auto v6 = [](const Bytes& ip) { return eth(kEthIpv6, ip); };
  return {
      {"tcp", v4(ipv4(kProtoTcp, t)), Kind::ipv4, kProtoTcp, 14, 34, 30},
      {"tcp options", v4(ipv4(kProtoTcp, tcp({}, 40))), Kind::ipv4, kProtoTcp, 14, 34, 60},
      {"udp", v4(ipv4(kProtoUdp, u)), Kind::ipv4, kProtoUdp, 14, 34, 18},
      {"udp shorter than its packet", v4(ipv4(kProtoUdp, short_udp)), Kind::ipv4, kProtoUdp, 14, 34, 12},
      {"icmp", v4(ipv4(kProtoIcmp, i)), Kind::ipv4, kProtoIcmp, 14, 34, 16},
      {"ip options", v4(ipv4(kProtoUdp, u, {.options = 40})), Kind::ipv4, kProtoUdp, 14, 74, 18},
      {"gre", v4(ipv4(47, filler(20))), Kind::ipv4, 47, 14, 34, 20},
      {"no payload", v4(ipv4(47, {})), Kind::ipv4, 47, 14, 0, 0},
      {"ethernet padding", cat({v4(ipv4(kProtoUdp, u)), Bytes(30, 0)}), Kind::ipv4, kProtoUdp, 14, 34, 18},
      {"one tag", eth(kEthIpv4, ipv4(kProtoUdp, u), {kEthVlan}), Kind::ipv4, kProtoUdp, 18, 38, 18},
      {"two tags", eth(kEthIpv6, ipv6(kProtoUdp, u), {kEthQinq, kEthVlan}), Kind::ipv6, kProtoUdp, 22, 62, 18},
      {"three tags", eth(kEthIpv4, ipv4(kProtoTcp, t), {kEthQinq, kEthQinq, kEthVlan}), Kind::ipv4, kProtoTcp, 26, 46,
       30},
      {"four tags", eth(kEthIpv4, ipv4(kProtoTcp, t), {kEthQinq, kEthQinq, kEthVlan, kEthVlan}), Kind::none, 0, 26},
      {"v4 first fragment", v4(ipv4(kProtoUdp, u, {.frag = kIpv4Mf})), Kind::ipv4, kProtoUdp, 14, 34, 18, true, true},
      {"v4 tiny first fragment", v4(ipv4(kProtoTcp, filler(8), {.frag = kIpv4Mf})), Kind::ipv4, kProtoTcp, 14, 0, 0,
       true, true},
      {"v4 later fragment", v4(ipv4(kProtoUdp, filler(3), {.frag = 5})), Kind::ipv4, kProtoUdp, 14, 0, 0, true},
      {"v6 tcp", v6(ipv6(kProtoTcp, t)), Kind::ipv6, kProtoTcp, 14, 54, 30},
      {"v6 icmp", v6(ipv6(kProtoIcmp6, icmp(128))), Kind::ipv6, kProtoIcmp6, 14, 54, 16},
      {"v6 nothing follows", v6(ipv6(kProtoNone, filler(5))), Kind::ipv6, kProtoNone},
      {"v6 extensions",
       v6(ipv6(kProtoHopByHop,
               cat({extension(kProtoDestOptions), extension(kProtoRouting, 1), extension(kProtoAh, 2), ah, u}))),
       Kind::ipv6, kProtoUdp, 14, 54 + 8 + 16 + 24 + 12, 18},
      {"v6 first fragment", v6(ipv6(kProtoFragment, cat({fragment_header(kProtoUdp, 1), u}))), Kind::ipv6, kProtoUdp,
       14, 62, 18, true, true},
      {"v6 later fragment", v6(ipv6(kProtoFragment, cat({fragment_header(kProtoTcp, 16), filler(9)}))), Kind::ipv6,
       kProtoTcp, 14, 0, 0, true},
      {"v6 atomic fragment", v6(ipv6(kProtoFragment, cat({fragment_header(kProtoUdp, 0), u}))), Kind::ipv6, kProtoUdp,
       14, 62, 18},
      {"arp", eth(kEthArp, arp()), Kind::arp},
      {"arp of another network", eth(kEthArp, cat({Bytes{0, 7}, arp()})), Kind::none},
      {"llc", eth(40, filler(46)), Kind::none},
      {"lldp", eth(0x88cc, filler(46)), Kind::none},
  };
}

TEST(ParseL3, GoodFrames) {
  for (const Good& want : good_frames()) {
    SCOPED_TRACE(want.name);
    L2 l2;
    L3L4 got;
    ASSERT_EQ(parse_all(want.frame, l2, got), std::nullopt);
    EXPECT_EQ(got.kind, want.kind);
    EXPECT_EQ(got.l4_proto, want.proto);
    EXPECT_EQ(got.l3_offset, want.l3);
    EXPECT_EQ(got.l4_offset, want.l4);
    EXPECT_EQ(got.l4_len, want.l4_len);
    EXPECT_EQ(got.fragment, want.fragment);
    EXPECT_EQ(got.first_fragment, want.first);
  }
}

TEST(ParseL3, ReadsTosTtlAndDf) {
  L2 l2;
  L3L4 l;
  ASSERT_FALSE(parse_all(eth(kEthIpv4, ipv4(kProtoTcp, tcp({}), {.frag = kIpv4Df, .tos = 0xb9})), l2, l));
  EXPECT_EQ(l.tos, 0xb9);
  EXPECT_EQ(l.ttl, 61);
  EXPECT_TRUE(l.df);
  EXPECT_EQ(l.l3_total_len, 40U);
  ASSERT_FALSE(parse_all(eth(kEthIpv6, ipv6(kProtoTcp, tcp({}), 0xb9)), l2, l));
  EXPECT_EQ(l.tos, 0xb9);
  EXPECT_EQ(l.ttl, 62);
  EXPECT_FALSE(l.df);
  EXPECT_EQ(l.l3_total_len, 60U);
}

// A frame cut at any byte gives a drop reason or offsets within the remaining bytes. The vector holds no more than the
// readable bytes, so that the address sanitizer reports a read beyond them.
TEST(ParseL3, CutAnywhereStaysInBounds) {
  for (const Good& good : good_frames()) {
    for (std::size_t cut = 0; cut < good.frame.size(); ++cut) {
      SCOPED_TRACE(good.name + " cut at " + std::to_string(cut));
      const Bytes head(good.frame.begin(), good.frame.begin() + static_cast<std::ptrdiff_t>(cut));
      L2 l2;
      L3L4 l;
      if (parse_l2(head.data(), head.size(), l2)) continue;
      if (!parse_l3(head.data(), head.size(), head.size(), l2, l)) {
        EXPECT_LE(l.l3_offset + l.l3_total_len, cut);
        EXPECT_LE(l.l4_offset + l.l4_len, cut);
      }
      // The rest of the frame is in further buffers: the result is the same, or "truncated" while a header is cut.
      const auto drop = parse_l3(head.data(), head.size(), good.frame.size(), l2, l);
      if (drop) {
        EXPECT_EQ(*drop, Drop::truncated);
      } else {
        EXPECT_EQ(l.l4_offset, good.l4);
      }
    }
  }
}

struct Bad {
  std::string name;
  Bytes frame;
  Drop reason;
};

Bytes with(Bytes frame, std::size_t at, std::uint8_t value) {
  frame.at(at) = value;
  return frame;
}
Bytes with16(Bytes frame, std::size_t at, std::uint16_t value) {
  put16(frame, at, value);
  return frame;
}

std::vector<Bad> bad_frames() {
  const Bytes t4 = eth(kEthIpv4, ipv4(kProtoTcp, tcp(filler(10))));
  const Bytes u4 = eth(kEthIpv4, ipv4(kProtoUdp, udp(filler(10))));
  const Bytes u6 = eth(kEthIpv6, ipv6(kProtoUdp, udp(filler(10))));
  const Bytes u = udp({});
  Bytes short_arp = arp();
  short_arp.pop_back();
  Bytes chain = u;
  for (std::size_t i = 0; i <= limits::kIpv6Extensions; ++i) {
    chain = cat({extension(i == 0 ? kProtoUdp : kProtoDestOptions), chain});
  }
  const auto v6 = [](std::uint8_t next, const Bytes& payload) { return eth(kEthIpv6, ipv6(next, payload)); };
  return {
      {"v4 in a frame of 33", Bytes(t4.begin(), t4.begin() + 33), Drop::truncated},
      {"v4 version 6", with(t4, 14, 0x65), Drop::bad_header},
      {"v4 header of 16", with(t4, 14, 0x44), Drop::bad_header},
      {"v4 header longer than packet", with(with16(t4, 16, 24), 14, 0x47), Drop::bad_length},
      {"v4 total shorter than header", with16(t4, 16, 19), Drop::bad_length},
      {"v4 total longer than frame", with16(t4, 16, 51), Drop::bad_length},
      {"v4 reaches beyond 64 kB", with16(t4, 20, 0x1fff), Drop::bad_length},
      {"tcp header of 16", with(t4, 14 + 20 + 12, 0x40), Drop::bad_header},
      {"tcp header longer than packet", with(t4, 14 + 20 + 12, 0xf0), Drop::bad_length},
      {"tcp in 19 bytes", eth(kEthIpv4, ipv4(kProtoTcp, filler(19))), Drop::bad_length},
      {"tcp in 19 bytes and padding", cat({eth(kEthIpv4, ipv4(kProtoTcp, filler(19))), Bytes(20, 0)}),
       Drop::bad_length},
      {"udp in 7 bytes", eth(kEthIpv4, ipv4(kProtoUdp, filler(7))), Drop::bad_length},
      {"udp length 7", with16(u4, 38, 7), Drop::bad_length},
      {"udp longer than packet", with16(u4, 38, 19), Drop::bad_length},
      {"udp longer than packet, padded", cat({with16(u4, 38, 19), Bytes(20, 0)}), Drop::bad_length},
      {"icmp in 7 bytes", eth(kEthIpv4, ipv4(kProtoIcmp, filler(7))), Drop::bad_length},
      {"v6 version 4", with(u6, 14, 0x40), Drop::bad_header},
      {"v6 longer than frame", with16(u6, 18, 19), Drop::bad_length},
      {"v6 in a frame of 53", Bytes(u6.begin(), u6.begin() + 53), Drop::truncated},
      {"v6 udp length 0", with16(u6, 58, 0), Drop::bad_length},
      {"v6 too many extensions", v6(kProtoDestOptions, chain), Drop::bad_header},
      {"v6 extension longer than packet", v6(kProtoDestOptions, with(cat({extension(kProtoUdp), u}), 1, 9)),
       Drop::bad_length},
      {"v6 late hop-by-hop", v6(kProtoDestOptions, cat({extension(kProtoHopByHop), extension(kProtoUdp), u})),
       Drop::bad_header},
      {"v6 two fragment headers",
       v6(kProtoFragment, cat({fragment_header(kProtoFragment, 1), fragment_header(kProtoUdp, 1), u})),
       Drop::bad_header},
      {"v6 fragment beyond 64 kB", v6(kProtoFragment, cat({fragment_header(kProtoUdp, 0xfff8), u})), Drop::bad_length},
      {"v6 jumbogram", with16(v6(kProtoHopByHop, cat({extension(kProtoUdp), u})), 18, 0), Drop::bad_length},
      {"arp of 27", eth(kEthArp, short_arp), Drop::truncated},
      {"arp address of 8", with(eth(kEthArp, arp()), 18, 8), Drop::bad_header},
      {"llc longer than frame", eth(47, filler(46)), Drop::bad_length},
      {"inner tag cut", eth(kEthVlan, {1}, {kEthQinq}), Drop::truncated},
  };
}

TEST(ParseL3, BadFrames) {
  for (const Bad& bad : bad_frames()) {
    L2 l2;
    L3L4 l;
    EXPECT_EQ(parse_all(bad.frame, l2, l), bad.reason) << bad.name;
  }
}

TEST(ParseL3, JumboFrameNeedsOnlyItsHeadersInTheFirstBuffer) {
  const Bytes frame = eth(kEthIpv4, ipv4(kProtoTcp, tcp(filler(8900))));
  L2 l2;
  L3L4 l;
  ASSERT_FALSE(parse_l2(frame.data(), 60, l2));
  EXPECT_FALSE(parse_l3(frame.data(), 60, frame.size(), l2, l));
  EXPECT_EQ(l.l4_len, 8920U);
  EXPECT_EQ(parse_l3(frame.data(), 53, frame.size(), l2, l), Drop::truncated);
  EXPECT_EQ(parse_l3(frame.data(), 60, frame.size() - 1, l2, l), Drop::bad_length);
}

TEST(ParseL3, PseudoHeaderFollowsTheRoutingHeader) {
  Bytes routing = extension(kProtoUdp, 4);  // two addresses
  L2 l2;
  L3L4 l;
  struct Case {
    std::uint8_t type;
    std::uint8_t left;
    std::uint16_t want;
  };
  for (const Case& c : {Case{0, 0, 38}, Case{0, 1, 54 + 24}, Case{2, 1, 54 + 8}, Case{4, 1, 54 + 8}, Case{4, 0, 38}}) {
    routing[2] = c.type;
    routing[3] = c.left;
    ASSERT_FALSE(parse_all(eth(kEthIpv6, ipv6(kProtoRouting, cat({routing, udp({})}))), l2, l));
    EXPECT_EQ(l.pseudo_dst, c.want) << int{c.type} << " " << int{c.left};
  }
}

}  // namespace
}  // namespace heddle::packet
