// SPDX-License-Identifier: Apache-2.0
#include "packet/too_big.h"

#include <gtest/gtest.h>

#include <vector>

#include "packet/headers.h"

namespace heddle::packet {
namespace {

using Bytes = std::vector<std::uint8_t>;

template <typename T>
void append(Bytes& to, const T& value) {
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(&value);
  to.insert(to.end(), bytes, bytes + sizeof value);
}

struct Quote {
  unsigned mtu = 1400;
  std::uint16_t length = 1500;
  std::uint8_t proto = kProtoUdp;
  std::uint8_t type = 3, code = 4;
  unsigned options = 0;  // bytes
  std::uint16_t frag = kIpv4Df;
};

Bytes v4(const Quote& q) {
  Bytes out;
  append(out, IcmpHeader{q.type, q.code, {}, be32(q.mtu)});
  Ipv4Header ip{};
  ip.version_ihl = static_cast<std::uint8_t>(0x45 + q.options / 4);
  ip.total_len = be16(q.length);
  ip.frag = be16(q.frag);
  ip.proto = q.proto;
  ip.src = be32(0xc0000201);
  ip.dst = be32(0xc0000202);
  append(out, ip);
  out.resize(out.size() + q.options);
  append(out, UdpHeader{be16(50000), be16(4789), be16(1480), {}});
  return out;
}

Bytes v6(unsigned mtu, std::uint16_t payload, std::uint8_t next = kProtoUdp, std::uint8_t type = 2) {
  Bytes out;
  append(out, IcmpHeader{type, 0, {}, be32(mtu)});
  Ipv6Header ip{};
  ip.version_class_label = be32(6U << 28);
  ip.payload_len = be16(payload);
  ip.next = next;
  ip.src[15] = 1;
  ip.dst[15] = 2;
  append(out, ip);
  append(out, UdpHeader{be16(50000), be16(4789), be16(payload), {}});
  return out;
}

TEST(TooBig, ReadsWhatARouterSays) {
  for (const unsigned options : {0U, 12U, 40U}) {
    const auto got = parse_too_big_v4(v4({.options = options}));
    ASSERT_TRUE(got) << options;
    EXPECT_EQ(got->src, IpAddr::parse("192.0.2.1"));
    EXPECT_EQ(got->dst, IpAddr::parse("192.0.2.2"));
    EXPECT_EQ(got->dst_port, 4789);
    EXPECT_EQ(got->mtu, 1400U);
  }
  const auto got = parse_too_big_v6(v6(1400, 1460));
  ASSERT_TRUE(got);
  EXPECT_EQ(got->src, IpAddr::parse("::1"));
  EXPECT_EQ(got->dst, IpAddr::parse("::2"));
  EXPECT_EQ(got->dst_port, 4789);
  EXPECT_EQ(got->mtu, 1400U);
}

TEST(TooBig, HasALeastMtu) {
  EXPECT_EQ(parse_too_big_v4(v4({.mtu = 68}))->mtu, kLeastMtuV4);
  EXPECT_EQ(parse_too_big_v6(v6(100, 1460))->mtu, kLeastMtuV6);
}

// RFC 1191 section 7.1.
TEST(TooBig, RoutersThatGiveNoMtu) {
  for (const auto& [length, mtu] : {std::pair{9000, 8166U}, {1500, 1492U}, {1492, 1006U}, {600, 552U}})
    EXPECT_EQ(parse_too_big_v4(v4({.mtu = 0, .length = static_cast<std::uint16_t>(length)}))->mtu, mtu) << length;
  EXPECT_FALSE(parse_too_big_v4(v4({.mtu = 0, .length = 552})));
}

TEST(TooBig, OthersGiveNothing) {
  for (const Quote& q : {Quote{.mtu = 1500}, Quote{.mtu = 1501}, Quote{.proto = kProtoTcp}, Quote{.type = 11},
                         Quote{.code = 1}, Quote{.frag = 100}, Quote{.length = 100}})
    EXPECT_FALSE(parse_too_big_v4(v4(q)));
  EXPECT_FALSE(parse_too_big_v6(v6(1500, 1460)));
  EXPECT_FALSE(parse_too_big_v6(v6(1400, 1460, kProtoTcp)));
  EXPECT_FALSE(parse_too_big_v6(v6(1400, 1460, kProtoUdp, 1)));
  EXPECT_FALSE(parse_too_big_v6(v6(1400, 100)));
  Bytes other = v4({});
  other[sizeof(IcmpHeader)] = 0x44;  // a header of 16 bytes
  EXPECT_FALSE(parse_too_big_v4(other));
  other[sizeof(IcmpHeader)] = 0x65;
  EXPECT_FALSE(parse_too_big_v4(other));
}

TEST(TooBig, CutShortGivesNothing) {
  for (const Bytes& whole : {v4({}), v4({.options = 40})})
    for (std::size_t n = 0; n < whole.size(); ++n) EXPECT_FALSE(parse_too_big_v4(std::span(whole).first(n))) << n;
  const Bytes whole = v6(1400, 1460);
  for (std::size_t n = 0; n < whole.size(); ++n) EXPECT_FALSE(parse_too_big_v6(std::span(whole).first(n))) << n;
}

}  // namespace
}  // namespace heddle::packet
