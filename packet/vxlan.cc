// SPDX-License-Identifier: Apache-2.0
#include "packet/vxlan.h"

#include <algorithm>

#include "packet/headers.h"

namespace heddle::packet {

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
  EncapTemplate t = begin_encap_template({.dst_mac = dst_mac,
                                          .src_mac = src_mac,
                                          .src_ip = src_ip,
                                          .dst_ip = dst_ip,
                                          .proto = kProtoUdp,
                                          .tos = tos,
                                          .ttl = ttl,
                                          .df = df});
  UdpHeader udp{};
  udp.dst_port = be16(dst_port);
  t.append(udp);
  t.append(VxlanHeader{be32(kVxlanFlagI), be32(vni << 8)});
  return t;
}

}  // namespace heddle::packet
