// SPDX-License-Identifier: Apache-2.0
#include "packet/vxlan.h"

#include <algorithm>

#include "packet/headers.h"

namespace heddle::packet {
namespace {

constexpr std::size_t kIpOffset = sizeof(EthHeader);

std::size_t udp_offset(const EncapTemplate& t) { return t.len - kVxlanUdpOverhead; }

}  // namespace

std::optional<Drop> parse_vxlan_payload(const std::uint8_t* data, std::size_t contiguous, std::size_t payload_len,
                                        VxlanOuter& out) {
  contiguous = std::min(contiguous, payload_len);
  if (contiguous < sizeof(VxlanHeader)) return Drop::truncated;
  const auto header = load<VxlanHeader>(data);
  if ((header.flags.get() & kVxlanFlagI) == 0) return Drop::bad_vxlan;
  if (contiguous < sizeof(VxlanHeader) + sizeof(EthHeader)) return Drop::truncated;
  out.vni = header.vni_reserved.get() >> 8;
  out.inner_offset = sizeof(VxlanHeader);
  out.inner_len = static_cast<std::uint32_t>(payload_len - sizeof(VxlanHeader));
  return std::nullopt;
}

std::optional<Drop> parse_vxlan(const std::uint8_t* data, std::size_t contiguous, std::size_t frame_len,
                                VxlanOuter& out) {
  contiguous = std::min(contiguous, frame_len);
  if (auto drop = parse_l2(data, contiguous, out.l2)) return drop;
  L3L4& ip = out.ip;
  if (auto drop = parse_l3(data, contiguous, frame_len, out.l2, ip)) return drop;
  if (ip.kind != L3L4::Kind::ipv4 && ip.kind != L3L4::Kind::ipv6) return Drop::bad_vxlan;
  if (ip.l3_offset != out.l2.l3_offset) return Drop::bad_vxlan;  // more than one VLAN tag
  out.v6 = ip.kind == L3L4::Kind::ipv6;
  if (!out.v6) {
    const std::uint8_t* header = data + ip.l3_offset;
    if (ipv4_header_checksum(header, std::size_t{header[0] & 0xfU} * 4).raw() != 0) return Drop::bad_header;
  }
  if (ip.fragment) return Drop::bad_header;
  if (ip.l4_proto != kProtoUdp || ip.l4_offset == 0) return Drop::bad_vxlan;

  const auto udp = load<UdpHeader>(data + ip.l4_offset);
  const std::size_t payload = ip.l4_offset + sizeof(UdpHeader);
  if (auto drop = parse_vxlan_payload(data + payload, contiguous - payload, ip.l4_len - sizeof(UdpHeader), out)) {
    return drop;
  }
  if (payload + sizeof(VxlanHeader) > 0xffff) return Drop::truncated;
  out.inner_offset = static_cast<std::uint16_t>(payload + sizeof(VxlanHeader));
  out.src = data + ip.l3_offset + (out.v6 ? offsetof(Ipv6Header, src) : offsetof(Ipv4Header, src));
  out.dst = data + ip.l3_offset + (out.v6 ? offsetof(Ipv6Header, dst) : offsetof(Ipv4Header, dst));
  out.tos = ip.tos;
  out.src_port = udp.src_port.get();
  out.dst_port = udp.dst_port.get();
  return std::nullopt;
}

bool udp_checksum_ok(std::span<const Segment> chain, const VxlanOuter& outer) {
  if (chain.empty()) return false;
  const L3L4& ip = outer.ip;
  const std::uint16_t field = load_be16(chain[0].data + ip.l4_offset + offsetof(UdpHeader, checksum));
  return field == 0 || looks_partial(chain[0].data, ip) || verify_l4(chain, ip);
}

EncapTemplate make_encap_template(const MacAddr& dst_mac, const MacAddr& src_mac, const IpAddr& src_ip,
                                  const IpAddr& dst_ip, std::uint16_t dst_port, std::uint32_t vni, std::uint8_t tos,
                                  std::uint8_t ttl, bool df) {
  EncapTemplate t;
  t.v6 = dst_ip.is_v6();
  t.ip_offset = kIpOffset;
  t.len = t.v6 ? kVxlanOverheadV6 : kVxlanOverheadV4;
  t.tos = tos;
  t.ttl = ttl;
  std::uint8_t* at = t.bytes.data();
  store(at, EthHeader{dst_mac, src_mac, be16(t.v6 ? kEthIpv6 : kEthIpv4)});
  if (t.v6) {
    Ipv6Header ip{};
    ip.next = kProtoUdp;
    std::memcpy(ip.src.data(), src_ip.data(), ip.src.size());
    std::memcpy(ip.dst.data(), dst_ip.data(), ip.dst.size());
    store(at + kIpOffset, ip);
  } else {
    Ipv4Header ip{};
    ip.version_ihl = 0x45;
    ip.frag = be16(df ? kIpv4Df : 0);
    ip.proto = kProtoUdp;
    ip.src = load<Be32>(src_ip.data());
    ip.dst = load<Be32>(dst_ip.data());
    store(at + kIpOffset, ip);
    t.ip_sum = fold(csum_partial(&ip, sizeof(ip)));
  }
  UdpHeader udp{};
  udp.dst_port = be16(dst_port);
  store(at + udp_offset(t), udp);
  store(at + udp_offset(t) + sizeof(udp), VxlanHeader{be32(kVxlanFlagI), be32(vni << 8)});
  return t;
}

void write_encap(std::uint8_t* at, const EncapTemplate& t, std::size_t inner_len, std::uint16_t src_port,
                 std::uint8_t tos, std::uint8_t ttl, std::uint16_t ip_id) {
  const auto udp_len = static_cast<std::uint16_t>(inner_len + kVxlanUdpOverhead);
  std::uint8_t* ip = at + kIpOffset;
  std::uint8_t* udp = nullptr;
  if (t.v6) {
    std::memcpy(at, t.bytes.data(), kVxlanOverheadV6);
    store(ip, be32(6U << 28 | static_cast<std::uint32_t>(tos) << 20 | src_port));
    store(ip + offsetof(Ipv6Header, payload_len), be16(udp_len));
    ip[offsetof(Ipv6Header, hop_limit)] = ttl;
    udp = ip + sizeof(Ipv6Header);
  } else {
    std::memcpy(at, t.bytes.data(), kVxlanOverheadV4);
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
  const std::size_t udp = udp_offset(t);
  const std::uint16_t len = load_be16(data + udp + offsetof(UdpHeader, len));
  Sum sum = t.v6 ? pseudo_header_sum_v6(ip + offsetof(Ipv6Header, src), ip + offsetof(Ipv6Header, dst), kProtoUdp, len)
                 : pseudo_header_sum_v4(ip + offsetof(Ipv4Header, src), ip + offsetof(Ipv4Header, dst), kProtoUdp, len);
  // All but the checksum field, which may hold any value.
  sum = csum_partial(data + udp, offsetof(UdpHeader, checksum), sum);
  sum = csum_chain(chain, udp + sizeof(UdpHeader), len - sizeof(UdpHeader), sum);
  return finish_udp(sum);
}

void write_outer_udp_checksum(std::span<const Segment> chain, const EncapTemplate& t) {
  store(chain[0].data + udp_offset(t) + offsetof(UdpHeader, checksum), outer_udp_checksum(chain, t));
}

}  // namespace heddle::packet
