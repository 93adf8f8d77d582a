// SPDX-License-Identifier: Apache-2.0
// VXLAN (RFC 7348) as seen by a tunnel end point: checks and opens a received packet, and makes the template of a sent
// one's outer headers (encap.h). No state; any thread. A refused packet comes back with its Drop reason.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "base/addr.h"
#include "base/drop_reason.h"
#include "packet/checksum.h"
#include "packet/ecn.h"
#include "packet/encap.h"
#include "packet/parse.h"

namespace heddle::packet {

// UDP and VXLAN header, which lie between the outer IP header and the inner frame.
inline constexpr std::size_t kVxlanUdpOverhead = sizeof(UdpHeader) + sizeof(VxlanHeader);
// Outer headers of an untagged frame.
inline constexpr std::size_t kVxlanOverheadV4 = sizeof(EthHeader) + sizeof(Ipv4Header) + kVxlanUdpOverhead;
inline constexpr std::size_t kVxlanOverheadV6 = sizeof(EthHeader) + sizeof(Ipv6Header) + kVxlanUdpOverhead;

struct VxlanOuter {
  L2 l2;                              // outer Ethernet
  L3L4 ip;                            // outer IP and UDP
  const std::uint8_t* src = nullptr;  // outer IP addresses, in the frame: 4 or 16 bytes
  const std::uint8_t* dst = nullptr;
  bool v6 = false;
  std::uint8_t tos = 0;
  std::uint16_t src_port = 0;
  std::uint16_t dst_port = 0;
  std::uint32_t vni = 0;
  std::uint16_t inner_offset = 0;  // of the inner Ethernet header
  std::uint32_t inner_len = 0;     // of the inner frame; at least 14. What follows in the outer frame is padding

  [[nodiscard]] IpAddr src_addr() const { return v6 ? IpAddr::v6_bytes(src) : IpAddr::v4_bytes(src); }
  [[nodiscard]] IpAddr dst_addr() const { return v6 ? IpAddr::v6_bytes(dst) : IpAddr::v4_bytes(dst); }
};

// Opens a frame from its outer Ethernet header on (untagged or with one tag). `contiguous` and `frame_len` as for
// parse_l3(). Beyond that function's reasons: a wrong IPv4 header checksum or a fragment (RFC 7348 4.3: end points need
// not reassemble) is Drop::bad_header; not UDP, or without the I flag, Drop::bad_vxlan; no room for an inner Ethernet
// header, Drop::truncated. Reserved bits are ignored as section 5 demands. The port numbers are the caller's to judge,
// the UDP checksum udp_checksum_ok()'s.
std::optional<Drop> parse_vxlan(const std::uint8_t* data, std::size_t contiguous, std::size_t frame_len,
                                VxlanOuter& out);
// Opens what a kernel UDP socket gives: `data` starts at the VXLAN header, `payload_len` is the datagram's length.
// Fills vni, inner_offset and inner_len only.
std::optional<Drop> parse_vxlan_payload(const std::uint8_t* data, std::size_t contiguous, std::size_t payload_len,
                                        VxlanOuter& out);
// Judges the outer UDP checksum of a packet that parse_vxlan() opened. Zero is accepted (RFC 7348 5, RFC 6935), so is a
// partial one, which a virtual link may carry (see looks_partial()); any other must be right.
[[nodiscard]] bool udp_checksum_ok(std::span<const Segment> chain, const VxlanOuter& outer);

// Both addresses of one family. `df`: IPv4's "don't fragment".
[[nodiscard]] EncapTemplate make_encap_template(const MacAddr& dst_mac, const MacAddr& src_mac, const IpAddr& src_ip,
                                                const IpAddr& dst_ip, std::uint16_t dst_port, std::uint32_t vni,
                                                std::uint8_t tos, std::uint8_t ttl, bool df);
// The longest inner frame that an outer packet can carry.
[[nodiscard]] constexpr std::size_t max_inner_len(bool v6) {
  return 0xffff - kVxlanUdpOverhead - (v6 ? 0 : sizeof(Ipv4Header));
}

}  // namespace heddle::packet
