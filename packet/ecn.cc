// SPDX-License-Identifier: Apache-2.0
#include "packet/ecn.h"

#include "packet/checksum.h"
#include "packet/headers.h"

namespace heddle::packet {
namespace {

struct Found {
  std::uint16_t offset;  // of the IP header
  bool v6;
};

std::optional<Found> find_ip(const std::uint8_t* data, std::size_t contiguous, const L2& l2) {
  std::uint16_t type = l2.eth_type;
  std::uint16_t offset = l2.l3_offset;
  if (!skip_vlan_tags(data, contiguous, type, offset)) return std::nullopt;
  const bool v6 = type == kEthIpv6;
  if (!v6 && type != kEthIpv4) return std::nullopt;
  if (contiguous < offset + (v6 ? sizeof(Ipv6Header) : sizeof(Ipv4Header))) return std::nullopt;
  if (data[offset] >> 4 != (v6 ? 6 : 4)) return std::nullopt;
  return Found{offset, v6};
}

InnerIp read_ip(const std::uint8_t* ip, bool v6) {
  if (v6) return {static_cast<std::uint8_t>(load_be16(ip) >> 4), ip[offsetof(Ipv6Header, hop_limit)]};
  return {ip[offsetof(Ipv4Header, tos)], ip[offsetof(Ipv4Header, ttl)]};
}

void set_ecn(std::uint8_t* ip, bool v6, std::uint8_t ecn) {
  if (v6) {  // ECN is bits 4 and 5 of the second byte
    ip[1] = static_cast<std::uint8_t>((ip[1] & ~(kEcnMask << 4)) | (ecn << 4));
    return;
  }
  const auto before = load<Be16>(ip);
  ip[1] = static_cast<std::uint8_t>((ip[1] & ~kEcnMask) | ecn);
  std::uint8_t* checksum = ip + offsetof(Ipv4Header, checksum);
  store(checksum, checksum_adjust(load<Be16>(checksum), before, load<Be16>(ip)));
}

}  // namespace

std::optional<InnerIp> inner_ip(const std::uint8_t* data, std::size_t contiguous, const L2& l2) {
  const auto found = find_ip(data, contiguous, l2);
  if (!found) return std::nullopt;
  return read_ip(data + found->offset, found->v6);
}

std::optional<Drop> ecn_decap_frame(std::uint8_t outer_tos, std::uint8_t* inner, std::size_t contiguous,
                                    const L2& inner_l2) {
  const int outer = outer_tos & kEcnMask;
  if (outer == kEcnNotEct || outer == kEcnEct0) return std::nullopt;  // figure 4: the inner mark stays
  const auto found = find_ip(inner, contiguous, inner_l2);
  if (!found) return std::nullopt;
  std::uint8_t* ip = inner + found->offset;
  switch (ecn_decap(outer_tos, read_ip(ip, found->v6).tos)) {
    case EcnAction::drop:
      return Drop::ecn_invalid;
    case EcnAction::set_ce:
      set_ecn(ip, found->v6, kEcnCe);
      break;
    case EcnAction::set_ect1:
      set_ecn(ip, found->v6, kEcnEct1);
      break;
    case EcnAction::leave:
      break;
  }
  return std::nullopt;
}

}  // namespace heddle::packet
