// SPDX-License-Identifier: Apache-2.0
#include "packet/ecn.h"

#include <gtest/gtest.h>

#include "packet/checksum.h"
#include "tests/unit/packet/frames.h"

namespace heddle::packet {
namespace {

using namespace test;

TEST(Ecn, EncapCopiesTheInnerMark) {
  for (int ecn = 0; ecn < 4; ++ecn) {
    EXPECT_EQ(ecn_encap(0xb8, static_cast<std::uint8_t>(0x28 | ecn)), 0xb8 | ecn);
    EXPECT_EQ(ecn_encap(0xbb, static_cast<std::uint8_t>(ecn)), 0xb8 | ecn) << "the configured TOS must not set ECN";
  }
}

// RFC 6040 figure 4 as [inner][outer], indexed by the ECN field: Not-ECT, ECT(1), ECT(0), CE.
constexpr int kDrop = -1;
constexpr int kFigure4[4][4] = {
    {0, 0, 0, kDrop},
    {1, 1, 1, 3},
    {2, 1, 2, 3},
    {3, 3, 3, 3},
};

TEST(Ecn, DecapFollowsFigure4InPlace) {
  for (const bool v6 : {false, true}) {
    for (int inner = 0; inner < 4; ++inner) {
      for (int outer = 0; outer < 4; ++outer) {
        SCOPED_TRACE(testing::Message() << (v6 ? "v6" : "v4") << " inner " << inner << " outer " << outer);
        const auto tos = static_cast<std::uint8_t>(0x48 | inner);
        const Bytes ip = v6 ? ipv6(kProtoTcp, tcp({}), tos) : ipv4(kProtoTcp, tcp({}), {.tos = tos});
        Bytes frame = eth(v6 ? kEthIpv6 : kEthIpv4, ip, {kEthVlan, kEthVlan});
        const Bytes before = frame;
        L2 l2;
        ASSERT_FALSE(parse_l2(frame.data(), frame.size(), l2));
        const auto drop = ecn_decap_frame(static_cast<std::uint8_t>(0xa0 | outer), frame.data(), frame.size(), l2);
        const int want = kFigure4[inner][outer];
        if (want == kDrop) {
          EXPECT_EQ(drop, Drop::ecn_invalid);
          continue;
        }
        EXPECT_EQ(drop, std::nullopt);
        L3L4 l;
        ASSERT_FALSE(parse_all(frame, l2, l));
        EXPECT_EQ(l.tos, 0x48 | want);
        if (!v6) {
          EXPECT_EQ(naive_sum(Bytes(frame.begin() + l.l3_offset, frame.begin() + l.l3_offset + 20)), 0xffff);
        }
        // Nothing else changes: IPv4 TOS and checksum, or the byte of the IPv6 traffic class.
        frame[l.l3_offset + 1U] = before[l.l3_offset + 1U];
        if (!v6) put16(frame, l.l3_offset + 10U, load_be16(before.data() + l.l3_offset + 10));
        EXPECT_EQ(frame, before);
      }
    }
  }
}

TEST(Ecn, FramesWithoutIpPass) {
  const std::vector<Bytes> frames{eth(kEthArp, Bytes(28, 0x45)), eth(kEthIpv4, filler(19)),
                                  eth(kEthIpv4, Bytes(20, 0x65)), eth(kEthIpv6, Bytes(39, 0x60)),
                                  eth(kEthVlan, {1}, {kEthVlan})};
  for (Bytes frame : frames) {
    const Bytes before = frame;
    L2 l2;
    ASSERT_FALSE(parse_l2(frame.data(), frame.size(), l2));
    EXPECT_EQ(ecn_decap_frame(kEcnCe, frame.data(), frame.size(), l2), std::nullopt);
    EXPECT_EQ(frame, before);
    EXPECT_FALSE(inner_ip(frame.data(), frame.size(), l2));
  }
}

TEST(Ecn, InnerIpIsFoundBehindTags) {
  for (const bool v6 : {false, true}) {
    const Bytes ip = v6 ? ipv6(kProtoTcp, tcp({}), 0x9c) : ipv4(kProtoTcp, tcp({}), {.tos = 0x9c});
    const Bytes frame = eth(v6 ? kEthIpv6 : kEthIpv4, ip, {kEthQinq, kEthVlan});
    L2 l2;
    ASSERT_FALSE(parse_l2(frame.data(), frame.size(), l2));
    const auto found = inner_ip(frame.data(), frame.size(), l2);
    ASSERT_TRUE(found);
    EXPECT_EQ(found->tos, 0x9c);
    EXPECT_EQ(found->ttl, v6 ? 62 : 61);
  }
}

}  // namespace
}  // namespace heddle::packet
