// SPDX-License-Identifier: Apache-2.0
#include "packet/parse.h"

#include <algorithm>

#include "base/limits.h"

namespace heddle::packet {
namespace {

constexpr std::size_t kMaxOffset = 0xffff;    // offsets are 16 bits wide
constexpr std::size_t kMaxDatagram = 0xffff;  // RFC 791: limit of fragment offset + length

// The bytes of one IP packet. `end`: offset behind the packet by its own length field, within the frame.
struct Walk {
  const std::uint8_t* data;
  std::size_t contiguous;
  std::size_t end;

  // Nothing when `bytes` bytes at `at` belong to the packet and can be read.
  [[nodiscard]] std::optional<Drop> need(std::size_t at, std::size_t bytes) const {
    if (at + bytes > end) return Drop::bad_length;
    if (at + bytes > contiguous) return Drop::truncated;
    return std::nullopt;
  }
};

std::optional<Drop> parse_tcp(const Walk& walk, std::size_t at, L3L4& out) {
  const std::size_t len = static_cast<std::size_t>(walk.data[at + 12] >> 4) * 4;
  if (len < sizeof(TcpHeader)) return Drop::bad_header;
  if (auto drop = walk.need(at, len)) {
    if (!out.fragment || *drop != Drop::bad_length) return drop;
    out.l4_offset = 0;  // the options continue in the next fragment
    out.l4_len = 0;
    return std::nullopt;
  }
  out.l4_header_len = static_cast<std::uint8_t>(len);
  return std::nullopt;
}

std::optional<Drop> parse_udp(const Walk& walk, std::size_t at, L3L4& out) {
  const std::uint16_t len = load_be16(walk.data + at + 4);
  if (len < sizeof(UdpHeader)) return Drop::bad_length;
  if (!out.fragment) {  // in a first fragment the field has the length of the whole datagram
    if (at + len > walk.end) return Drop::bad_length;
    out.l4_len = len;
  }
  out.l4_header_len = sizeof(UdpHeader);
  return std::nullopt;
}

std::size_t l4_minimum(std::uint8_t proto) {
  switch (proto) {
    case kProtoTcp:
      return sizeof(TcpHeader);
    case kProtoUdp:
      return sizeof(UdpHeader);
    case kProtoIcmp:
      return sizeof(IcmpHeader);
    case kProtoIcmp6:
      return 4;  // RFC 4443 2.1: type, code, checksum; the rest depends on the type
    default:
      return 0;
  }
}

// Parses the L4 header at `at`; not called for later fragments.
std::optional<Drop> parse_l4(const Walk& walk, std::size_t at, L3L4& out) {
  const std::size_t minimum = l4_minimum(out.l4_proto);
  if (auto drop = walk.need(at, minimum)) {
    // RFC 791 allows a first fragment that ends inside the L4 header.
    if (out.fragment && *drop == Drop::bad_length) return std::nullopt;
    return drop;
  }
  if (at == walk.end) return std::nullopt;
  out.l4_offset = static_cast<std::uint16_t>(at);
  out.l4_len = static_cast<std::uint32_t>(walk.end - at);
  if (out.l4_proto == kProtoTcp) return parse_tcp(walk, at, out);
  if (out.l4_proto == kProtoUdp) return parse_udp(walk, at, out);
  out.l4_header_len = static_cast<std::uint8_t>(minimum);
  return std::nullopt;
}

std::optional<Drop> parse_ipv4(const std::uint8_t* data, std::size_t contiguous, std::size_t frame_len, L3L4& out) {
  const std::size_t at = out.l3_offset;
  if (contiguous < at + sizeof(Ipv4Header)) return Drop::truncated;
  const auto ip = load<Ipv4Header>(data + at);
  const std::size_t header_len = static_cast<std::size_t>(ip.version_ihl & 0xf) * 4;
  if (ip.version_ihl >> 4 != 4 || header_len < sizeof(Ipv4Header)) return Drop::bad_header;
  const std::size_t total = ip.total_len.get();
  if (total < header_len || at + total > frame_len) return Drop::bad_length;
  const Walk walk{data, contiguous, at + total};
  if (auto drop = walk.need(at, header_len)) return drop;

  const std::uint16_t frag = ip.frag.get();
  const std::size_t fragment_offset = static_cast<std::size_t>(frag & kIpv4OffsetMask) * 8;
  out.kind = L3L4::Kind::ipv4;
  out.l4_proto = ip.proto;
  out.tos = ip.tos;
  out.ttl = ip.ttl;
  out.df = (frag & kIpv4Df) != 0;
  out.fragment = (frag & (kIpv4Mf | kIpv4OffsetMask)) != 0;
  out.first_fragment = out.fragment && fragment_offset == 0;
  out.l3_total_len = static_cast<std::uint32_t>(total);
  out.pseudo_dst = static_cast<std::uint16_t>(at + 16);
  if (fragment_offset + total > kMaxDatagram) return Drop::bad_length;
  if (fragment_offset != 0) return std::nullopt;
  return parse_l4(walk, at + header_len, out);
}

bool is_extension(std::uint8_t next) {
  return next == kProtoHopByHop || next == kProtoRouting || next == kProtoFragment || next == kProtoDestOptions ||
         next == kProtoAh;
}

std::size_t extension_len(std::uint8_t type, std::uint8_t len_field) {
  if (type == kProtoFragment) return 8;
  if (type == kProtoAh) return (std::size_t{len_field} + 2) * 4;  // RFC 4302 2.2
  return (std::size_t{len_field} + 1) * 8;                        // RFC 8200 4
}

// RFC 8200 8.1: while segments are left, the pseudo-header has the final destination: the only address of type 2
// (RFC 6275 6.4), the first in the list of type 4 (RFC 8754 2), the last in the list of the deprecated type 0.
void note_routing(const std::uint8_t* data, std::size_t at, std::size_t len, L3L4& out) {
  const std::uint8_t type = data[at + 2];
  const std::uint8_t segments_left = data[at + 3];
  if (segments_left == 0 || len < 8 + 16) return;
  if (type == 2 || type == 4) out.pseudo_dst = static_cast<std::uint16_t>(at + 8);
  if (type == 0) out.pseudo_dst = static_cast<std::uint16_t>(at + 8 + ((len - 8) / 16 - 1) * 16);
}

// Parses the fragment header at `at`. Sets `later` for a fragment after the first.
std::optional<Drop> parse_fragment(const Walk& walk, std::size_t at, L3L4& out, bool& later) {
  const std::uint16_t field = load_be16(walk.data + at + 2);
  const std::size_t offset = field & 0xfff8;
  const bool more = (field & 1) != 0;
  if (out.fragment) return Drop::bad_header;  // RFC 8200 4.1: at most one
  out.fragment = offset != 0 || more;
  out.first_fragment = out.fragment && offset == 0;
  later = offset != 0;
  if (offset + (walk.end - at - 8) > kMaxDatagram) return Drop::bad_length;
  return std::nullopt;
}

// Follows the extension headers from `at`; leaves `at` at the upper layer and stores its protocol in out.l4_proto.
std::optional<Drop> skip_extensions(const Walk& walk, std::size_t& at, L3L4& out, bool& later) {
  const std::size_t first = at;
  for (std::size_t count = 0; is_extension(out.l4_proto); ++count) {
    if (count == limits::kIpv6Extensions) return Drop::bad_header;
    const std::uint8_t type = out.l4_proto;
    if (type == kProtoHopByHop && at != first) return Drop::bad_header;  // RFC 8200 4.1: only as the first extension
    if (auto drop = walk.need(at, 8)) return drop;
    const std::size_t len = extension_len(type, walk.data[at + 1]);
    if (auto drop = walk.need(at, len)) return drop;
    if (type == kProtoRouting) note_routing(walk.data, at, len, out);
    if (type == kProtoFragment) {
      if (auto drop = parse_fragment(walk, at, out, later)) return drop;
    }
    out.l4_proto = walk.data[at];
    at += len;
    if (later) break;
  }
  return std::nullopt;
}

std::optional<Drop> parse_ipv6(const std::uint8_t* data, std::size_t contiguous, std::size_t frame_len, L3L4& out) {
  std::size_t at = out.l3_offset;
  if (contiguous < at + sizeof(Ipv6Header)) return Drop::truncated;
  const auto ip = load<Ipv6Header>(data + at);
  const std::uint32_t word = ip.version_class_label.get();
  if (word >> 28 != 6) return Drop::bad_header;
  const std::size_t total = sizeof(Ipv6Header) + ip.payload_len.get();
  if (at + total > frame_len) return Drop::bad_length;

  out.kind = L3L4::Kind::ipv6;
  out.l4_proto = ip.next;
  out.tos = static_cast<std::uint8_t>(word >> 20);
  out.ttl = ip.hop_limit;
  out.l3_total_len = static_cast<std::uint32_t>(total);
  out.pseudo_dst = static_cast<std::uint16_t>(at + 24);
  const Walk walk{data, contiguous, at + total};
  at += sizeof(Ipv6Header);
  bool later = false;
  if (auto drop = skip_extensions(walk, at, out, later)) return drop;
  if (later || out.l4_proto == kProtoNone) return std::nullopt;
  return parse_l4(walk, at, out);
}

std::optional<Drop> parse_arp(const std::uint8_t* data, std::size_t contiguous, L3L4& out) {
  if (contiguous < out.l3_offset + std::size_t{8}) return Drop::truncated;
  const std::uint8_t* at = data + out.l3_offset;
  if (load_be16(at) != 1 || load_be16(at + 2) != kEthIpv4) return std::nullopt;  // only Ethernet with IPv4 is parsed
  if (at[4] != 6 || at[5] != 4) return Drop::bad_header;
  if (contiguous < out.l3_offset + sizeof(ArpIpv4)) return Drop::truncated;
  out.kind = L3L4::Kind::arp;
  out.l3_total_len = sizeof(ArpIpv4);
  return std::nullopt;
}

}  // namespace

bool skip_vlan_tags(const std::uint8_t* data, std::size_t contiguous, std::uint16_t& type, std::uint16_t& offset) {
  for (std::size_t i = 0; i < limits::kInnerVlanTags && is_vlan_tpid(type); ++i) {
    if (contiguous < offset + sizeof(VlanTag)) return false;
    type = load<VlanTag>(data + offset).type.get();
    offset += sizeof(VlanTag);
  }
  return true;
}

std::optional<Drop> parse_l3(const std::uint8_t* data, std::size_t contiguous, std::size_t frame_len, const L2& l2,
                             L3L4& out) {
  contiguous = std::min({contiguous, frame_len, kMaxOffset});
  out = L3L4{};
  out.eth_type = l2.eth_type;
  out.l3_offset = l2.l3_offset;
  if (!skip_vlan_tags(data, contiguous, out.eth_type, out.l3_offset)) return Drop::truncated;
  switch (out.eth_type) {
    case kEthIpv4:
      return parse_ipv4(data, contiguous, frame_len, out);
    case kEthIpv6:
      return parse_ipv6(data, contiguous, frame_len, out);
    case kEthArp:
      return parse_arp(data, contiguous, out);
    default:
      if (out.eth_type <= kEthMaxLength && out.l3_offset + std::size_t{out.eth_type} > frame_len) {
        return Drop::bad_length;
      }
      return std::nullopt;
  }
}

}  // namespace heddle::packet
