// SPDX-License-Identifier: Apache-2.0
#include "packet/flow_hash.h"

#include <gtest/gtest.h>

#include <array>
#include <set>

#include "tests/unit/packet/frames.h"

namespace heddle::packet {
namespace {

using namespace test;

std::uint32_t hash(const Bytes& frame) {
  L2 l2;
  EXPECT_FALSE(parse_l2(frame.data(), frame.size(), l2));
  return inner_hash(frame.data(), frame.size(), l2);
}

TEST(FlowHash, DependsOnTheFlowAlone) {
  const Bytes a = eth(kEthIpv4, ipv4(kProtoUdp, udp(filler(20, 1), 1000, 2000)));
  EXPECT_EQ(hash(a), hash(eth(kEthIpv4, ipv4(kProtoUdp, udp(filler(30, 2), 1000, 2000), {.tos = 8, .options = 8}))));
  const std::vector<Bytes> others{
      eth(kEthIpv4, ipv4(kProtoUdp, udp(filler(20), 1001, 2000))),
      eth(kEthIpv4, ipv4(kProtoUdp, udp(filler(20), 1000, 2001))),
      eth(kEthIpv4, ipv4(kProtoSctp, udp(filler(20), 1000, 2000))),
      eth(kEthIpv4, ipv4(kProtoUdp, udp(filler(20), 1000, 2000), {.src = kDst4})),
      eth(kEthIpv4, ipv4(kProtoUdp, udp(filler(20), 1000, 2000), {.dst = kSrc4})),
      eth(kEthIpv6, ipv6(kProtoUdp, udp(filler(20), 1000, 2000))),
      eth(kEthIpv6, ipv6(kProtoUdp, udp(filler(20), 1001, 2000))),
      eth(kEthIpv6, ipv6(kProtoUdp, udp(filler(20), 1000, 2000), 0, kDst6)),
      eth(kEthIpv6, ipv6(kProtoUdp, udp(filler(20), 1000, 2000), 0, kSrc6, kSrc6)),
  };
  std::set<std::uint32_t> seen{hash(a)};
  for (const Bytes& frame : others) EXPECT_TRUE(seen.insert(hash(frame)).second);
  Bytes other_mac = a;
  other_mac[11] ^= 1;
  EXPECT_TRUE(seen.insert(hash(other_mac)).second);
}

TEST(FlowHash, TagsDoNotHideTheFlow) {
  const auto frame = [](std::uint16_t port) {
    return eth(kEthIpv4, ipv4(kProtoUdp, udp({}, port)), {kEthQinq, kEthVlan});
  };
  EXPECT_NE(hash(frame(1)), hash(frame(2)));
}

TEST(FlowHash, OneValueForAllFragments) {
  const Bytes u = udp(filler(24));
  const std::uint32_t first4 = hash(eth(kEthIpv4, ipv4(kProtoUdp, u, {.frag = kIpv4Mf})));
  EXPECT_EQ(first4, hash(eth(kEthIpv4, ipv4(kProtoUdp, filler(24, 9), {.frag = kIpv4Mf | 4}))));
  EXPECT_EQ(first4, hash(eth(kEthIpv4, ipv4(kProtoUdp, filler(7, 5), {.frag = 7}))));
  const std::uint32_t first6 = hash(eth(kEthIpv6, ipv6(kProtoFragment, cat({fragment_header(kProtoUdp, 1), u}))));
  EXPECT_EQ(first6, hash(eth(kEthIpv6, ipv6(kProtoFragment, cat({fragment_header(kProtoUdp, 32), filler(7)})))));
}

// Of 65,536 flows each of 256 buckets gets 256 with a deviation of 16; seven deviations are no accident.
TEST(FlowHash, SpreadsNeighbouringFlowsEvenly) {
  for (const bool by_port : {false, true}) {
    std::array<int, 256> buckets{};
    for (std::uint32_t i = 0; i < 65536; ++i) {
      const IpAddr src = by_port ? kSrc4 : IpAddr::v4(0x0a000000 + i);
      const auto port = static_cast<std::uint16_t>(by_port ? i : 80);
      ++buckets[(vxlan_source_port(hash(eth(kEthIpv4, ipv4(kProtoUdp, udp({}, port), {.src = src})))) - 49152U) >> 6];
    }
    for (const int n : buckets) EXPECT_NEAR(n, 256, 7 * 16) << by_port;
  }
}

TEST(FlowHash, ReadsOnlyTheContiguousBytes) {
  for (const Bytes& frame : {eth(kEthIpv4, ipv4(kProtoTcp, tcp({}), {.options = 40}), {kEthVlan, kEthVlan}),
                             eth(kEthIpv6, ipv6(kProtoTcp, tcp({})))}) {
    for (std::size_t cut = 14; cut <= frame.size(); ++cut) {
      const Bytes head(frame.begin(), frame.begin() + static_cast<std::ptrdiff_t>(cut));
      L2 l2;
      if (!parse_l2(head.data(), head.size(), l2)) static_cast<void>(inner_hash(head.data(), head.size(), l2));
    }
    EXPECT_NE(hash(frame), hash(Bytes(frame.begin(), frame.end() - 20))) << "the ports were not hashed";
  }
}

TEST(FlowHash, SourcePortIsInTheRecommendedRange) {
  EXPECT_EQ(vxlan_source_port(0), 49152);
  EXPECT_EQ(vxlan_source_port(0xffffffff), 65535);
}

}  // namespace
}  // namespace heddle::packet
