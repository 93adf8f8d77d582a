// SPDX-License-Identifier: Apache-2.0
// Finds and checks the headers of a frame. Pure functions: any thread; every offset in a result lies within the given
// bytes. A function fails by returning the Drop to count.
//
// Forwarding by MAC and VLAN needs parse_l2() alone, and must forward frames that parse_l3() would refuse: checking IP
// is the receiver's job. parse_l3() serves checksum completion, tunnel decapsulation, ICMP errors to guests and policy.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "base/addr.h"
#include "base/drop_reason.h"
#include "packet/headers.h"

namespace heddle::packet {

struct L2 {
  MacAddr dst;
  MacAddr src;
  std::uint16_t vlan_tpid = 0;  // kEthVlan, kEthQinq; 0 = untagged
  std::uint16_t vlan_tci = 0;   // of the outer tag
  std::uint16_t eth_type = 0;   // after the outer tag; may be the TPID of another tag
  std::uint16_t l3_offset = 0;  // after the outer tag
};

[[nodiscard]] constexpr bool is_vlan_tpid(std::uint16_t type) { return type == kEthVlan || type == kEthQinq; }

// `len`: bytes readable at `data`. Fails with Drop::truncated when the header or the outer tag does not fit.
inline std::optional<Drop> parse_l2(const std::uint8_t* data, std::size_t len, L2& out) {
  if (len < sizeof(EthHeader)) return Drop::truncated;
  out.dst = load<MacAddr>(data);
  out.src = load<MacAddr>(data + 6);
  out.eth_type = load_be16(data + 12);
  out.vlan_tpid = 0;
  out.vlan_tci = 0;
  out.l3_offset = sizeof(EthHeader);
  if (is_vlan_tpid(out.eth_type)) {
    if (len < sizeof(EthHeader) + sizeof(VlanTag)) return Drop::truncated;
    out.vlan_tpid = out.eth_type;
    out.vlan_tci = load_be16(data + 14);
    out.eth_type = load_be16(data + 16);
    out.l3_offset = sizeof(EthHeader) + sizeof(VlanTag);
  }
  return std::nullopt;
}

struct L3L4 {
  enum class Kind : std::uint8_t { none, ipv4, ipv6, arp };
  Kind kind = Kind::none;
  std::uint8_t l4_proto = 0;       // after IPv6 extension headers
  std::uint8_t tos = 0;            // IPv4 TOS or IPv6 traffic class
  std::uint8_t ttl = 0;            // or hop limit
  bool fragment = false;           // part of a datagram; false for an IPv6 atomic fragment (RFC 6946)
  bool first_fragment = false;     // fragment with offset 0
  bool df = false;                 // IPv4 "don't fragment"
  std::uint8_t l4_header_len = 0;  // TCP with options, UDP, ICMP; 0 for other protocols
  std::uint16_t eth_type = 0;      // after all skipped tags
  std::uint16_t l3_offset = 0;     // after all skipped tags
  std::uint16_t l4_offset = 0;     // 0: no L4, a later fragment, or a first fragment too short for the L4 header
  std::uint16_t pseudo_dst = 0;    // offset of the pseudo-header's destination address (RFC 8200 8.1: the final
                                   // destination in a routing header with segments left)
  std::uint32_t l3_total_len = 0;  // bytes of the IP packet by its length field; fits the frame. IPv6: up to 65,575
  std::uint32_t l4_len = 0;        // bytes of the L4 datagram: UDP's own length, else to the end of the IP packet
};

// `contiguous`: bytes readable at `data`, which must hold all headers; `frame_len`: bytes of the whole frame, which may
// be more (a chain of buffers) and may have padding after the IP packet. Skips limits::kInnerVlanTags tags behind the
// outer tag and follows limits::kIpv6Extensions extension headers; jumbograms (RFC 2675) are not supported.
// Drop::truncated: a header does not fit `contiguous`; bad_length: a length field contradicts another or the frame;
// bad_header: impossible version, header size or order. A frame that is not IP or ARP succeeds as Kind::none.
std::optional<Drop> parse_l3(const std::uint8_t* data, std::size_t contiguous, std::size_t frame_len, const L2& l2,
                             L3L4& out);

// Advances `type` and `offset` past at most limits::kInnerVlanTags VLAN tags. In: `type` is the EtherType that
// announces the bytes at `offset`. False when a tag does not fit `contiguous` bytes.
bool skip_vlan_tags(const std::uint8_t* data, std::size_t contiguous, std::uint16_t& type, std::uint16_t& offset);

}  // namespace heddle::packet
