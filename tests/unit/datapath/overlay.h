// SPDX-License-Identifier: Apache-2.0
// VXLAN packets taken apart and put together byte by byte (RFC 7348), and a guest with a tunnel in the forwarder's
// world.
#pragma once

#include <gtest/gtest.h>

#include "tests/unit/datapath/world.h"

namespace heddle::dp::test {

using packet::test::be16_bytes;
using packet::test::bytes_of;
using packet::test::cat;
using packet::test::naive_sum;
using packet::test::put16;

inline const IpAddr kHere = *IpAddr::parse("192.0.2.1");
inline const IpAddr kHereToo = *IpAddr::parse("192.0.2.9");
inline const IpAddr kThere = *IpAddr::parse("192.0.2.2");
inline const IpAddr kElsewhere = *IpAddr::parse("192.0.2.3");
inline const IpAddr kHere6 = *IpAddr::parse("2001:db8::a");
inline const IpAddr kThere6 = *IpAddr::parse("2001:db8::b");

inline unsigned get16(const Bytes& b, std::size_t at) { return b.at(at) * 256U + b.at(at + 1); }
inline Bytes slice(const Bytes& b, std::size_t from, std::size_t to) {
  return {b.begin() + static_cast<std::ptrdiff_t>(from), b.begin() + static_cast<std::ptrdiff_t>(to)};
}

// An Ethernet frame with a TCP or UDP datagram whose checksum is finished, or is as Linux leaves it to the device.
inline Bytes segment(bool tcp, bool v6, bool finished, std::size_t payload = 100, std::optional<Tag> tag = {}) {
  Bytes l4 = tcp ? packet::test::tcp(packet::test::filler(payload)) : packet::test::udp(packet::test::filler(payload));
  const std::size_t field = tcp ? 16 : 6;
  const IpAddr& src = v6 ? packet::test::kSrc6 : packet::test::kSrc4;
  const IpAddr& dst = v6 ? packet::test::kDst6 : packet::test::kDst4;
  const Bytes pseudo = packet::test::pseudo(src, dst, tcp ? 6 : 17, l4.size());
  put16(l4, field, finished ? static_cast<std::uint16_t>(~naive_sum(cat({pseudo, l4}))) : naive_sum(pseudo));
  const Bytes ip = v6 ? packet::test::ipv6(tcp ? 6 : 17, l4) : packet::test::ipv4(tcp ? 6 : 17, l4, {.frag = 0x4000});
  return frame(mac(2), mac(1), tag, cat({be16_bytes(v6 ? 0x86dd : 0x0800), ip}));
}

enum class UdpSum { none, right, wrong };
// A VXLAN packet as a remote end point sends it.
inline Bytes outer(const Bytes& inner, std::uint32_t vni, const IpAddr& from, const IpAddr& to,
                   UdpSum sum = UdpSum::none, std::uint8_t flags = 8, std::uint8_t tos = 0) {
  const auto v = static_cast<std::uint8_t>(vni >> 16);
  const Bytes vxlan = {flags, 0, 0, 0, v, static_cast<std::uint8_t>(vni >> 8), static_cast<std::uint8_t>(vni), 0};
  Bytes udp = packet::test::udp(cat({vxlan, inner}), 50000, 4789);
  if (sum != UdpSum::none) {
    auto value = static_cast<std::uint16_t>(~naive_sum(cat({packet::test::pseudo(from, to, 17, udp.size()), udp})));
    put16(udp, 6, static_cast<std::uint16_t>(sum == UdpSum::wrong ? value ^ 0x1234 : value));
  }
  const Bytes ip = from.is_v6() ? packet::test::ipv6(17, udp, tos, from, to)
                                : packet::test::ipv4(17, udp, {.tos = tos, .src = from, .dst = to});
  return packet::test::eth(from.is_v6() ? 0x86dd : 0x0800, ip);
}

inline TunnelSpec vni10(std::optional<IpAddr> remote = kThere) {
  TunnelSpec v;
  v.remote = std::move(remote);
  v.vxlan().vni = 10;
  v.v6 = v.remote && v.remote->is_v6();
  return v;
}

// A guest on `vm` and one tunnel to kThere.
struct Overlay : World {
  explicit Overlay(const TunnelSpec& spec = vni10(), const PortPolicy& guest = access(), unsigned mtu = 1550) {
    vm = device(guest);
    wire = underlay();
    tun = tunnel(spec, trunk());
    if (spec.remote) {
      ports[tun].path = path(tun, spec.v6 ? kHere6 : spec.local.value_or(kHere), *spec.remote, wire, mtu);
    }
  }
  PortNo vm{}, tun{};
  std::uint32_t wire = 0;
};

// Takes a sent packet apart; everything but the inner frame must be as `spec` says.
inline Bytes open(const Bytes& b, const TunnelSpec& v, std::uint8_t tos, std::uint8_t ttl) {
  EXPECT_EQ(slice(b, 0, 12), (Bytes{0x02, 0xaa, 0, 0, 0, 2, 0x02, 0xaa, 0, 0, 0, 1}));
  EXPECT_EQ(get16(b, 12), v.v6 ? 0x86ddU : 0x0800U);
  const std::size_t udp = v.v6 ? 54 : 34;
  const std::size_t udp_len = b.size() - udp;
  if (v.v6) {
    EXPECT_EQ(b[14] >> 4, 6);
    EXPECT_EQ((b[14] & 15) << 4 | b[15] >> 4, tos);
    EXPECT_EQ(get16(b, 18), udp_len);
    EXPECT_EQ(b[20], 17);
    EXPECT_EQ(b[21], ttl);
    EXPECT_EQ(slice(b, 22, 54), cat({packet::test::addr_bytes(kHere6), packet::test::addr_bytes(kThere6)}));
  } else {
    EXPECT_EQ(b[14], 0x45);
    EXPECT_EQ(b[15], tos);
    EXPECT_EQ(get16(b, 16), udp_len + 20);
    EXPECT_EQ(get16(b, 20), v.df ? 0x4000U : 0U);
    EXPECT_EQ(b[22], ttl);
    EXPECT_EQ(b[23], 17);
    EXPECT_EQ(naive_sum(slice(b, 14, 34)), 0xffff);
    EXPECT_EQ(slice(b, 26, 34), cat({packet::test::addr_bytes(kHere), packet::test::addr_bytes(kThere)}));
  }
  EXPECT_GE(get16(b, udp), 49152U);
  EXPECT_EQ(get16(b, udp + 2), v.vxlan().dst_port);
  EXPECT_EQ(get16(b, udp + 4), udp_len);
  EXPECT_EQ(get16(b, udp + 6) != 0, v.csum);
  if (v.csum) {
    const Bytes pseudo = packet::test::pseudo(v.v6 ? kHere6 : kHere, v.v6 ? kThere6 : kThere, 17, udp_len);
    EXPECT_EQ(naive_sum(cat({pseudo, slice(b, udp, b.size())})), 0xffff);
  }
  EXPECT_EQ(slice(b, udp + 8, udp + 12), (Bytes{8, 0, 0, 0}));
  EXPECT_EQ(get16(b, udp + 12) << 8 | b[udp + 14], v.vxlan().vni);
  EXPECT_EQ(b[udp + 15], 0);
  return slice(b, udp + 16, b.size());
}

}  // namespace heddle::dp::test
