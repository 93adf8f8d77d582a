// SPDX-License-Identifier: Apache-2.0
// Explicit congestion notification through a tunnel (RFC 6040): copies the mark to the outer header on encapsulation
// and to the inner header on decapsulation. Pure functions; any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "base/drop_reason.h"
#include "packet/parse.h"

namespace heddle::packet {

inline constexpr std::uint8_t kEcnMask = 3;
inline constexpr std::uint8_t kEcnNotEct = 0;
inline constexpr std::uint8_t kEcnEct1 = 1;
inline constexpr std::uint8_t kEcnEct0 = 2;
inline constexpr std::uint8_t kEcnCe = 3;

// The TOS of the outer header: DSCP of `outer_tos`, ECN of `inner_tos` (section 4.1, normal mode). Pass inner_tos 0 for
// frames that are not IP.
[[nodiscard]] constexpr std::uint8_t ecn_encap(std::uint8_t outer_tos, std::uint8_t inner_tos) {
  return static_cast<std::uint8_t>((outer_tos & ~kEcnMask) | (inner_tos & kEcnMask));
}

enum class EcnAction : std::uint8_t { leave, set_ect1, set_ce, drop };

// Section 4.2, figure 4: the change to the inner header.
[[nodiscard]] constexpr EcnAction ecn_decap(std::uint8_t outer_tos, std::uint8_t inner_tos) {
  const int outer = outer_tos & kEcnMask;
  const int inner = inner_tos & kEcnMask;
  if (outer == kEcnCe) {
    if (inner == kEcnNotEct) return EcnAction::drop;
    return inner == kEcnCe ? EcnAction::leave : EcnAction::set_ce;
  }
  return outer == kEcnEct1 && inner == kEcnEct0 ? EcnAction::set_ect1 : EcnAction::leave;
}

// TOS (traffic class) and TTL (hop limit) of the IP packet in a frame, for outer headers that inherit them.
struct InnerIp {
  std::uint8_t tos;
  std::uint8_t ttl;
};
// Nothing for a frame without a complete IP header in `contiguous` bytes. Skips inner VLAN tags.
[[nodiscard]] std::optional<InnerIp> inner_ip(const std::uint8_t* data, std::size_t contiguous, const L2& l2);

// Applies ecn_decap() to the inner frame in place and adjusts the IPv4 header checksum. Drop::ecn_invalid: the packet
// must be dropped. Frames that are not IP stay unchanged.
std::optional<Drop> ecn_decap_frame(std::uint8_t outer_tos, std::uint8_t* inner, std::size_t contiguous,
                                    const L2& inner_l2);

}  // namespace heddle::packet
