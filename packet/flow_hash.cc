// SPDX-License-Identifier: Apache-2.0
#include "packet/flow_hash.h"

#include "packet/headers.h"

namespace heddle::packet {
namespace {

// Odd constants with about as many ones as zeros: the fractional parts of the square roots of 2 and 3 and of the golden
// ratio.
constexpr std::uint64_t kRoot2 = 0x6a09e667f3bcc909;
constexpr std::uint64_t kRoot3 = 0xbb67ae8584caa73b;
constexpr std::uint64_t kGolden = 0x9e3779b97f4a7c15;

// Folds a 64 x 64 bit product: every input bit reaches the middle of the product, and the xor spreads the middle.
std::uint64_t mix(std::uint64_t a, std::uint64_t b) {
  __extension__ using Wide = unsigned __int128;
  const Wide product = static_cast<Wide>(a) * b;
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}

bool has_ports(std::uint8_t proto) { return proto == kProtoTcp || proto == kProtoUdp || proto == kProtoSctp; }

// The protocol and, when `contiguous` reaches them, the ports at `at`.
std::uint64_t l4_word(const std::uint8_t* data, std::size_t contiguous, std::size_t at, std::uint8_t proto) {
  if (!has_ports(proto) || contiguous < at + 4) return proto;
  return static_cast<std::uint64_t>(load<std::uint32_t>(data + at)) << 8 | proto;
}

std::uint64_t hash_ipv4(const std::uint8_t* data, std::size_t contiguous, std::size_t at, std::uint64_t hash) {
  if (contiguous < at + sizeof(Ipv4Header)) return hash;
  const auto ip = load<Ipv4Header>(data + at);
  const std::uint64_t addresses = load<std::uint64_t>(data + at + offsetof(Ipv4Header, src));
  std::uint64_t l4 = ip.proto;
  if ((ip.frag.get() & (kIpv4Mf | kIpv4OffsetMask)) == 0) {
    l4 = l4_word(data, contiguous, at + std::size_t{ip.version_ihl & 0xfU} * 4, ip.proto);
  }
  return mix(addresses ^ kRoot3, l4 ^ hash);
}

// Hashes the ports only where no extension header precedes them; other packets, fragments included, go by address.
std::uint64_t hash_ipv6(const std::uint8_t* data, std::size_t contiguous, std::size_t at, std::uint64_t hash) {
  if (contiguous < at + sizeof(Ipv6Header)) return hash;
  const std::uint8_t* src = data + at + offsetof(Ipv6Header, src);
  const std::uint8_t next = data[at + offsetof(Ipv6Header, next)];
  const std::uint64_t l4 = has_ports(next) ? l4_word(data, contiguous, at + sizeof(Ipv6Header), next) : 0;
  hash = mix(load<std::uint64_t>(src) ^ kRoot3, load<std::uint64_t>(src + 8) ^ hash);
  hash = mix(load<std::uint64_t>(src + 16) ^ kRoot2, load<std::uint64_t>(src + 24) ^ hash);
  return mix(l4 ^ kGolden, hash);
}

}  // namespace

std::uint32_t inner_hash(const std::uint8_t* data, std::size_t contiguous, const L2& l2) {
  // The twelve address bytes as two overlapping words of eight.
  std::uint64_t hash = 0;
  if (contiguous >= sizeof(EthHeader)) {
    hash = mix(load<std::uint64_t>(data) ^ kRoot2, load<std::uint64_t>(data + 4) ^ kRoot3);
  }
  std::uint16_t type = l2.eth_type;
  std::uint16_t offset = l2.l3_offset;
  if (skip_vlan_tags(data, contiguous, type, offset)) {
    if (type == kEthIpv4) hash = hash_ipv4(data, contiguous, offset, hash);
    if (type == kEthIpv6) hash = hash_ipv6(data, contiguous, offset, hash);
  }
  hash = mix(hash ^ kRoot2, kGolden);
  return static_cast<std::uint32_t>(hash >> 32);
}

}  // namespace heddle::packet
