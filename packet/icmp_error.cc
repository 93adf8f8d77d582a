// SPDX-License-Identifier: Apache-2.0
#include "packet/icmp_error.h"

#include <algorithm>

#include "packet/checksum.h"
#include "packet/headers.h"

namespace heddle::packet {
namespace {

constexpr std::uint8_t kTtl = 64;
constexpr std::uint8_t kTos = 0xc0;            // RFC 1812 4.3.2.5: precedence 6, "internetwork control"
constexpr std::uint8_t kUnreachable = 3;       // RFC 792
constexpr std::uint8_t kFragNeeded = 4;        // RFC 792: code of kUnreachable
constexpr std::uint8_t kPacketTooBig = 2;      // RFC 4443 3.2
constexpr std::uint8_t kFirstIcmp6Info = 128;  // RFC 4443 2.1: lower types are errors
constexpr std::uint8_t kIcmp6Redirect = 137;   // RFC 4861 4.5

// RFC 792: unreachable, source quench, redirect, time exceeded, parameter problem.
bool is_icmp4_error(std::uint8_t type) { return type == 3 || type == 4 || type == 5 || type == 11 || type == 12; }

// True when an IPv4 address, in host order, can belong to a single host (RFC 1122 3.2.1.3): not "this net", loopback,
// multicast, reserved or broadcast.
bool is_host_v4(std::uint32_t address) {
  const std::uint32_t first = address >> 24;
  return first != 0 && first != 127 && first < 224;
}

bool is_host_v6(const std::array<std::uint8_t, 16>& address) {
  if (address[0] == 0xff) return false;
  if (!std::all_of(address.begin(), address.end() - 1, [](std::uint8_t b) { return b == 0; })) return true;
  return address[15] > 1;  // neither unspecified nor loopback
}

bool due_ipv4(const std::uint8_t* data, const L3L4& l) {
  const auto ip = load<Ipv4Header>(data + l.l3_offset);
  if (!l.df || !is_host_v4(ip.src.get()) || !is_host_v4(ip.dst.get())) return false;
  const std::size_t header_len = std::size_t{ip.version_ihl & 0xfU} * 4;
  if (ipv4_header_checksum(data + l.l3_offset, header_len).raw() != 0) return false;
  if (l.l4_proto != kProtoIcmp) return true;
  return l.l4_offset != 0 && !is_icmp4_error(data[l.l4_offset]);
}

bool due_ipv6(const std::uint8_t* data, const L3L4& l) {
  const auto ip = load<Ipv6Header>(data + l.l3_offset);
  if (!is_host_v6(ip.src) || !is_host_v6(ip.dst)) return false;
  if (l.l4_proto != kProtoIcmp6) return true;
  if (l.l4_offset == 0) return false;
  const std::uint8_t type = data[l.l4_offset];
  return type >= kFirstIcmp6Info && type != kIcmp6Redirect;
}

bool due(const std::uint8_t* data, const L2& l2, const L3L4& l, unsigned mtu) {
  if (l.kind != L3L4::Kind::ipv4 && l.kind != L3L4::Kind::ipv6) return false;
  if (l2.dst.is_multicast() || l2.src.is_multicast() || l2.src.is_zero()) return false;
  if (l.l3_total_len <= mtu || (l.fragment && !l.first_fragment)) return false;
  return l.kind == L3L4::Kind::ipv4 ? due_ipv4(data, l) : due_ipv6(data, l);
}

void write_ipv4(std::uint8_t* ip, const Ipv4Header& offending, std::size_t quote, unsigned mtu) {
  Ipv4Header header{};
  header.version_ihl = 0x45;
  header.tos = kTos;
  header.total_len = be16(static_cast<std::uint16_t>(sizeof(Ipv4Header) + sizeof(IcmpHeader) + quote));
  header.frag = be16(kIpv4Df);  // RFC 6864 4.1: with DF the identification may have any value
  header.ttl = kTtl;
  header.proto = kProtoIcmp;
  header.src = offending.dst;
  header.dst = offending.src;
  header.checksum = ipv4_header_checksum(&header, sizeof(header));
  store(ip, header);
  // RFC 1191 4: the next hop's MTU in the low 16 bits.
  const IcmpHeader icmp{kUnreachable, kFragNeeded, be16(0), be32(std::min(mtu, 0xffffU))};
  std::uint8_t* at = ip + sizeof(header);
  store(at, icmp);
  store(at + offsetof(IcmpHeader, checksum), finish(csum_partial(at, sizeof(icmp) + quote)));
}

void write_ipv6(std::uint8_t* ip, const Ipv6Header& offending, std::size_t quote, unsigned mtu) {
  const auto len = static_cast<std::uint16_t>(sizeof(IcmpHeader) + quote);
  Ipv6Header header{};
  header.version_class_label = be32(6U << 28 | static_cast<std::uint32_t>(kTos) << 20);
  header.payload_len = be16(len);
  header.next = kProtoIcmp6;
  header.hop_limit = kTtl;
  header.src = offending.dst;
  header.dst = offending.src;
  store(ip, header);
  const IcmpHeader icmp{kPacketTooBig, 0, be16(0), be32(mtu)};
  std::uint8_t* at = ip + sizeof(header);
  store(at, icmp);
  const Sum sum = pseudo_header_sum_v6(header.src.data(), header.dst.data(), kProtoIcmp6, len);
  store(at + offsetof(IcmpHeader, checksum), finish(csum_partial(at, len, sum)));
}

}  // namespace

std::size_t build_too_big(std::span<const std::uint8_t> frame, std::size_t frame_len, const L2& l2, unsigned mtu,
                          std::span<std::uint8_t> out) {
  const std::uint8_t* data = frame.data();
  L3L4 l;
  if (parse_l3(data, frame.size(), frame_len, l2, l) || !due(data, l2, l, mtu)) return 0;
  const bool v6 = l.kind == L3L4::Kind::ipv6;
  const std::size_t ip_len = v6 ? sizeof(Ipv6Header) : sizeof(Ipv4Header);
  const std::size_t headers = l.l3_offset + ip_len + sizeof(IcmpHeader);
  const std::size_t allowed = (v6 ? kIcmpErrorMaxV6 : kIcmpErrorMaxV4) - ip_len - sizeof(IcmpHeader);
  if (out.size() <= headers) return 0;
  const std::size_t readable = std::min(frame.size(), frame_len) - l.l3_offset;
  const std::size_t quote = std::min({allowed, std::size_t{l.l3_total_len}, readable, out.size() - headers});
  // RFC 792: the IP header and the next eight bytes, by which the guest finds the sending socket.
  const std::size_t least = v6 ? ip_len + 8 : std::size_t{data[l.l3_offset] & 0xfU} * 4 + 8;
  if (quote < std::min<std::size_t>(least, l.l3_total_len)) return 0;

  // VLAN tags and EtherType are the offending frame's.
  std::copy_n(data, l.l3_offset, out.data());
  store(out.data(), l2.src);
  store(out.data() + sizeof(MacAddr), l2.dst);
  std::uint8_t* ip = out.data() + l.l3_offset;
  std::copy_n(data + l.l3_offset, quote, ip + ip_len + sizeof(IcmpHeader));
  if (v6) {
    write_ipv6(ip, load<Ipv6Header>(data + l.l3_offset), quote, mtu);
  } else {
    write_ipv4(ip, load<Ipv4Header>(data + l.l3_offset), quote, mtu);
  }
  return headers + quote;
}

}  // namespace heddle::packet
