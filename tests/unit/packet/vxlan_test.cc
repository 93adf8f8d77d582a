// SPDX-License-Identifier: Apache-2.0
#include "packet/vxlan.h"

#include <gtest/gtest.h>

#include <string>

#include "tests/unit/packet/frames.h"

namespace heddle::packet {
namespace {

using namespace test;

constexpr std::uint32_t kVni = 0xabcdef;

Bytes inner_frame(std::size_t payload = 61) { return eth(kEthIpv4, ipv4(kProtoUdp, udp(filler(payload)))); }

EncapTemplate make(bool v6, bool df = true) {
  return make_encap_template(kDstMac, kSrcMac, v6 ? kSrc6 : kSrc4, v6 ? kDst6 : kDst4, 4789, kVni, 0x20, 64, df);
}

Bytes encapsulate(const EncapTemplate& t, const Bytes& inner, bool checksum = false) {
  Bytes frame = cat({Bytes(t.len), inner});
  write_encap(frame.data(), t, inner.size(), 50001, 0x21, 33, 4242);
  const Segment chain[] = {{frame.data(), frame.size()}};
  if (checksum) write_outer_udp_checksum(chain, t);
  return frame;
}

std::optional<Drop> open(const Bytes& frame, VxlanOuter& out) {
  return parse_vxlan(frame.data(), frame.size(), frame.size(), out);
}

TEST(Vxlan, ParsingReversesEncapsulation) {
  for (const bool v6 : {false, true}) {
    for (const bool checksum : {false, true}) {
      SCOPED_TRACE(std::string(v6 ? "v6" : "v4") + (checksum ? " with checksum" : ""));
      const Bytes inner = inner_frame();
      Bytes frame = encapsulate(make(v6), inner, checksum);
      VxlanOuter outer;
      ASSERT_EQ(open(frame, outer), std::nullopt);
      EXPECT_EQ(outer.l2.dst, kDstMac);
      EXPECT_EQ(outer.l2.src, kSrcMac);
      EXPECT_EQ(outer.v6, v6);
      EXPECT_EQ(outer.src_addr(), v6 ? kSrc6 : kSrc4);
      EXPECT_EQ(outer.dst_addr(), v6 ? kDst6 : kDst4);
      EXPECT_EQ(outer.src_port, 50001);
      EXPECT_EQ(outer.dst_port, 4789);
      EXPECT_EQ(outer.vni, kVni);
      EXPECT_EQ(outer.tos, 0x21);
      EXPECT_EQ(outer.ip.ttl, 33);
      EXPECT_EQ(outer.ip.df, !v6);
      EXPECT_EQ(outer.inner_offset, v6 ? 70 : 50);
      EXPECT_EQ(outer.inner_len, inner.size());
      EXPECT_EQ(Bytes(frame.begin() + outer.inner_offset, frame.end()), inner);
      const Segment chain[] = {{frame.data(), frame.size()}};
      EXPECT_TRUE(udp_checksum_ok(chain, outer));
      frame.back() ^= 1;
      EXPECT_EQ(udp_checksum_ok(chain, outer), !checksum);
    }
  }
}

TEST(Vxlan, Ipv4ChecksumIsRightForAllVariableFields) {
  const EncapTemplate t = make(false, false);
  Bytes frame(t.len + std::size_t{2000});
  for (unsigned i = 0; i < 5000; ++i) {
    const auto port = static_cast<std::uint16_t>(i * 13);
    write_encap(frame.data(), t, 14 + i % 1900, port, static_cast<std::uint8_t>(i), static_cast<std::uint8_t>(i * 7),
                static_cast<std::uint16_t>(i * 31));
    ASSERT_EQ(naive_sum(Bytes(frame.begin() + 14, frame.begin() + 34)), 0xffff) << i;
  }
  VxlanOuter outer;
  ASSERT_EQ(open(encapsulate(t, inner_frame()), outer), std::nullopt);
  EXPECT_FALSE(outer.ip.df);
  EXPECT_EQ(load_be16(encapsulate(t, inner_frame()).data() + 18), 4242);
}

// As another tunnel protocol makes them: options behind the eight bytes that all have.
TEST(Encap, LongerHeadersAreWrittenWhole) {
  for (const bool v6 : {false, true}) {
    EncapTemplate t = make(v6);
    const std::size_t least = t.len;
    for (std::uint8_t i = 0; t.len < kOuterHeaderMax; ++i) t.append(i);
    const Bytes inner = inner_frame();
    Bytes frame = encapsulate(t, inner, true);
    EXPECT_EQ(Bytes(frame.begin() + static_cast<std::ptrdiff_t>(least), frame.begin() + kOuterHeaderMax),
              Bytes(t.bytes.begin() + static_cast<std::ptrdiff_t>(least), t.bytes.end()));
    EXPECT_EQ(load_be16(frame.data() + t.l4_offset + 4), frame.size() - t.l4_offset) << "UDP length";
    VxlanOuter outer;
    ASSERT_EQ(open(frame, outer), std::nullopt);
    EXPECT_EQ(outer.inner_len, inner.size() + kOuterHeaderMax - least);
    const Segment chain[] = {{frame.data(), frame.size()}};
    EXPECT_TRUE(udp_checksum_ok(chain, outer));
  }
}

TEST(Vxlan, Ipv6FlowLabelSpreadsFlows) {
  const Bytes frame = encapsulate(make(true), inner_frame());
  EXPECT_EQ(load_be32(frame.data() + 14), 6U << 28 | 0x21U << 20 | 50001U);
}

TEST(Vxlan, LongestInnerFrameFitsTheLengthFields) {
  for (const bool v6 : {false, true}) {
    const Bytes inner(max_inner_len(v6));
    const Bytes frame = encapsulate(make(v6), inner);
    VxlanOuter outer;
    ASSERT_EQ(parse_vxlan(frame.data(), 3000, frame.size(), outer), std::nullopt);
    EXPECT_EQ(outer.inner_len, inner.size());
  }
}

TEST(Vxlan, ChecksumOverAChain) {
  const EncapTemplate t = make(true);
  Bytes whole = encapsulate(t, inner_frame(400), true);
  for (std::size_t cut = 70; cut < whole.size(); cut += 7) {
    Bytes head(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(cut));
    Bytes tail(whole.begin() + static_cast<std::ptrdiff_t>(cut), whole.end());
    const Segment chain[] = {{head.data(), head.size()}, {tail.data(), tail.size()}};
    EXPECT_EQ(outer_udp_checksum(chain, t), load<Be16>(whole.data() + 60)) << cut;
    VxlanOuter outer;
    if (cut < 84) continue;
    ASSERT_FALSE(parse_vxlan(head.data(), head.size(), whole.size(), outer));
    EXPECT_TRUE(udp_checksum_ok(chain, outer));
    tail.back() ^= 0x10;
    EXPECT_FALSE(udp_checksum_ok(chain, outer));
  }
}

TEST(Vxlan, PartialOuterChecksumIsAccepted) {
  Bytes frame = encapsulate(make(false), inner_frame());
  VxlanOuter outer;
  ASSERT_FALSE(open(frame, outer));
  put16(frame, 40, naive_sum(pseudo(kSrc4, kDst4, kProtoUdp, outer.ip.l4_len)));
  const Segment chain[] = {{frame.data(), frame.size()}};
  EXPECT_TRUE(udp_checksum_ok(chain, outer));
}

TEST(Vxlan, AcceptsATagPaddingAndReservedBits) {
  Bytes frame = encapsulate(make(false), inner_frame());
  frame.insert(frame.end(), 9, 0);
  frame.insert(frame.begin() + 12, {0x81, 0x00, 0x00, 0x64});
  frame[46] = 0xff;  // flags
  frame[47] = 0xff;
  frame[53] = 0xff;  // the reserved byte after the VNI
  VxlanOuter outer;
  ASSERT_EQ(open(frame, outer), std::nullopt);
  EXPECT_EQ(outer.l2.vlan_tci, 100);
  EXPECT_EQ(outer.inner_offset, 54);
  EXPECT_EQ(outer.inner_len, inner_frame().size());
  EXPECT_EQ(outer.vni, kVni);
}

// Recomputes the IPv4 header checksum of a changed header.
Bytes reseal(Bytes frame) {
  put16(frame, 24, 0);
  put16(frame, 24, static_cast<std::uint16_t>(~naive_sum(Bytes(frame.begin() + 14, frame.begin() + 34))));
  return frame;
}
Bytes with16(Bytes frame, std::size_t at, std::uint16_t value) {
  put16(frame, at, value);
  return frame;
}

TEST(Vxlan, BadFrames) {
  const Bytes v4 = encapsulate(make(false), inner_frame());
  const Bytes v6 = encapsulate(make(true), inner_frame());
  const auto udp_len = static_cast<std::uint16_t>(v4.size() - 34);
  const Bytes two_tags = cat(
      {Bytes(v4.begin(), v4.begin() + 12), Bytes{0x88, 0xa8, 0, 1, 0x81, 0, 0, 1}, Bytes(v4.begin() + 12, v4.end())});
  struct Case {
    std::string name;
    Bytes frame;
    Drop reason;
  };
  const std::vector<Case> cases{
      {"header checksum", with16(v4, 22, 0x4011), Drop::bad_header},
      {"first fragment", reseal(with16(v4, 20, kIpv4Mf)), Drop::bad_header},
      {"later fragment", reseal(with16(v4, 20, 3)), Drop::bad_header},
      {"tcp", reseal(with16(v4, 22, 0x4006)), Drop::bad_vxlan},
      {"icmp", reseal(with16(v4, 22, 0x4001)), Drop::bad_vxlan},
      {"arp", eth(kEthArp, Bytes(46)), Drop::bad_vxlan},
      {"two tags", two_tags, Drop::bad_vxlan},
      {"no I flag", with16(v4, 42, 0xf700), Drop::bad_vxlan},
      {"no I flag, v6", with16(v6, 62, 0), Drop::bad_vxlan},
      {"udp longer than packet", with16(v4, 38, static_cast<std::uint16_t>(udp_len + 1)), Drop::bad_length},
      {"packet longer than frame", Bytes(v4.begin(), v4.end() - 1), Drop::bad_length},
      {"packet longer than frame, v6", Bytes(v6.begin(), v6.end() - 1), Drop::bad_length},
      {"no vxlan header", with16(v4, 38, 8 + 7), Drop::truncated},
      {"inner frame of 13", with16(v4, 38, 8 + 8 + 13), Drop::truncated},
  };
  for (const Case& c : cases) {
    VxlanOuter outer;
    EXPECT_EQ(open(c.frame, outer), c.reason) << c.name;
  }
  VxlanOuter outer;
  EXPECT_EQ(open(with16(v4, 38, 8 + 8 + 14), outer), std::nullopt);
  EXPECT_EQ(outer.inner_len, 14U);
}

TEST(Vxlan, CutAnywhereIsRefused) {
  const Bytes frame = encapsulate(make(true), inner_frame());
  for (std::size_t cut = 0; cut < frame.size(); ++cut) {
    const Bytes head(frame.begin(), frame.begin() + static_cast<std::ptrdiff_t>(cut));
    VxlanOuter outer;
    EXPECT_NE(open(head, outer), std::nullopt) << cut;
    const auto drop = parse_vxlan(head.data(), head.size(), frame.size(), outer);
    EXPECT_EQ(drop, cut < 84 ? std::optional(Drop::truncated) : std::nullopt) << cut;
  }
}

TEST(Vxlan, PayloadOfASocket) {
  const Bytes inner = inner_frame();
  const Bytes payload = cat({bytes_of(VxlanHeader{be32(kVxlanFlagI), be32(kVni << 8)}), inner});
  VxlanOuter outer;
  ASSERT_EQ(parse_vxlan_payload(payload.data(), payload.size(), payload.size(), outer), std::nullopt);
  EXPECT_EQ(outer.vni, kVni);
  EXPECT_EQ(outer.inner_offset, 8);
  EXPECT_EQ(outer.inner_len, inner.size());
  EXPECT_EQ(parse_vxlan_payload(payload.data(), 21, 21, outer), Drop::truncated);
  EXPECT_EQ(parse_vxlan_payload(payload.data(), 7, 7, outer), Drop::truncated);
  Bytes no_flag = payload;
  no_flag[0] = 0;
  EXPECT_EQ(parse_vxlan_payload(no_flag.data(), no_flag.size(), no_flag.size(), outer), Drop::bad_vxlan);
}

}  // namespace
}  // namespace heddle::packet
