// SPDX-License-Identifier: Apache-2.0
// Finds and checks the headers of a frame. Reads only, keeps nothing, any thread; every offset that comes out lies
// within the bytes that went in.
//
// A switch that forwards by MAC and VLAN needs parse_l2() alone and must forward what parse_l3() would refuse: a
// broken IP packet is its receiver's affair. parse_l3() is for those who act on the inside: completing checksums,
// tunnel decapsulation, answers to guests, policy.
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
  std::uint16_t eth_type = 0;   // after the outer tag: may be another tag
  std::uint16_t l3_offset = 0;  // after the outer tag
};

[[nodiscard]] constexpr bool is_vlan_tpid(std::uint16_t type) { return type == kEthVlan || type == kEthQinq; }

// `len`: bytes readable at `data`. Fails with Drop::truncated when the header or its tag does not fit.
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
  bool fragment = false;           // one of several; an IPv6 atomic fragment (RFC 6946) is none
  bool first_fragment = false;     // a fragment with offset 0
  bool df = false;                 // IPv4 "don't fragment"
  std::uint8_t l4_header_len = 0;  // TCP with options, UDP, ICMP; 0 for other protocols
  std::uint16_t eth_type = 0;      // after all tags that were skipped
  std::uint16_t l3_offset = 0;     // after all tags that were skipped
  std::uint16_t l4_offset = 0;     // 0: none, a later fragment, or a first one too short for the header
  std::uint16_t pseudo_dst = 0;    // where the pseudo-header's destination address is (RFC 8200 8.1: the last of a
                                   // routing header that has segments left)
  std::uint32_t l3_total_len = 0;  // IP packet with its header, as claimed; fits the frame. IPv6: up to 65,575
  std::uint32_t l4_len = 0;        // bytes of the L4 datagram: UDP's own length, else to the end of the IP packet
};

// `contiguous`: bytes readable at `data`, in which all headers must lie; `frame_len`: bytes of the whole frame, which
// may be more (a chain of buffers) and may have padding behind the IP packet. Skips limits::kInnerVlanTags tags behind
// the outer one and follows limits::kIpv6Extensions extension headers; jumbograms (RFC 2675) are not known.
// Drop::truncated: a header does not fit `contiguous`; bad_length: a length field contradicts another or the frame;
// bad_header: version, header size or order is impossible. A frame that is not IP or ARP is Kind::none, no failure.
std::optional<Drop> parse_l3(const std::uint8_t* data, std::size_t contiguous, std::size_t frame_len, const L2& l2,
                             L3L4& out);

// Moves past VLAN tags at `offset` (where `type` is what encloses it), at most limits::kInnerVlanTags and as far as
// `contiguous` reaches. False when a tag does not fit.
bool skip_vlan_tags(const std::uint8_t* data, std::size_t contiguous, std::uint16_t& type, std::uint16_t& offset);

}  // namespace heddle::packet
