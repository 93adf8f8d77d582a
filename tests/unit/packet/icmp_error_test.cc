// SPDX-License-Identifier: Apache-2.0
#include "packet/icmp_error.h"

#include <gtest/gtest.h>

#include <array>
#include <string>

#include "packet/checksum.h"
#include "tests/unit/packet/frames.h"

namespace heddle::packet {
namespace {

using namespace test;

constexpr unsigned kMtu = 1400;

Bytes answer_to(const Bytes& frame, std::size_t contiguous, std::size_t room = kTooBigMax, unsigned mtu = kMtu) {
  const Bytes head(frame.begin(), frame.begin() + static_cast<std::ptrdiff_t>(contiguous));
  L2 l2;
  EXPECT_FALSE(parse_l2(head.data(), head.size(), l2));
  Bytes out(room);
  out.resize(build_too_big(head, frame.size(), l2, mtu, out));
  return out;
}
Bytes answer_to(const Bytes& frame) { return answer_to(frame, frame.size()); }

Bytes big(bool v6, const std::vector<std::uint16_t>& tags = {}) {
  const Bytes segment = tcp(filler(1460));
  return eth(v6 ? kEthIpv6 : kEthIpv4, v6 ? ipv6(kProtoTcp, segment) : ipv4(kProtoTcp, segment, {.frag = kIpv4Df}),
             tags);
}

TEST(TooBig, ErrorComesFromTheDestination) {
  for (const bool v6 : {false, true}) {
    for (const std::vector<std::uint16_t>& tags : {std::vector<std::uint16_t>{}, {kEthVlan}, {kEthQinq, kEthVlan}}) {
      SCOPED_TRACE(testing::Message() << (v6 ? "v6 " : "v4 ") << tags.size() << " tags");
      const Bytes frame = big(v6, tags);
      const Bytes answer = answer_to(frame);
      const std::size_t l3 = 14 + tags.size() * 4;
      const std::size_t ip_len = v6 ? 40 : 20;
      ASSERT_EQ(answer.size(), l3 + (v6 ? 1280 : 576));
      L2 l2;
      L3L4 l;
      ASSERT_FALSE(parse_all(answer, l2, l));
      EXPECT_EQ(l2.dst, kSrcMac);
      EXPECT_EQ(l2.src, kDstMac);
      EXPECT_EQ(Bytes(answer.begin() + 12, answer.begin() + static_cast<std::ptrdiff_t>(l3)),
                Bytes(frame.begin() + 12, frame.begin() + static_cast<std::ptrdiff_t>(l3)));
      EXPECT_EQ(l.l4_proto, v6 ? kProtoIcmp6 : kProtoIcmp);
      EXPECT_EQ(Bytes(answer.begin() + static_cast<std::ptrdiff_t>(l3 + (v6 ? 8 : 12)),
                      answer.begin() + static_cast<std::ptrdiff_t>(l3 + ip_len)),
                v6 ? cat({addr_bytes(kDst6), addr_bytes(kSrc6)}) : cat({addr_bytes(kDst4), addr_bytes(kSrc4)}));
      const auto header = load<IcmpHeader>(answer.data() + l.l4_offset);
      EXPECT_EQ(header.type, v6 ? 2 : 3);
      EXPECT_EQ(header.code, v6 ? 0 : 4);
      EXPECT_EQ(header.rest.get(), kMtu);
      EXPECT_TRUE(verify_l4(answer.data(), answer.size(), l));
      if (!v6) {
        EXPECT_EQ(naive_sum(Bytes(answer.begin() + l.l3_offset, answer.begin() + l.l4_offset)), 0xffff);
      }
      EXPECT_TRUE(std::equal(answer.begin() + l.l4_offset + 8, answer.end(), frame.begin() + l.l3_offset));
    }
  }
}

TEST(TooBig, QuoteFitsTheReadableBytesAndTheOutput) {
  EXPECT_EQ(answer_to(big(false), 100).size(), 14U + 20 + 8 + 86) << "the rest lies in another buffer";
  EXPECT_EQ(answer_to(big(true), 100, 200).size(), 14U + 40 + 8 + 86);
  EXPECT_EQ(answer_to(big(true), 1000, 200).size(), 200U) << "a small output buffer";
  EXPECT_EQ(answer_to(big(false), 1000, 69).size(), 0U) << "no room for header and eight bytes";
  EXPECT_EQ(answer_to(big(false), 1000, 70).size(), 70U);
  EXPECT_EQ(answer_to(big(false), 1000, 0).size(), 0U);
}

TEST(TooBig, FirstFragmentsAreAnswered) {
  EXPECT_FALSE(answer_to(eth(kEthIpv4, ipv4(kProtoUdp, udp(filler(1472)), {.frag = kIpv4Df | kIpv4Mf}))).empty());
  const Bytes first = cat({fragment_header(kProtoUdp, 1), udp(filler(1440))});
  EXPECT_FALSE(answer_to(eth(kEthIpv6, ipv6(kProtoFragment, first))).empty());
}

TEST(TooBig, EchoIsAnswered) {
  EXPECT_FALSE(answer_to(eth(kEthIpv4, ipv4(kProtoIcmp, icmp(8, filler(1464)), {.frag = kIpv4Df}))).empty());
  EXPECT_FALSE(answer_to(eth(kEthIpv6, ipv6(kProtoIcmp6, icmp(128, filler(1444))))).empty());
}

TEST(TooBig, NoErrorIsDue) {
  const Bytes u = udp(filler(1464));
  const auto v4 = [&](const IpAddr& src, const IpAddr& dst) {
    return eth(kEthIpv4, ipv4(kProtoUdp, u, {.frag = kIpv4Df, .src = src, .dst = dst}));
  };
  const auto v6 = [&](const IpAddr& src, const IpAddr& dst) { return eth(kEthIpv6, ipv6(kProtoUdp, u, 0, src, dst)); };
  const auto ip = [](const char* text) { return *IpAddr::parse(text); };
  const auto with = [](Bytes frame, std::size_t at, std::uint8_t value) {
    frame.at(at) = value;
    return frame;
  };
  const Bytes large = big(false);
  const Bytes tail(large.begin() + 6, large.end());
  struct Case {
    std::string name;
    Bytes frame;
  };
  std::vector<Case> cases{
      {"no DF", eth(kEthIpv4, ipv4(kProtoUdp, u))},
      {"fits", eth(kEthIpv4, ipv4(kProtoUdp, udp(filler(kMtu - 28)), {.frag = kIpv4Df}))},
      {"later fragment", eth(kEthIpv4, ipv4(kProtoUdp, u, {.frag = kIpv4Df | 9}))},
      {"later fragment, v6", eth(kEthIpv6, ipv6(kProtoFragment, cat({fragment_header(kProtoUdp, 16), u})))},
      {"to a group MAC", with(big(false), 0, 0x03)},
      {"to broadcast MAC", cat({Bytes(6, 0xff), tail})},
      {"from a group MAC", with(big(true), 6, 0x03)},
      {"to a group", v4(kSrc4, ip("239.1.1.1"))},
      {"to broadcast", v4(kSrc4, ip("255.255.255.255"))},
      {"to 0.0.0.0", v4(kSrc4, ip("0.0.0.0"))},
      {"from 0.0.0.0", v4(ip("0.0.0.0"), kDst4)},
      {"from a group", v4(ip("224.0.0.1"), kDst4)},
      {"from loopback", v4(ip("127.0.0.1"), kDst4)},
      {"to a group, v6", v6(kSrc6, ip("ff02::1"))},
      {"from ::", v6(ip("::"), kDst6)},
      {"from loopback, v6", v6(ip("::1"), kDst6)},
      {"from a group, v6", v6(ip("ff02::1"), kDst6)},
      {"header checksum", with(big(false), 24, static_cast<std::uint8_t>(big(false)[24] ^ 1))},
      {"total length beyond the frame", with(big(false), 16, 0x60)},
      {"not IP", eth(0x88cc, filler(1600))},
  };
  for (const std::uint8_t type : {3, 4, 5, 11, 12}) {
    cases.push_back({"icmp error " + std::to_string(type),
                     eth(kEthIpv4, ipv4(kProtoIcmp, icmp(type, filler(1464)), {.frag = kIpv4Df}))});
  }
  for (const std::uint8_t type : {1, 2, 3, 4, 100, 127, 137}) {
    cases.push_back(
        {"icmp6 error " + std::to_string(type), eth(kEthIpv6, ipv6(kProtoIcmp6, icmp(type, filler(1444))))});
  }
  for (const Case& c : cases) EXPECT_EQ(answer_to(c.frame).size(), 0U) << c.name;
}

}  // namespace
}  // namespace heddle::packet
