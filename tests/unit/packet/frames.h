// SPDX-License-Identifier: Apache-2.0
// Builds frames for tests from parts. Checksums are computed byte by byte, independently of packet/checksum.cc.
#pragma once

#include <algorithm>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <vector>

#include "base/addr.h"
#include "packet/headers.h"
#include "packet/parse.h"

namespace heddle::packet::test {

using Bytes = std::vector<std::uint8_t>;

inline Bytes cat(std::initializer_list<Bytes> parts) {
  Bytes all;
  for (const Bytes& part : parts) all.insert(all.end(), part.begin(), part.end());
  return all;
}
template <typename T>
Bytes bytes_of(const T& value) {
  Bytes out(sizeof(T));
  store(out.data(), value);
  return out;
}
inline Bytes be16_bytes(std::uint16_t v) { return {static_cast<std::uint8_t>(v >> 8), static_cast<std::uint8_t>(v)}; }
inline void put16(Bytes& bytes, std::size_t at, std::uint16_t v) { store(bytes.data() + at, be16(v)); }

// `n` pseudo-random bytes, determined by `seed`.
inline Bytes filler(std::size_t n, unsigned seed = 1) {
  Bytes out(n);
  for (auto& b : out) b = static_cast<std::uint8_t>((seed = seed * 1103515245U + 12345U) >> 16);
  return out;
}

// RFC 1071 in its plainest form, 16-bit words from single bytes; not complemented, host order.
inline std::uint16_t naive_sum(const Bytes& bytes) {
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    sum += i % 2 == 0 ? static_cast<std::uint32_t>(bytes[i]) << 8 : bytes[i];
    if (sum > 0xffff) sum -= 0xffff;
  }
  return static_cast<std::uint16_t>(sum);
}

inline const MacAddr kDstMac = *MacAddr::parse("02:00:00:00:00:02");
inline const MacAddr kSrcMac = *MacAddr::parse("02:00:00:00:00:01");
inline const IpAddr kSrc4 = *IpAddr::parse("192.0.2.1");
inline const IpAddr kDst4 = *IpAddr::parse("198.51.100.2");
inline const IpAddr kSrc6 = *IpAddr::parse("2001:db8::1");
inline const IpAddr kDst6 = *IpAddr::parse("2001:db8:1::2");

inline Bytes addr_bytes(const IpAddr& a) { return Bytes(a.data(), a.data() + a.size()); }

// `tags`: TPIDs, outermost first; tag n has VLAN 100 + n.
inline Bytes eth(std::uint16_t type, const Bytes& payload, const std::vector<std::uint16_t>& tags = {}) {
  Bytes out = cat({bytes_of(kDstMac), bytes_of(kSrcMac)});
  std::uint16_t vlan = 100;
  for (const std::uint16_t tpid : tags) out = cat({out, be16_bytes(tpid), be16_bytes(vlan++)});
  return cat({out, be16_bytes(type), payload});
}

struct V4 {
  std::uint16_t frag = 0;
  std::uint8_t tos = 0;
  std::size_t options = 0;  // bytes, a multiple of 4
  IpAddr src = kSrc4;
  IpAddr dst = kDst4;
};
inline Bytes ipv4(std::uint8_t proto, const Bytes& payload, const V4& v = {}) {
  Ipv4Header h{};
  h.version_ihl = static_cast<std::uint8_t>(0x40 | (5 + v.options / 4));
  h.tos = v.tos;
  h.total_len = be16(static_cast<std::uint16_t>(sizeof(h) + v.options + payload.size()));
  h.id = be16(77);
  h.frag = be16(v.frag);
  h.ttl = 61;
  h.proto = proto;
  h.src = load<Be32>(v.src.data());
  h.dst = load<Be32>(v.dst.data());
  Bytes head = cat({bytes_of(h), Bytes(v.options, 1)});  // option 1: no operation
  put16(head, 10, static_cast<std::uint16_t>(~naive_sum(head)));
  return cat({head, payload});
}

inline Bytes ipv6(std::uint8_t next, const Bytes& payload, std::uint8_t traffic_class = 0, const IpAddr& src = kSrc6,
                  const IpAddr& dst = kDst6) {
  Ipv6Header h{};
  h.version_class_label = be32(6U << 28 | static_cast<std::uint32_t>(traffic_class) << 20 | 0x12345);
  h.payload_len = be16(static_cast<std::uint16_t>(payload.size()));
  h.next = next;
  h.hop_limit = 62;
  std::copy_n(src.data(), 16, h.src.begin());
  std::copy_n(dst.data(), 16, h.dst.begin());
  return cat({bytes_of(h), payload});
}

// An IPv6 extension header of `units` further 8-byte units.
inline Bytes extension(std::uint8_t next, std::uint8_t units = 0) {
  Bytes out(8 + std::size_t{units} * 8, 0);
  out[0] = next;
  out[1] = units;
  return out;
}
inline Bytes fragment_header(std::uint8_t next, std::uint16_t offset_and_more) {
  Bytes out = extension(next);
  out[1] = 0;
  put16(out, 2, offset_and_more);
  return out;
}

inline Bytes tcp(const Bytes& payload, std::size_t options = 0) {
  TcpHeader h{};
  h.src_port = be16(40000);
  h.dst_port = be16(5201);
  h.seq = be32(0x01020304);
  h.data_offset = static_cast<std::uint8_t>((5 + options / 4) << 4);
  h.flags = 0x10;
  h.window = be16(512);
  return cat({bytes_of(h), Bytes(options, 1), payload});
}
inline Bytes udp(const Bytes& payload, std::uint16_t src_port = 40000, std::uint16_t dst_port = 53) {
  return cat({bytes_of(UdpHeader{be16(src_port), be16(dst_port),
                                 be16(static_cast<std::uint16_t>(sizeof(UdpHeader) + payload.size())), be16(0)}),
              payload});
}
inline Bytes icmp(std::uint8_t type, const Bytes& payload = Bytes(8, 0)) {
  return cat({bytes_of(IcmpHeader{type, 0, be16(0), be32(0x00010001)}), payload});
}

// The bytes of the pseudo-header.
inline Bytes pseudo(const IpAddr& src, const IpAddr& dst, std::uint8_t proto, std::size_t len) {
  const Be32 length = be32(static_cast<std::uint32_t>(len));
  return cat({addr_bytes(src), addr_bytes(dst), bytes_of(length), Bytes{0, 0, 0, proto}});
}

// Parses a whole frame in one buffer; nullopt is success.
inline std::optional<Drop> parse_all(const Bytes& frame, L2& l2, L3L4& l) {
  if (auto drop = parse_l2(frame.data(), frame.size(), l2)) return drop;
  return parse_l3(frame.data(), frame.size(), frame.size(), l2, l);
}

}  // namespace heddle::packet::test
