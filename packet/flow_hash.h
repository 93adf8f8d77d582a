// SPDX-License-Identifier: Apache-2.0
// A number that is the same for all frames of a flow and well spread over flows: it picks the outer UDP source port, so
// that the underlay's routers and the receiver's queues spread tunnel traffic (RFC 7348 section 5). Not secret and not
// the same in both directions. Pure; any thread; a few nanoseconds.
#pragma once

#include <cstddef>
#include <cstdint>

#include "packet/parse.h"

namespace heddle::packet {

// Over MAC addresses, IP addresses and, for whole TCP, UDP and SCTP datagrams, ports. All fragments of a datagram have
// one value (no ports). Reads at most `contiguous` bytes; a broken packet is hashed as far as it makes sense.
[[nodiscard]] std::uint32_t inner_hash(const std::uint8_t* data, std::size_t contiguous, const L2& l2);

// In the range that RFC 7348 section 5 recommends: 49152 to 65535.
[[nodiscard]] constexpr std::uint16_t vxlan_source_port(std::uint32_t hash) {
  return static_cast<std::uint16_t>(0xc000 | hash >> 18);
}

}  // namespace heddle::packet
