// SPDX-License-Identifier: Apache-2.0
// Unfinished checksums of guests that have tunnels of their own: each kind of tunnel around each kind of datagram.
#include "packet/unfinished.h"

#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "packet/checksum.h"
#include "tests/unit/packet/frames.h"

namespace heddle::packet {
namespace {

using namespace test;

constexpr std::uint16_t kEthTransparent = 0x6558;
constexpr std::uint8_t kProtoIpv4 = 4;
constexpr std::uint8_t kProtoIpv6 = 41;
constexpr std::uint8_t kProtoGre = 47;

struct Inner {
  std::string name;
  std::uint16_t type;
  Bytes ip;
  std::size_t field;  // of the checksum, in `ip`
};

std::vector<Inner> inner_packets() {
  std::vector<Inner> all;
  for (const bool v6 : {false, true}) {
    for (const std::uint8_t proto : {kProtoTcp, kProtoUdp}) {
      const Bytes l4 = proto == kProtoTcp ? tcp(filler(21), 8) : udp(filler(21));
      Inner inner{std::string(v6 ? "v6 " : "v4 ") + (proto == kProtoTcp ? "tcp" : "udp"), v6 ? kEthIpv6 : kEthIpv4,
                  v6 ? ipv6(proto, l4) : ipv4(proto, l4), 0};
      inner.field = inner.ip.size() - l4.size() + (proto == kProtoTcp ? 16U : 6U);
      put16(inner.ip, inner.field,
            naive_sum(v6 ? pseudo(kSrc6, kDst6, proto, l4.size()) : pseudo(kSrc4, kDst4, proto, l4.size())));
      all.push_back(std::move(inner));
    }
  }
  return all;
}

struct Tunnel {
  std::string name;
  std::function<Bytes(const Inner&)> around;  // an IP packet with the inner packet in it
  std::uint16_t type = kEthIpv4;
};

Bytes vxlan(const Bytes& inner, std::uint8_t flags = 0x08) { return cat({{flags, 0, 0, 0, 0, 0, 10, 0}, inner}); }

std::vector<Tunnel> tunnels() {
  const auto frame = [](const Inner& i) { return eth(i.type, i.ip); };
  const auto over_udp = [](const Bytes& payload, std::uint16_t port) {
    return ipv4(kProtoUdp, udp(payload, 50000, port));
  };
  const auto geneve = [](std::uint16_t type, std::size_t options, const Bytes& inner) {
    return cat(
        {{static_cast<std::uint8_t>(options / 4), 0}, be16_bytes(type), {0, 0, 10, 0}, Bytes(options, 0), inner});
  };
  const auto gre = [](std::uint16_t flags, std::uint16_t type, std::size_t more, const Bytes& inner) {
    return cat({be16_bytes(flags), be16_bytes(type), Bytes(more, 7), inner});
  };
  return {
      {"vxlan", [=](const Inner& i) { return over_udp(vxlan(frame(i)), 4789); }},
      {"vxlan at another port", [=](const Inner& i) { return over_udp(vxlan(frame(i)), 8472); }},
      {"vxlan with a group policy", [=](const Inner& i) { return over_udp(vxlan(frame(i), 0x88), 4789); }},
      {"vxlan over IPv6", [=](const Inner& i) { return ipv6(kProtoUdp, udp(vxlan(frame(i)), 50000, 4789)); }, kEthIpv6},
      {"vxlan with a tag inside", [=](const Inner& i) { return over_udp(vxlan(eth(i.type, i.ip, {kEthVlan})), 4789); }},
      {"vxlan in vxlan",
       [=](const Inner& i) { return over_udp(vxlan(eth(kEthIpv4, over_udp(vxlan(frame(i)), 8472))), 4789); }},
      {"geneve", [=](const Inner& i) { return over_udp(geneve(kEthTransparent, 0, frame(i)), 6081); }},
      {"geneve with options", [=](const Inner& i) { return over_udp(geneve(kEthTransparent, 32, frame(i)), 6081); }},
      {"geneve with IP", [=](const Inner& i) { return over_udp(geneve(i.type, 4, i.ip), 6081); }},
      {"gretap", [=](const Inner& i) { return ipv4(kProtoGre, gre(0, kEthTransparent, 0, frame(i))); }},
      {"gretap with key and number",
       [=](const Inner& i) { return ipv4(kProtoGre, gre(0x3000, kEthTransparent, 8, frame(i))); }},
      {"gre", [=](const Inner& i) { return ipv4(kProtoGre, gre(0xb000, i.type, 12, i.ip)); }},
      {"ip in ip", [](const Inner& i) { return ipv4(i.type == kEthIpv4 ? kProtoIpv4 : kProtoIpv6, i.ip); }},
      {"ip in ipv6", [](const Inner& i) { return ipv6(i.type == kEthIpv4 ? kProtoIpv4 : kProtoIpv6, i.ip); }, kEthIpv6},
  };
}

Unfinished look(const Bytes& frame) {
  L2 l2;
  EXPECT_FALSE(parse_l2(frame.data(), frame.size(), l2));
  return {frame.data(), frame.size(), frame.size(), l2};
}

TEST(Unfinished, IsFoundInTheGuestsOwnTunnels) {
  for (const Tunnel& tunnel : tunnels()) {
    for (const Inner& inner : inner_packets()) {
      SCOPED_TRACE(tunnel.name + ", " + inner.name);
      Bytes frame = eth(tunnel.type, tunnel.around(inner));
      const std::size_t field = frame.size() - inner.ip.size() + inner.field;
      const Unfinished found = look(frame);
      ASSERT_EQ(found.all().size(), 1U);
      const L3L4 l = found.all()[0];
      EXPECT_EQ(l.l4_offset + (l.l4_proto == kProtoTcp ? 16U : 6U), field);
      complete_partial(frame.data(), frame.size(), l);
      EXPECT_TRUE(verify_l4(frame.data(), frame.size(), l));
      EXPECT_TRUE(look(frame).all().empty()) << "it is finished";
    }
  }
}

// Neither the bytes behind the packet nor those that a header promises and the buffer lacks.
TEST(Unfinished, LooksAtWhatIsThereOnly) {
  for (const Tunnel& tunnel : tunnels()) {
    const Inner inner = inner_packets().front();
    const Bytes frame = eth(tunnel.type, tunnel.around(inner));
    const std::size_t headers = frame.size() - inner.ip.size() + inner.field + 2;
    for (std::size_t len = 14; len < headers; ++len) {
      const Bytes cut(frame.begin(), frame.begin() + static_cast<std::ptrdiff_t>(len));
      L2 l2;
      if (parse_l2(cut.data(), cut.size(), l2)) continue;
      EXPECT_TRUE(Unfinished(cut.data(), cut.size(), frame.size(), l2).all().empty()) << tunnel.name << " " << len;
    }
  }
}

TEST(Unfinished, PlainFramesAndFragments) {
  const Inner inner = inner_packets().front();
  EXPECT_EQ(look(eth(inner.type, inner.ip)).all().size(), 1U);
  const Bytes inside = udp(vxlan(eth(inner.type, inner.ip)), 50000, 4789);
  EXPECT_EQ(look(eth(kEthIpv4, ipv4(kProtoUdp, inside))).all().size(), 1U);
  EXPECT_TRUE(look(eth(kEthIpv4, ipv4(kProtoUdp, inside, {.frag = kIpv4Mf}))).all().empty());
  EXPECT_TRUE(look(eth(kEthIpv4, ipv4(kProtoUdp, udp(vxlan(eth(inner.type, inner.ip), 0x00))))).all().empty())
      << "no I flag: not VXLAN";
  EXPECT_TRUE(look(eth(0x88cc, filler(46))).all().empty());
}

// An outer checksum that looks unfinished, by chance or because it is, does not hide the inner one.
TEST(Unfinished, OuterAndInner) {
  const Inner inner = inner_packets().front();
  const Bytes payload = vxlan(eth(inner.type, inner.ip));
  Bytes frame = eth(kEthIpv4, ipv4(kProtoUdp, udp(payload, 50000, 4789)));
  put16(frame, 14 + 20 + 6, naive_sum(pseudo(kSrc4, kDst4, kProtoUdp, 8 + payload.size())));
  const Unfinished found = look(frame);
  ASSERT_EQ(found.all().size(), 2U);
  EXPECT_LT(found.all()[0].l4_offset, found.all()[1].l4_offset);
  for (std::size_t i = 2; i-- > 0;) complete_partial(frame.data(), frame.size(), found.all()[i]);
  for (const L3L4& l : found.all()) EXPECT_TRUE(verify_l4(frame.data(), frame.size(), l));
}

TEST(Unfinished, AFewTunnelsDeep) {
  Bytes ip = inner_packets().front().ip;
  for (std::size_t depth = 0; depth <= kInnerTunnels + 1; ++depth) {
    EXPECT_EQ(look(eth(kEthIpv4, ip)).all().size(), depth <= kInnerTunnels ? 1U : 0U) << depth;
    ip = ipv4(kProtoUdp, udp(vxlan(eth(kEthIpv4, ip)), 50000, 4789));
  }
}

}  // namespace
}  // namespace heddle::packet
