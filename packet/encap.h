// SPDX-License-Identifier: Apache-2.0
// Outer headers of a tunnel packet, from Ethernet to the tunnel's own header: a template that is made once per remote,
// and the fields that differ between packets. Each tunnel protocol makes its templates (vxlan.h).
//
// Pure values: any thread, nothing fails.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/addr.h"
#include "base/limits.h"
#include "packet/checksum.h"
#include "packet/headers.h"

namespace heddle::packet {

// Room for the outer headers of any kind of tunnel: over IPv6 and UDP a tunnel header of 66 bytes fits, which is
// Geneve's with 58 bytes of options.
inline constexpr std::size_t kOuterHeaderMax = 128;
static_assert(kOuterHeaderMax <= limits::kFrameHeadroom, "outer headers go into the room before a received frame");

// The outer headers for one remote, complete but for the fields that differ between packets.
struct EncapTemplate {
  std::array<std::uint8_t, kOuterHeaderMax> bytes{};
  std::uint8_t len = 0;  // of `bytes` in use
  std::uint8_t ip_offset = 0;
  std::uint8_t l4_offset = 0;  // of the header behind IP: UDP's, or the tunnel's own
  bool v6 = false;
  std::uint8_t tos = 0;  // as configured; write_encap() is told the one to use
  std::uint8_t ttl = 0;
  std::uint16_t ip_sum = 0;  // IPv4: folded sum of the header's constant fields

  // One more header, behind those that are there.
  template <typename Header>
  void append(const Header& header) {
    store(bytes.data() + len, header);
    len = static_cast<std::uint8_t>(len + sizeof header);
  }
};

// The fields up to IP.
struct OuterFields {
  MacAddr dst_mac;
  MacAddr src_mac;
  IpAddr src_ip;  // both addresses of one family
  IpAddr dst_ip;
  std::uint8_t proto = 0;
  std::uint8_t tos = 0;
  std::uint8_t ttl = 0;
  bool df = false;  // IPv4: "don't fragment"
};
// Ethernet and IP. The tunnel protocol appends its headers.
[[nodiscard]] EncapTemplate begin_encap_template(const OuterFields& fields);

// For a tunnel over UDP. Writes t.len bytes at `at`, right before an inner frame of `inner_len` bytes, which IP's
// length field can take (see max_inner_len() of the protocol). The UDP checksum is left zero. IPv6: the flow label
// repeats `src_port`, so that routers spread flows (RFC 6438).
void write_encap(std::uint8_t* at, const EncapTemplate& t, std::size_t inner_len, std::uint16_t src_port,
                 std::uint8_t tos, std::uint8_t ttl, std::uint16_t ip_id);
// The UDP checksum of a frame that starts with the headers of write_encap(); write_outer_udp_checksum() stores it.
// RFC 8200 8.1 wants one over IPv6 unless zero is configured (RFC 6935).
[[nodiscard]] Be16 outer_udp_checksum(std::span<const Segment> chain, const EncapTemplate& t);
void write_outer_udp_checksum(std::span<const Segment> chain, const EncapTemplate& t);

}  // namespace heddle::packet
