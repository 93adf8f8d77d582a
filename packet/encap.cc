// SPDX-License-Identifier: Apache-2.0
#include "packet/encap.h"

namespace heddle::packet {
namespace {

constexpr std::size_t kIpOffset = sizeof(EthHeader);
// No tunnel header over UDP is shorter than eight bytes.
constexpr std::size_t kLeastBehindIp = sizeof(UdpHeader) + 8;
constexpr std::size_t kLeastV4 = kIpOffset + sizeof(Ipv4Header) + kLeastBehindIp;
constexpr std::size_t kLeastV6 = kIpOffset + sizeof(Ipv6Header) + kLeastBehindIp;

// A copy of constant size is a few moves, and most templates have no more.
template <std::size_t Least>
void copy_template(std::uint8_t* at, const EncapTemplate& t) {
  std::memcpy(at, t.bytes.data(), Least);
  if (t.len > Least) std::memcpy(at + Least, t.bytes.data() + Least, t.len - Least);
}

}  // namespace

EncapTemplate begin_encap_template(const OuterFields& fields) {
  EncapTemplate t;
  t.v6 = fields.dst_ip.is_v6();
  t.tos = fields.tos;
  t.ttl = fields.ttl;
  t.append(EthHeader{fields.dst_mac, fields.src_mac, be16(t.v6 ? kEthIpv6 : kEthIpv4)});
  t.ip_offset = t.len;
  if (t.v6) {
    Ipv6Header ip{};
    ip.next = fields.proto;
    std::memcpy(ip.src.data(), fields.src_ip.data(), ip.src.size());
    std::memcpy(ip.dst.data(), fields.dst_ip.data(), ip.dst.size());
    t.append(ip);
  } else {
    Ipv4Header ip{};
    ip.version_ihl = 0x45;
    ip.frag = be16(fields.df ? kIpv4Df : 0);
    ip.proto = fields.proto;
    ip.src = load<Be32>(fields.src_ip.data());
    ip.dst = load<Be32>(fields.dst_ip.data());
    t.append(ip);
    t.ip_sum = fold(csum_partial(&ip, sizeof(ip)));
  }
  t.l4_offset = t.len;
  return t;
}

void write_encap(std::uint8_t* at, const EncapTemplate& t, std::size_t inner_len, std::uint16_t src_port,
                 std::uint8_t tos, std::uint8_t ttl, std::uint16_t ip_id) {
  const auto udp_len = static_cast<std::uint16_t>(inner_len + t.len - t.l4_offset);
  std::uint8_t* ip = at + kIpOffset;
  std::uint8_t* udp = nullptr;
  if (t.v6) {
    copy_template<kLeastV6>(at, t);
    store(ip, be32(6U << 28 | static_cast<std::uint32_t>(tos) << 20 | src_port));
    store(ip + offsetof(Ipv6Header, payload_len), be16(udp_len));
    ip[offsetof(Ipv6Header, hop_limit)] = ttl;
    udp = ip + sizeof(Ipv6Header);
  } else {
    copy_template<kLeastV4>(at, t);
    const Be16 total = be16(static_cast<std::uint16_t>(udp_len + sizeof(Ipv4Header)));
    const Be16 id = be16(ip_id);
    ip[offsetof(Ipv4Header, tos)] = tos;
    store(ip + offsetof(Ipv4Header, total_len), total);
    store(ip + offsetof(Ipv4Header, id), id);
    ip[offsetof(Ipv4Header, ttl)] = ttl;
    const Be16 ttl_word = be16(static_cast<std::uint16_t>(ttl << 8));
    const Sum sum = Sum{t.ip_sum} + be16(tos).raw() + total.raw() + id.raw() + ttl_word.raw();
    store(ip + offsetof(Ipv4Header, checksum), finish(sum));
    udp = ip + sizeof(Ipv4Header);
  }
  store(udp + offsetof(UdpHeader, src_port), be16(src_port));
  store(udp + offsetof(UdpHeader, len), be16(udp_len));
}

Be16 outer_udp_checksum(std::span<const Segment> chain, const EncapTemplate& t) {
  const std::uint8_t* data = chain[0].data;
  const std::uint8_t* ip = data + t.ip_offset;
  const std::size_t udp = t.l4_offset;
  const std::uint16_t len = load_be16(data + udp + offsetof(UdpHeader, len));
  Sum sum = t.v6 ? pseudo_header_sum_v6(ip + offsetof(Ipv6Header, src), ip + offsetof(Ipv6Header, dst), kProtoUdp, len)
                 : pseudo_header_sum_v4(ip + offsetof(Ipv4Header, src), ip + offsetof(Ipv4Header, dst), kProtoUdp, len);
  // All but the field itself, whatever is in it.
  sum = csum_partial(data + udp, offsetof(UdpHeader, checksum), sum);
  sum = csum_chain(chain, udp + sizeof(UdpHeader), len - sizeof(UdpHeader), sum);
  return finish_udp(sum);
}

void write_outer_udp_checksum(std::span<const Segment> chain, const EncapTemplate& t) {
  store(chain[0].data + t.l4_offset + offsetof(UdpHeader, checksum), outer_udp_checksum(chain, t));
}

}  // namespace heddle::packet
