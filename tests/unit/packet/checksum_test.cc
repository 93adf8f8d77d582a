// SPDX-License-Identifier: Apache-2.0
#include "packet/checksum.h"

#include <gtest/gtest.h>

#include <string>

#include "tests/unit/packet/frames.h"

namespace heddle::packet {
namespace {

using namespace test;

std::uint16_t host(Sum sum) { return Be16::from_raw(fold(sum)).get(); }

TEST(Checksum, KnownValues) {
  const Bytes rfc1071{0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7};  // its section 3
  EXPECT_EQ(host(csum_partial(rfc1071.data(), rfc1071.size())), 0xddf2);
  const Bytes header{0x45, 0x00, 0x00, 0x73, 0x00, 0x00, 0x40, 0x00, 0x40, 0x11,
                     0x00, 0x00, 0xc0, 0xa8, 0x00, 0x01, 0xc0, 0xa8, 0x00, 0xc7};
  EXPECT_EQ(ipv4_header_checksum(header.data(), header.size()).get(), 0xb861);
}

TEST(Checksum, AgreesWithTheNaiveSum) {
  const Bytes all = filler(1700);
  for (std::size_t start = 0; start < 9; ++start) {
    for (std::size_t len = 0; len < 1600; len = len < 300 ? len + 1 : len + 37) {
      const auto from = all.begin() + static_cast<std::ptrdiff_t>(start);
      const Bytes part(from, from + static_cast<std::ptrdiff_t>(len));
      ASSERT_EQ(host(csum_partial(part.data(), len)), naive_sum(part)) << start << "+" << len;
      ASSERT_EQ(host(csum_partial_odd(part.data(), len, 7)),
                host(csum_add(7, csum_partial(cat({{0}, part}).data(), len + 1))));
    }
  }
}

TEST(Checksum, CarriesAreNotLost) {
  const Bytes ones(1500, 0xff);
  EXPECT_EQ(host(csum_partial(ones.data(), ones.size(), ~Sum{0})), 0xffff);
  EXPECT_EQ(fold(~Sum{0} - 1), 0xfffe);
  EXPECT_EQ(fold(0), 0);
  Bytes bytes(64, 0xff);
  bytes[9] = 0xfe;
  EXPECT_EQ(host(csum_partial(bytes.data(), bytes.size(), 5)), host(csum_add(5, be16(naive_sum(bytes)).raw())));
}

TEST(Checksum, ChainsMayBeCutAnywhere) {
  Bytes all = filler(97);
  for (std::size_t a = 0; a <= all.size(); ++a) {
    for (std::size_t b = a; b <= all.size(); b += 5) {
      const Segment chain[] = {{all.data(), a}, {all.data() + a, b - a}, {all.data() + b, all.size() - b}};
      const Bytes want(all.begin() + 3, all.begin() + 3 + 90);
      ASSERT_EQ(host(csum_chain(chain, 3, 90)), naive_sum(want)) << a << " " << b;
    }
  }
  const Segment one[] = {{all.data(), all.size()}};
  EXPECT_EQ(csum_chain(one, 97, 5, 9), 9U);
  EXPECT_EQ(host(csum_chain(one, 90, 1000)), naive_sum(Bytes(all.begin() + 90, all.end())));
}

TEST(Checksum, AdjustAgreesWithRecomputing) {
  Bytes header = ipv4(kProtoUdp, {});
  for (unsigned value = 0; value < 0x10000; value += 251) {
    const Be16 before = load<Be16>(header.data());
    const Be16 was = load<Be16>(header.data() + 10);
    put16(header, 0, static_cast<std::uint16_t>(value));
    put16(header, 10, 0);
    const Be16 anew = ipv4_header_checksum(header.data(), header.size());
    ASSERT_EQ(checksum_adjust(was, before, be16(static_cast<std::uint16_t>(value))).get(), anew.get()) << value;
    store(header.data() + 10, anew);
  }
}

// A datagram with a partial checksum, as a guest sends it when its device has to finish the checksum.
struct Partial {
  std::string name;
  Bytes frame;
  std::size_t field;  // offset of the checksum
  Bytes pseudo;
  std::size_t l4;
  std::size_t l4_len;
};

std::vector<Partial> partial_frames() {
  std::vector<Partial> all;
  const std::vector<std::vector<std::uint16_t>> taggings{{}, {kEthVlan}, {kEthQinq, kEthVlan}};
  for (const bool v6 : {false, true}) {
    for (const std::uint8_t proto : {kProtoTcp, kProtoUdp}) {
      for (const auto& tags : taggings) {
        for (const bool more : {false, true}) {  // IP options or extension headers
          const Bytes l4 = proto == kProtoTcp ? tcp(filler(33), 12) : udp(filler(33));
          Bytes ip = ipv4(proto, l4, {.options = more ? std::size_t{8} : 0});
          if (v6) ip = more ? ipv6(kProtoDestOptions, cat({extension(proto, 1), l4})) : ipv6(proto, l4);
          Partial p;
          p.name = std::string(v6 ? "v6 " : "v4 ") + (proto == kProtoTcp ? "tcp " : "udp ") +
                   std::to_string(tags.size()) + " tags" + (more ? " long header" : "");
          p.frame = cat({eth(v6 ? kEthIpv6 : kEthIpv4, ip, tags), filler(7)});  // padding outside the checksum
          p.l4_len = l4.size();
          p.l4 = p.frame.size() - 7 - l4.size();
          p.field = p.l4 + (proto == kProtoTcp ? 16U : 6U);
          p.pseudo = v6 ? pseudo(kSrc6, kDst6, proto, l4.size()) : pseudo(kSrc4, kDst4, proto, l4.size());
          put16(p.frame, p.field, naive_sum(p.pseudo));
          all.push_back(std::move(p));
        }
      }
    }
  }
  return all;
}

// The finished checksum by the naive sum.
std::uint16_t expected(const Partial& p) {
  Bytes frame = p.frame;
  put16(frame, p.field, 0);
  const auto from = frame.begin() + static_cast<std::ptrdiff_t>(p.l4);
  return static_cast<std::uint16_t>(
      ~naive_sum(cat({p.pseudo, Bytes(from, from + static_cast<std::ptrdiff_t>(p.l4_len))})));
}

TEST(Partial, IsDetectedAndCompleted) {
  for (const Partial& p : partial_frames()) {
    SCOPED_TRACE(p.name);
    Bytes frame = p.frame;
    L2 l2;
    L3L4 l;
    ASSERT_FALSE(parse_all(frame, l2, l));
    EXPECT_TRUE(looks_partial(frame.data(), l));
    EXPECT_FALSE(verify_l4(frame.data(), frame.size(), l));
    complete_partial(frame.data(), frame.size(), l);
    EXPECT_EQ(load_be16(frame.data() + p.field), expected(p));
    EXPECT_TRUE(verify_l4(frame.data(), frame.size(), l));
    EXPECT_FALSE(looks_partial(frame.data(), l));
    frame[p.l4 + p.l4_len - 1] ^= 1;
    EXPECT_FALSE(verify_l4(frame.data(), frame.size(), l)) << "the last byte is not summed";
  }
}

TEST(Partial, IsCompletedInAChainOfBuffers) {
  for (const Partial& p : partial_frames()) {
    for (std::size_t cut = p.field + 2; cut < p.frame.size(); cut += 3) {
      SCOPED_TRACE(p.name + " cut at " + std::to_string(cut));
      Bytes head(p.frame.begin(), p.frame.begin() + static_cast<std::ptrdiff_t>(cut));
      Bytes tail(p.frame.begin() + static_cast<std::ptrdiff_t>(cut), p.frame.end());
      const Segment chain[] = {{head.data(), head.size()}, {tail.data(), tail.size()}};
      L2 l2;
      L3L4 l;
      ASSERT_FALSE(parse_l2(head.data(), head.size(), l2));
      if (parse_l3(head.data(), head.size(), p.frame.size(), l2, l)) continue;  // TCP options are in the tail
      complete_partial(chain, l);
      EXPECT_EQ(load_be16(head.data() + p.field), expected(p));
      EXPECT_TRUE(verify_l4(chain, l));
    }
  }
}

TEST(Partial, CompletingAFinishedChecksumChangesNothing) {
  for (const Partial& p : partial_frames()) {
    Bytes frame = p.frame;
    L2 l2;
    L3L4 l;
    ASSERT_FALSE(parse_all(frame, l2, l));
    complete_partial(frame.data(), frame.size(), l);
    const Bytes once = frame;
    complete_partial(frame.data(), frame.size(), l);
    EXPECT_EQ(frame, once) << p.name;
  }
}

TEST(Partial, UdpZeroMeansNoChecksum) {
  Bytes frame = eth(kEthIpv4, ipv4(kProtoUdp, udp(filler(8))));
  L2 l2;
  L3L4 l;
  ASSERT_FALSE(parse_all(frame, l2, l));
  EXPECT_FALSE(looks_partial(frame.data(), l));
  EXPECT_TRUE(verify_l4(frame.data(), frame.size(), l));
}

TEST(Partial, UdpSumOfZeroIsWrittenAsOnes) {
  Bytes frame = eth(kEthIpv4, ipv4(kProtoUdp, udp({0, 0})));
  L2 l2;
  L3L4 l;
  ASSERT_FALSE(parse_all(frame, l2, l));
  const Bytes datagram(frame.begin() + 34, frame.end());
  // Payload that brings the sum to 0xffff, whose complement is 0.
  put16(frame, 42, static_cast<std::uint16_t>(~naive_sum(cat({pseudo(kSrc4, kDst4, kProtoUdp, 10), datagram}))));
  complete_partial(frame.data(), frame.size(), l);
  EXPECT_EQ(load_be16(frame.data() + 40), 0xffff);
  EXPECT_TRUE(verify_l4(frame.data(), frame.size(), l));
}

TEST(Partial, FragmentsAndOtherProtocolsStayUnchanged) {
  const Bytes half = tcp(filler(12));
  const std::vector<Bytes> frames{eth(kEthIpv4, ipv4(kProtoTcp, half, {.frag = kIpv4Mf})),
                                  eth(kEthIpv4, ipv4(kProtoTcp, half, {.frag = 4})),
                                  eth(kEthIpv6, ipv6(kProtoFragment, cat({fragment_header(kProtoTcp, 1), half}))),
                                  eth(kEthIpv4, ipv4(kProtoIcmp, icmp(8))),
                                  eth(kEthIpv4, ipv4(kProtoSctp, filler(40))),
                                  eth(0x88cc, filler(46))};
  for (Bytes frame : frames) {
    L2 l2;
    L3L4 l;
    ASSERT_FALSE(parse_all(frame, l2, l));
    // The sum of the pseudo-header at the place of a TCP checksum.
    if (frame.size() >= 52) put16(frame, 50, naive_sum(pseudo(kSrc4, kDst4, kProtoTcp, half.size())));
    const Bytes before = frame;
    EXPECT_FALSE(looks_partial(frame.data(), l));
    complete_partial(frame.data(), frame.size(), l);
    EXPECT_EQ(frame, before);
  }
}

TEST(Partial, UsesTheFinalDestinationOfARoutingHeader) {
  Bytes routing = extension(kProtoTcp, 2);
  routing[2] = 4;
  routing[3] = 1;
  const IpAddr last = *IpAddr::parse("2001:db8:9::9");
  std::copy_n(last.data(), 16, routing.begin() + 8);
  const Bytes segment = tcp(filler(5));
  Bytes frame = eth(kEthIpv6, ipv6(kProtoRouting, cat({routing, segment})));
  put16(frame, 14 + 40 + 24 + 16, naive_sum(pseudo(kSrc6, last, kProtoTcp, segment.size())));
  L2 l2;
  L3L4 l;
  ASSERT_FALSE(parse_all(frame, l2, l));
  EXPECT_TRUE(looks_partial(frame.data(), l));
}

TEST(VerifyL4, ChecksIcmp) {
  Bytes v4 = eth(kEthIpv4, ipv4(kProtoIcmp, icmp(8, filler(21))));
  put16(v4, 36, static_cast<std::uint16_t>(~naive_sum(Bytes(v4.begin() + 34, v4.end()))));
  Bytes v6 = eth(kEthIpv6, ipv6(kProtoIcmp6, icmp(128, filler(21))));
  const Bytes body(v6.begin() + 54, v6.end());
  put16(v6, 56, static_cast<std::uint16_t>(~naive_sum(cat({pseudo(kSrc6, kDst6, kProtoIcmp6, body.size()), body}))));
  for (Bytes frame : {v4, v6}) {
    L2 l2;
    L3L4 l;
    ASSERT_FALSE(parse_all(frame, l2, l));
    EXPECT_TRUE(verify_l4(frame.data(), frame.size(), l));
    frame.back() ^= 0x40;
    EXPECT_FALSE(verify_l4(frame.data(), frame.size(), l));
  }
}

}  // namespace
}  // namespace heddle::packet
