// SPDX-License-Identifier: Apache-2.0
// VXLAN (RFC 7348) at a tunnel end point: parses a received packet, and makes the template of the outer headers of a
// sent packet (encap.h). Pure functions; any thread. A function fails by returning the Drop to count.
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

// Bytes between the outer IP header and the inner frame.
inline constexpr std::size_t kVxlanUdpOverhead = sizeof(UdpHeader) + sizeof(VxlanHeader);
// Bytes before the inner frame in an untagged outer frame.
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
  std::uint32_t inner_len = 0;     // of the inner frame; at least 14. Padding of the outer frame may follow

  [[nodiscard]] IpAddr src_addr() const { return v6 ? IpAddr::v6_bytes(src) : IpAddr::v4_bytes(src); }
  [[nodiscard]] IpAddr dst_addr() const { return v6 ? IpAddr::v6_bytes(dst) : IpAddr::v4_bytes(dst); }
};

// Parses a frame from its outer Ethernet header (untagged or with one tag) to the inner frame. `contiguous` and
// `frame_len` as for parse_l3(). Beyond the errors of parse_l3(): Drop::bad_header for a wrong IPv4 header checksum or
// a fragment (RFC 7348 4.3: end points need not reassemble); bad_vxlan for a packet that is not UDP or lacks the I
// flag; truncated when no inner Ethernet header fits. Reserved bits are ignored (section 5). The caller checks the UDP
// ports, and the UDP checksum with udp_checksum_ok().
std::optional<Drop> parse_vxlan(const std::uint8_t* data, std::size_t contiguous, std::size_t frame_len,
                                VxlanOuter& out);
// Parses the payload of a UDP datagram, as read from a socket: `data` starts at the VXLAN header, `payload_len` is the
// payload's length. Fills vni, inner_offset and inner_len only.
std::optional<Drop> parse_vxlan_payload(const std::uint8_t* data, std::size_t contiguous, std::size_t payload_len,
                                        VxlanOuter& out);
// True when the outer UDP checksum of a packet from parse_vxlan() is acceptable: right, zero (RFC 7348 5, RFC 6935), or
// partial, which a virtual link may carry (see looks_partial()).
[[nodiscard]] bool udp_checksum_ok(std::span<const Segment> chain, const VxlanOuter& outer);

// Both addresses must be of one family. `df`: IPv4's "don't fragment".
[[nodiscard]] EncapTemplate make_encap_template(const MacAddr& dst_mac, const MacAddr& src_mac, const IpAddr& src_ip,
                                                const IpAddr& dst_ip, std::uint16_t dst_port, std::uint32_t vni,
                                                std::uint8_t tos, std::uint8_t ttl, bool df);
// The longest inner frame that an outer packet can carry.
[[nodiscard]] constexpr std::size_t max_inner_len(bool v6) {
  return 0xffff - kVxlanUdpOverhead - (v6 ? 0 : sizeof(Ipv4Header));
}

}  // namespace heddle::packet
