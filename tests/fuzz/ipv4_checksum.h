// SPDX-License-Identifier: Apache-2.0
// Corrects the IPv4 header checksum of a frame, if the frame has an IPv4 header: a fuzzer seldom guesses the checksum
// and would not get past it.
#pragma once

#include <cstdint>
#include <vector>

#include "packet/checksum.h"
#include "packet/parse.h"

namespace heddle::packet {

inline void fix_ipv4_checksum(std::vector<std::uint8_t>& frame) {
  L2 l2;
  if (parse_l2(frame.data(), frame.size(), l2) || l2.eth_type != kEthIpv4) return;
  if (frame.size() < l2.l3_offset + sizeof(Ipv4Header)) return;
  std::uint8_t* ip = frame.data() + l2.l3_offset;
  const std::size_t len = std::size_t{ip[0] & 0xfU} * 4;
  if (len < sizeof(Ipv4Header) || frame.size() < l2.l3_offset + len) return;
  store(ip + offsetof(Ipv4Header, checksum), be16(0));
  store(ip + offsetof(Ipv4Header, checksum), ipv4_header_checksum(ip, len));
}

}  // namespace heddle::packet
