// SPDX-License-Identifier: Apache-2.0
// The ICMP error for a guest whose packet is too large for the tunnel: ICMP "fragmentation needed" (RFC 792, RFC 1191)
// or ICMPv6 "packet too big" (RFC 4443 3.2), so that path MTU discovery works inside an overlay. The switch has no
// address in the overlay, so the error's source is the offending packet's destination. Pure; any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "packet/parse.h"

namespace heddle::packet {

// Longest error in bytes of its IP packet (RFC 1812 4.3.2.3, RFC 4443 2.4(c)).
inline constexpr std::size_t kIcmpErrorMaxV4 = 576;
inline constexpr std::size_t kIcmpErrorMaxV6 = 1280;
// Longest frame of an error: Ethernet header, three VLAN tags, the longest IP packet.
inline constexpr std::size_t kTooBigMax = sizeof(EthHeader) + 3 * sizeof(VlanTag) + kIcmpErrorMaxV6;

// Writes the complete Ethernet frame of the error to `out` and returns its length, or 0 when no error is due.
// `frame`: the offending frame's first contiguous bytes; `frame_len`: the length of the whole frame; `mtu`: the length
// of the longest IP packet that fits the tunnel. The error has the offending frame's VLAN tags and its MAC addresses
// swapped, and quotes as much of the packet as the standards allow and `frame` holds; a small `out` shortens the quote.
// The caller counts the drop and limits the rate of errors.
//
// No error is due for: a malformed IP packet, or one that fits `mtu`; IPv4 without DF (a switch does not fragment, so
// such frames are lost); multicast MAC or IP addresses, and source addresses that are not a single host's; fragments
// after the first; ICMP errors and redirects (RFC 1812 4.3.2.7, RFC 4443 2.4(e)).
std::size_t build_too_big(std::span<const std::uint8_t> frame, std::size_t frame_len, const L2& l2, unsigned mtu,
                          std::span<std::uint8_t> out);

}  // namespace heddle::packet
