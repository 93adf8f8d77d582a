// SPDX-License-Identifier: Apache-2.0
#include "packet/too_big.h"

#include <algorithm>
#include <array>

#include "packet/headers.h"

namespace heddle::packet {
namespace {

// Routers of before RFC 1191 give no MTU: the next common one below the packet's length (RFC 1191 section 7.1).
unsigned next_common_mtu(unsigned length) {
  constexpr std::array<unsigned, 8> common{32000, 17914, 8166, 4352, 2002, 1492, 1006, kLeastMtuV4};
  const auto* mtu = std::ranges::find_if(common, [&](unsigned m) { return m < length; });
  return mtu == common.end() ? 0 : *mtu;
}

}  // namespace

std::optional<TooBig> parse_too_big_v4(std::span<const std::uint8_t> message) {
  constexpr std::uint8_t unreachable = 3;
  constexpr std::uint8_t fragmentation_needed = 4;
  constexpr std::size_t quote = sizeof(IcmpHeader);
  if (message.size() < quote + sizeof(Ipv4Header)) return std::nullopt;
  const auto icmp = load<IcmpHeader>(message.data());
  if (icmp.type != unreachable || icmp.code != fragmentation_needed) return std::nullopt;
  const auto ip = load<Ipv4Header>(message.data() + quote);
  const auto header = static_cast<std::size_t>(ip.version_ihl & 15U) * 4U;
  if (ip.version_ihl >> 4 != 4 || header < sizeof(Ipv4Header) || ip.proto != kProtoUdp) return std::nullopt;
  if ((ip.frag.get() & kIpv4OffsetMask) != 0 || message.size() < quote + header + sizeof(UdpHeader))
    return std::nullopt;
  const auto udp = load<UdpHeader>(message.data() + quote + header);
  const unsigned length = ip.total_len.get();
  unsigned mtu = icmp.rest.get() & 0xffffU;
  if (mtu == 0) mtu = next_common_mtu(length);
  mtu = std::max(mtu, kLeastMtuV4);
  if (mtu >= length) return std::nullopt;
  const std::uint8_t* addresses = message.data() + quote + offsetof(Ipv4Header, src);
  return TooBig{IpAddr::v4_bytes(addresses), IpAddr::v4_bytes(addresses + 4), udp.dst_port.get(), mtu};
}

std::optional<TooBig> parse_too_big_v6(std::span<const std::uint8_t> message) {
  constexpr std::uint8_t too_big = 2;
  constexpr std::size_t quote = sizeof(IcmpHeader);
  constexpr std::size_t needed = quote + sizeof(Ipv6Header) + sizeof(UdpHeader);
  if (message.size() < needed) return std::nullopt;
  const auto icmp = load<IcmpHeader>(message.data());
  const auto ip = load<Ipv6Header>(message.data() + quote);
  if (icmp.type != too_big || icmp.code != 0 || ip.version_class_label.get() >> 28 != 6 || ip.next != kProtoUdp)
    return std::nullopt;
  const auto udp = load<UdpHeader>(message.data() + quote + sizeof(Ipv6Header));
  const std::size_t length = sizeof(Ipv6Header) + ip.payload_len.get();
  const unsigned mtu = std::max<unsigned>(icmp.rest.get(), kLeastMtuV6);
  if (mtu >= length) return std::nullopt;
  return TooBig{IpAddr::v6_bytes(ip.src.data()), IpAddr::v6_bytes(ip.dst.data()), udp.dst_port.get(), mtu};
}

}  // namespace heddle::packet
