// SPDX-License-Identifier: Apache-2.0
// The flow hash: equal for all frames of a flow, well spread over flows. It selects the outer UDP source port, so that
// the underlay's routers and the receiver's queues spread tunnel traffic (RFC 7348 section 5). Not secret, and
// different for the two directions of a connection. Pure functions; any thread; a few nanoseconds.
#pragma once

#include <cstddef>
#include <cstdint>

#include "packet/parse.h"

namespace heddle::packet {

// Hashes the MAC addresses, the IP addresses and, in whole TCP, UDP and SCTP datagrams, the ports. Fragments have no
// ports in their hash, so all fragments of a datagram have one value. Reads at most `contiguous` bytes; of a malformed
// packet only the readable headers are hashed.
[[nodiscard]] std::uint32_t inner_hash(const std::uint8_t* data, std::size_t contiguous, const L2& l2);

// A port in the range that RFC 7348 section 5 recommends: 49152 to 65535.
[[nodiscard]] constexpr std::uint16_t vxlan_source_port(std::uint32_t hash) {
  return static_cast<std::uint16_t>(0xc000 | hash >> 18);
}

}  // namespace heddle::packet
