// SPDX-License-Identifier: Apache-2.0
#include "bench/rate/frame.h"

#include <algorithm>
#include <cstring>
#include <sstream>

#include "base/byte_order.h"
#include "bench/rate/shared.h"

namespace heddle::bench {
namespace {

constexpr std::size_t kEth = 14;
constexpr std::size_t kIp = 20;
constexpr std::size_t kUdp = 8;
constexpr std::uint16_t kVxlanPort = 4789;
constexpr std::uint16_t kEtherIpv4 = 0x0800;
constexpr std::uint16_t kEtherExperiment = 0x88b5;  // IEEE 802: local experimental EtherType 1

void put16(Bytes& b, std::size_t at, std::uint16_t value) {
  const Be16 v = be16(value);
  std::memcpy(&b[at], &v, 2);
}

// One's-complement sum of 16-bit words in memory order (RFC 1071 section 2).
std::uint32_t sum(const Bytes& b, std::size_t from, std::size_t to) {
  std::uint32_t total = 0;
  for (std::size_t i = from; i < to; i += 2) {
    std::uint16_t word = 0;
    std::memcpy(&word, &b[i], std::min<std::size_t>(2, to - i));
    total += word;
  }
  return total;
}

std::uint16_t fold(std::uint32_t s) {
  while (s >> 16 != 0) s = (s & 0xffff) + (s >> 16);
  return static_cast<std::uint16_t>(~s);
}

void put_eth(Bytes& b, std::size_t at, const MacAddr& to, const MacAddr& from, std::uint16_t type) {
  std::memcpy(&b[at], to.bytes.data(), 6);
  std::memcpy(&b[at + 6], from.bytes.data(), 6);
  put16(b, at + 12, type);
}

// IPv4 (RFC 791) and UDP (RFC 768) headers for the payload up to the end of the frame; checksums are zero.
void put_ip_udp(Bytes& b, std::size_t at, const IpAddr& from, const IpAddr& to, std::uint16_t port) {
  const auto length = static_cast<std::uint16_t>(b.size() - at);
  b[at] = 0x45;
  put16(b, at + 2, length);
  put16(b, at + 6, 0x4000);
  b[at + 8] = 64;
  b[at + 9] = 17;
  std::memcpy(&b[at + 12], from.data(), 4);
  std::memcpy(&b[at + 16], to.data(), 4);
  put16(b, at + kIp + 2, port);
  put16(b, at + kIp + 4, static_cast<std::uint16_t>(length - kIp));
}

void put_tunnel(Bytes& b, const Tunnel& t) {
  put_eth(b, 0, t.destination_mac, t.source_mac, kEtherIpv4);
  put_ip_udp(b, kEth, t.source, t.destination, kVxlanPort);
  put16(b, kEth + kIp, 49152);
  const std::uint16_t check = fold(sum(b, kEth, kEth + kIp));
  std::memcpy(&b[kEth + 10], &check, 2);
  const std::size_t vxlan = kEth + kIp + kUdp;
  b[vxlan] = 0x08;  // RFC 7348 section 5: the I flag
  b[vxlan + 4] = static_cast<std::uint8_t>(t.vni >> 16);
  b[vxlan + 5] = static_cast<std::uint8_t>(t.vni >> 8);
  b[vxlan + 6] = static_cast<std::uint8_t>(t.vni);
}

}  // namespace

Result<Tunnel> parse_tunnel(const std::string& text) {
  std::vector<std::string> part;
  std::stringstream in(text);
  for (std::string word; std::getline(in, word, ',');) part.push_back(word);
  const auto bad = [&] {
    return fail(Errc::invalid,
                "tunnel '" + text + "' is not VNI,SOURCE-MAC,DESTINATION-MAC,SOURCE-IPV4,DESTINATION-IPV4");
  };
  if (part.size() != 5) return bad();
  const auto from_mac = MacAddr::parse(part[1]);
  const auto to_mac = MacAddr::parse(part[2]);
  const auto from = IpAddr::parse(part[3]);
  const auto to = IpAddr::parse(part[4]);
  if (!from_mac || !to_mac || !from || !to || from->is_v6() || to->is_v6()) return bad();
  char* end = nullptr;
  const auto vni = std::strtoul(part[0].c_str(), &end, 10);
  if (part[0].empty() || *end != 0 || vni >> 24 != 0) return bad();
  return Tunnel{static_cast<std::uint32_t>(vni), *from_mac, *to_mac, *from, *to};
}

MacAddr source_mac(std::uint32_t number) { return MacAddr::from_u64(0x02aa00000000ULL | number); }
MacAddr sink_mac(std::uint32_t number) { return MacAddr::from_u64(0x02bb00000000ULL | number); }

Template make_frame(std::size_t size, std::uint32_t kind, const std::optional<Tunnel>& tunnel) {
  const std::size_t inner = tunnel ? RATE_TUNNEL_BYTES : 0;
  Template t;
  Bytes& b = t.bytes;
  b.assign(inner + size, 0);
  put_eth(b, inner, sink_mac(0), source_mac(0), kEtherIpv4);
  const std::size_t ip = inner + kEth;
  const std::size_t udp = ip + kIp;
  put_ip_udp(b, ip, IpAddr::v4(0), IpAddr::v4(0x0aff0001), 9);
  const rate_mark mark{RATE_MAGIC, kind, 0};
  std::memcpy(&b[udp + kUdp], &mark, sizeof mark);
  t.ip_sum = sum(b, ip, ip + kIp);
  // The UDP pseudo header (RFC 768): addresses, protocol, length.
  std::uint16_t words[2] = {be16(17).raw(), be16(static_cast<std::uint16_t>(b.size() - udp)).raw()};
  t.udp_sum = sum(b, udp, b.size()) + sum(b, ip + 12, ip + kIp) + words[0] + words[1];
  if (kind == RATE_KIND_PROBE) {
    const std::uint16_t ip_check = fold(t.ip_sum);
    const std::uint16_t udp_check = fold(t.udp_sum);
    std::memcpy(&b[ip + 10], &ip_check, 2);
    std::memcpy(&b[udp + 6], &udp_check, 2);
  }
  if (tunnel) put_tunnel(b, *tunnel);
  return t;
}

Bytes make_announcement(const MacAddr& mac, const std::optional<Tunnel>& tunnel) {
  const std::size_t inner = tunnel ? RATE_TUNNEL_BYTES : 0;
  Bytes b(inner + 60, 0);
  put_eth(b, inner, MacAddr::from_u64(0xffffffffffffULL), mac, kEtherExperiment);
  if (tunnel) put_tunnel(b, *tunnel);
  return b;
}

}  // namespace heddle::bench
