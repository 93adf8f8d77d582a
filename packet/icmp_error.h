// SPDX-License-Identifier: Apache-2.0
// The answer to a guest whose packet is too large for the tunnel: ICMP "fragmentation needed" (RFC 792, RFC 1191) or
// ICMPv6 "packet too big" (RFC 4443 3.2), so that path MTU discovery works inside an overlay. A switch has no address
// of its own there: the answer comes from the packet's destination. Pure; any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "packet/parse.h"

namespace heddle::packet {

// RFC 1812 4.3.2.3 and RFC 4443 2.4(c): the answer, as an IP packet, is no longer than this.
inline constexpr std::size_t kIcmpErrorMaxV4 = 576;
inline constexpr std::size_t kIcmpErrorMaxV6 = 1280;
// Room that every answer fits in: an Ethernet header, three tags, the longest packet.
inline constexpr std::size_t kTooBigMax = sizeof(EthHeader) + 3 * sizeof(VlanTag) + kIcmpErrorMaxV6;

// Writes the complete Ethernet frame of the answer to `out` and returns its length; 0 when none is due, and the caller
// only counts the drop. `frame`: the offending frame's first contiguous bytes; `frame_len`: all of it; `mtu`: the
// longest IP packet that fits. The answer bears the frame's VLAN tags, its MAC addresses swapped, and quotes as much of
// it as the standards allow and `frame` holds; a small `out` shortens the quotation.
//
// None is due for: what is not a sound IP packet, or fits `mtu`; IPv4 that may be fragmented (no DF: a switch does not
// fragment, so such frames are lost); group MAC or IP addresses, and sources that name no one host; fragments but the
// first; ICMP errors and redirects (RFC 1812 4.3.2.7, RFC 4443 2.4(e)). The caller limits the rate.
std::size_t build_too_big(std::span<const std::uint8_t> frame, std::size_t frame_len, const L2& l2, unsigned mtu,
                          std::span<std::uint8_t> out);

}  // namespace heddle::packet
