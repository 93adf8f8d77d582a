// SPDX-License-Identifier: Apache-2.0
#include "packet/checksum.h"

#include <algorithm>
#include <optional>

#include "packet/headers.h"

namespace heddle::packet {
namespace {

// Offset of the checksum in the frame, for the protocols whose checksum a sender may leave to its device.
std::optional<std::size_t> offloaded_field(const L3L4& l) {
  if (l.fragment || l.l4_offset == 0) return std::nullopt;
  if (l.kind != L3L4::Kind::ipv4 && l.kind != L3L4::Kind::ipv6) return std::nullopt;
  if (l.l4_proto == kProtoTcp) return l.l4_offset + offsetof(TcpHeader, checksum);
  if (l.l4_proto == kProtoUdp) return l.l4_offset + offsetof(UdpHeader, checksum);
  return std::nullopt;
}

}  // namespace

Sum csum_partial(const void* data, std::size_t len, Sum sum) {
  const auto* at = static_cast<const std::uint8_t*>(data);
  // Two independent carry chains keep the adders busy.
  Sum other = 0;
  while (len >= 64) {
    for (std::size_t i = 0; i < 64; i += 16) {
      sum = csum_add(sum, load<std::uint64_t>(at + i));
      other = csum_add(other, load<std::uint64_t>(at + i + 8));
    }
    at += 64;
    len -= 64;
  }
  for (; len >= 8; at += 8, len -= 8) sum = csum_add(sum, load<std::uint64_t>(at));
  if (len >= 4) {
    other = csum_add(other, load<std::uint32_t>(at));
    at += 4;
    len -= 4;
  }
  if (len >= 2) {
    other = csum_add(other, load<std::uint16_t>(at));
    at += 2;
    len -= 2;
  }
  if (len == 1) {
    const std::uint8_t last[2] = {*at, 0};
    other = csum_add(other, load<std::uint16_t>(last));
  }
  return csum_add(sum, other);
}

Sum csum_partial_odd(const void* data, std::size_t len, Sum sum) {
  // RFC 1071 2(B): summing byte-swapped words gives the byte-swapped sum.
  return csum_add(sum, __builtin_bswap16(fold(csum_partial(data, len))));
}

Sum csum_chain(std::span<const Segment> chain, std::size_t offset, std::size_t len, Sum sum) {
  bool odd = false;
  for (const Segment& segment : chain) {
    if (len == 0) break;
    if (offset >= segment.len) {
      offset -= segment.len;
      continue;
    }
    const std::size_t n = std::min(segment.len - offset, len);
    sum = odd ? csum_partial_odd(segment.data + offset, n, sum) : csum_partial(segment.data + offset, n, sum);
    odd ^= (n & 1) != 0;
    len -= n;
    offset = 0;
  }
  return sum;
}

Be16 ipv4_header_checksum(const void* header, std::size_t header_len) {
  return finish(csum_partial(header, header_len));
}

Sum pseudo_header_sum_v4(const void* src, const void* dst, std::uint8_t proto, std::uint32_t len) {
  return Sum{load<std::uint32_t>(src)} + load<std::uint32_t>(dst) + be32(proto).raw() + be32(len).raw();
}

Sum pseudo_header_sum_v6(const void* src, const void* dst, std::uint8_t proto, std::uint32_t len) {
  Sum sum = Sum{be32(proto).raw()} + be32(len).raw();
  for (const void* address : {src, dst}) {
    const auto* at = static_cast<const std::uint8_t*>(address);
    sum = csum_add(csum_add(sum, load<std::uint64_t>(at)), load<std::uint64_t>(at + 8));
  }
  return sum;
}

Sum pseudo_header_sum(const std::uint8_t* data, const L3L4& l) {
  if (l.kind == L3L4::Kind::ipv4) {
    const std::uint8_t* src = data + l.l3_offset + offsetof(Ipv4Header, src);
    return pseudo_header_sum_v4(src, data + l.pseudo_dst, l.l4_proto, l.l4_len);
  }
  const std::uint8_t* src = data + l.l3_offset + offsetof(Ipv6Header, src);
  return pseudo_header_sum_v6(src, data + l.pseudo_dst, l.l4_proto, l.l4_len);
}

bool looks_partial(const std::uint8_t* data, const L3L4& l) {
  const auto field = offloaded_field(l);
  if (!field) return false;
  const std::uint16_t found = load<std::uint16_t>(data + *field);
  if (found == 0 && l.l4_proto == kProtoUdp) return false;
  return found == fold(pseudo_header_sum(data, l));
}

void complete_partial(std::span<const Segment> chain, const L3L4& l) {
  const auto field = offloaded_field(l);
  if (!field || chain.empty() || *field + sizeof(Be16) > chain[0].len) return;
  std::uint8_t* at = chain[0].data;
  store(at + *field, be16(0));
  const Sum sum = csum_chain(chain, l.l4_offset, l.l4_len, pseudo_header_sum(at, l));
  store(at + *field, l.l4_proto == kProtoUdp ? finish_udp(sum) : finish(sum));
}

bool verify_l4(std::span<const Segment> chain, const L3L4& l) {
  if (l.fragment || l.l4_offset == 0 || chain.empty()) return false;
  const std::uint8_t* data = chain[0].data;
  Sum sum = 0;
  if (l.l4_proto == kProtoIcmp6 || offloaded_field(l)) {
    if (l.l4_proto == kProtoUdp && load_be16(data + l.l4_offset + offsetof(UdpHeader, checksum)) == 0) return true;
    sum = pseudo_header_sum(data, l);
  } else if (l.l4_proto != kProtoIcmp) {
    return false;
  }
  return fold(csum_chain(chain, l.l4_offset, l.l4_len, sum)) == 0xffff;
}

bool verify_l4(const std::uint8_t* data, std::size_t len, const L3L4& l) {
  const Segment one{const_cast<std::uint8_t*>(data), len};  // verify_l4() does not write
  return verify_l4(std::span(&one, 1), l);
}

}  // namespace heddle::packet
