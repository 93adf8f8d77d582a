// SPDX-License-Identifier: Apache-2.0
// The Internet checksum (RFC 1071), over plain bytes and over frames in several buffers, and the completion of
// checksums that a Linux sender left to its device.
//
// A sum is a 64-bit one's-complement number over the bytes in host order; fold() and finish() reduce a sum to 16 bits.
// Pure functions: any thread, no allocation, no errors. An L3L4 argument must come from parse_l3() over the same bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/byte_order.h"
#include "packet/parse.h"

namespace heddle::packet {

// One buffer of a frame, not owned. Only complete_partial() and write_outer_udp_checksum() write to the bytes.
struct Segment {
  std::uint8_t* data;
  std::size_t len;
};

using Sum = std::uint64_t;

// One's-complement addition: the carry is added to the lowest bit.
[[nodiscard]] constexpr Sum csum_add(Sum a, Sum b) {
  const Sum s = a + b;
  return s + (s < b ? 1 : 0);
}
// The sum in 16 bits, not complemented, in wire order: for Be16::from_raw().
[[nodiscard]] constexpr std::uint16_t fold(Sum sum) {
  sum = (sum & 0xffffffff) + (sum >> 32);
  sum = (sum & 0xffffffff) + (sum >> 32);
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<std::uint16_t>(sum);
}
// The value for a checksum field.
[[nodiscard]] constexpr Be16 finish(Sum sum) { return Be16::from_raw(static_cast<std::uint16_t>(~fold(sum))); }
// As finish(), for UDP: RFC 768 reserves 0 for "no checksum".
[[nodiscard]] constexpr Be16 finish_udp(Sum sum) {
  const Be16 sum16 = finish(sum);
  return sum16.raw() == 0 ? Be16::from_raw(0xffff) : sum16;
}

// Adds `len` bytes that start at an even offset of the summed data. An odd length is padded with a zero byte, so only
// the last piece may be odd; csum_chain() takes pieces of any length.
[[nodiscard]] Sum csum_partial(const void* data, std::size_t len, Sum sum = 0);
// As csum_partial(), for bytes that start at an odd offset.
[[nodiscard]] Sum csum_partial_odd(const void* data, std::size_t len, Sum sum = 0);
// Adds `len` bytes of the chain from `offset` on, or fewer when the chain ends before.
[[nodiscard]] Sum csum_chain(std::span<const Segment> chain, std::size_t offset, std::size_t len, Sum sum = 0);

// The checksum of an IPv4 header whose checksum field is zero. Over a header with a right checksum the result is 0.
[[nodiscard]] Be16 ipv4_header_checksum(const void* header, std::size_t header_len);
// RFC 1624 (equation 3): the checksum after one of the 16-bit words under it changed.
[[nodiscard]] constexpr Be16 checksum_adjust(Be16 checksum, Be16 before, Be16 after) {
  const Sum sum = Sum{static_cast<std::uint16_t>(~checksum.raw())} + static_cast<std::uint16_t>(~before.raw());
  return finish(sum + after.raw());
}

// RFC 793 3.1, RFC 768. `len`: bytes of the L4 datagram with its header. Addresses are 4 bytes each, in wire order.
[[nodiscard]] Sum pseudo_header_sum_v4(const void* src, const void* dst, std::uint8_t proto, std::uint32_t len);
// RFC 8200 8.1. Addresses are 16 bytes each.
[[nodiscard]] Sum pseudo_header_sum_v6(const void* src, const void* dst, std::uint8_t proto, std::uint32_t len);
// For an IPv4 or IPv6 packet in a frame.
[[nodiscard]] Sum pseudo_header_sum(const std::uint8_t* data, const L3L4& l);

// True for a whole TCP or UDP datagram whose checksum field holds the folded sum of the pseudo-header, not
// complemented: Linux stores that value when the device has to finish the checksum (CHECKSUM_PARTIAL). One in 65,536
// finished checksums has the same value; completing such a checksum does not change it. A UDP field of 0 means "no
// checksum".
[[nodiscard]] bool looks_partial(const std::uint8_t* data, const L3L4& l);
// Computes the checksum of a whole TCP or UDP datagram and writes it to the first buffer; bytes after the IP packet
// are not summed. Other packets stay unchanged.
void complete_partial(std::span<const Segment> chain, const L3L4& l);
inline void complete_partial(std::uint8_t* data, std::size_t len, const L3L4& l) {
  const Segment one{data, len};
  complete_partial(std::span(&one, 1), l);
}
// True when the TCP, UDP, ICMP or ICMPv6 checksum is right. A UDP field of 0 is right (RFC 6935 for IPv6). False for
// fragments and other protocols, which cannot be verified.
[[nodiscard]] bool verify_l4(std::span<const Segment> chain, const L3L4& l);
[[nodiscard]] bool verify_l4(const std::uint8_t* data, std::size_t len, const L3L4& l);

}  // namespace heddle::packet
