// SPDX-License-Identifier: Apache-2.0
// Protocol headers in wire format. Every struct has alignment 1, so it describes bytes at any offset. load<T>() reads a
// header and store() writes a header by copy, so no aliasing rule is broken; both compile to plain moves. Pure values:
// any thread, no errors; the caller has checked the length.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "base/addr.h"
#include "base/byte_order.h"

namespace heddle::packet {

template <typename T>
[[nodiscard]] inline T load(const void* at) {
  static_assert(std::is_trivially_copyable_v<T>);
  T value;
  std::memcpy(&value, at, sizeof(T));
  return value;
}
template <typename T>
inline void store(void* at, const T& value) {
  static_assert(std::is_trivially_copyable_v<T>);
  std::memcpy(at, &value, sizeof(T));
}
[[nodiscard]] inline std::uint16_t load_be16(const void* at) { return load<Be16>(at).get(); }
[[nodiscard]] inline std::uint32_t load_be32(const void* at) { return load<Be32>(at).get(); }

// EtherType values (IEEE 802 numbers, IANA).
inline constexpr std::uint16_t kEthIpv4 = 0x0800;
inline constexpr std::uint16_t kEthArp = 0x0806;
inline constexpr std::uint16_t kEthVlan = 0x8100;
inline constexpr std::uint16_t kEthIpv6 = 0x86dd;
inline constexpr std::uint16_t kEthQinq = 0x88a8;
inline constexpr std::uint16_t kEthMaxLength = 1500;  // IEEE 802.3 3.2.6: a type field up to this value is a length

// IP protocol numbers and IPv6 next headers (IANA).
inline constexpr std::uint8_t kProtoHopByHop = 0;
inline constexpr std::uint8_t kProtoIcmp = 1;
inline constexpr std::uint8_t kProtoTcp = 6;
inline constexpr std::uint8_t kProtoUdp = 17;
inline constexpr std::uint8_t kProtoRouting = 43;
inline constexpr std::uint8_t kProtoFragment = 44;
inline constexpr std::uint8_t kProtoEsp = 50;
inline constexpr std::uint8_t kProtoAh = 51;
inline constexpr std::uint8_t kProtoIcmp6 = 58;
inline constexpr std::uint8_t kProtoNone = 59;
inline constexpr std::uint8_t kProtoDestOptions = 60;
inline constexpr std::uint8_t kProtoSctp = 132;

struct EthHeader {
  MacAddr dst;
  MacAddr src;
  Be16 type;
};

// IEEE 802.1Q: the tag without its TPID.
struct VlanTag {
  Be16 tci;   // priority 3, drop eligible 1, VLAN 12
  Be16 type;  // EtherType of the enclosed payload
};
inline constexpr std::uint16_t kVlanIdMask = 0x0fff;

// RFC 826 for Ethernet and IPv4.
struct ArpIpv4 {
  Be16 hardware;
  Be16 protocol;
  std::uint8_t hardware_len;
  std::uint8_t protocol_len;
  Be16 op;
  MacAddr sender_mac;
  Be32 sender_ip;
  MacAddr target_mac;
  Be32 target_ip;
};

// RFC 791 3.1.
struct Ipv4Header {
  std::uint8_t version_ihl;
  std::uint8_t tos;
  Be16 total_len;
  Be16 id;
  Be16 frag;  // kIpv4Df, kIpv4Mf, offset in units of 8 bytes
  std::uint8_t ttl;
  std::uint8_t proto;
  Be16 checksum;
  Be32 src;
  Be32 dst;
};
inline constexpr std::uint16_t kIpv4Df = 0x4000;
inline constexpr std::uint16_t kIpv4Mf = 0x2000;
inline constexpr std::uint16_t kIpv4OffsetMask = 0x1fff;

// RFC 8200 3.
struct Ipv6Header {
  Be32 version_class_label;
  Be16 payload_len;
  std::uint8_t next;
  std::uint8_t hop_limit;
  std::array<std::uint8_t, 16> src;
  std::array<std::uint8_t, 16> dst;
};

// RFC 768.
struct UdpHeader {
  Be16 src_port;
  Be16 dst_port;
  Be16 len;
  Be16 checksum;
};

// RFC 9293 3.1.
struct TcpHeader {
  Be16 src_port;
  Be16 dst_port;
  Be32 seq;
  Be32 ack;
  std::uint8_t data_offset;  // high four bits, in units of 4 bytes
  std::uint8_t flags;
  Be16 window;
  Be16 checksum;
  Be16 urgent;
};

// RFC 792 and RFC 4443: the meaning of `rest` depends on the type.
struct IcmpHeader {
  std::uint8_t type;
  std::uint8_t code;
  Be16 checksum;
  Be32 rest;
};

// RFC 7348 5.
struct VxlanHeader {
  Be32 flags;         // kVxlanFlagI and reserved bits
  Be32 vni_reserved;  // VNI in the high 24 bits
};
inline constexpr std::uint32_t kVxlanFlagI = 0x08000000;

static_assert(sizeof(EthHeader) == 14 && alignof(EthHeader) == 1);
static_assert(sizeof(VlanTag) == 4 && alignof(VlanTag) == 1);
static_assert(sizeof(ArpIpv4) == 28 && alignof(ArpIpv4) == 1);
static_assert(sizeof(Ipv4Header) == 20 && alignof(Ipv4Header) == 1);
static_assert(sizeof(Ipv6Header) == 40 && alignof(Ipv6Header) == 1);
static_assert(sizeof(UdpHeader) == 8 && alignof(UdpHeader) == 1);
static_assert(sizeof(TcpHeader) == 20 && alignof(TcpHeader) == 1);
static_assert(sizeof(IcmpHeader) == 8 && alignof(IcmpHeader) == 1);
static_assert(sizeof(VxlanHeader) == 8 && alignof(VxlanHeader) == 1);

}  // namespace heddle::packet
