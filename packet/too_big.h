// SPDX-License-Identifier: Apache-2.0
// Reads the ICMP errors that tell a host of a smaller MTU on a packet's way: "fragmentation needed" (RFC 792, RFC 1191)
// and "packet too big" (RFC 4443 section 3.2), where they quote a UDP packet. The other direction of icmp_error.h.
// Pure; any thread. What is cut short, contradicts itself or is about something else gives nothing.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "base/addr.h"

namespace heddle::packet {

// What a router said of a UDP packet. Whether that packet was ours is for the reader to decide.
struct TooBig {
  IpAddr src;  // of the quoted packet
  IpAddr dst;
  std::uint16_t dst_port = 0;
  unsigned mtu = 0;  // bytes of IP packet; less than the quoted packet had
};

// The least MTU that is believed: a forged error must not stop all traffic. IPv4: as the kernel's default
// (net.ipv4.route.min_pmtu); IPv6: RFC 8200 section 5.
inline constexpr unsigned kLeastMtuV4 = 552;
inline constexpr unsigned kLeastMtuV6 = 1280;

// `message`: an ICMP message, from its own header on.
std::optional<TooBig> parse_too_big_v4(std::span<const std::uint8_t> message);
std::optional<TooBig> parse_too_big_v6(std::span<const std::uint8_t> message);

}  // namespace heddle::packet
