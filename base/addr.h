// SPDX-License-Identifier: Apache-2.0
// MAC and IP addresses as values: comparable, hashable, printable, parsed strictly. Parsers return nothing on bad text.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <cstring>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace heddle {

// An Ethernet address, in wire order. Alignment 1: overlays header bytes.
struct MacAddr {
  std::array<std::uint8_t, 6> bytes{};

  // IEEE 802.3 3.2.3: the low bit of the first octet marks a group address.
  [[nodiscard]] constexpr bool is_multicast() const { return (bytes[0] & 1) != 0; }
  [[nodiscard]] constexpr bool is_zero() const { return to_u64() == 0; }
  [[nodiscard]] constexpr bool is_broadcast() const { return to_u64() == 0xffffffffffffULL; }
  // The address as a 48-bit number, first octet highest.
  [[nodiscard]] constexpr std::uint64_t to_u64() const {
    std::uint64_t v = 0;
    for (auto b : bytes) v = v << 8 | b;
    return v;
  }
  static constexpr MacAddr from_u64(std::uint64_t v) {
    MacAddr m;
    for (int i = 5; i >= 0; --i, v >>= 8) m.bytes[static_cast<std::size_t>(i)] = static_cast<std::uint8_t>(v);
    return m;
  }
  // Accepts exactly six two-digit hex groups joined by ':'.
  static std::optional<MacAddr> parse(std::string_view text);
  [[nodiscard]] std::string to_string() const;
  auto operator<=>(const MacAddr&) const = default;
};
static_assert(sizeof(MacAddr) == 6 && alignof(MacAddr) == 1);

// An IPv4 or IPv6 address. IPv4 sits in the first four bytes, in wire order; the rest is zero.
class IpAddr {
 public:
  constexpr IpAddr() = default;  // 0.0.0.0
  static IpAddr v4(std::uint32_t host_order);
  static IpAddr v4_bytes(const void* four);
  static IpAddr v6_bytes(const void* sixteen);
  // Accepts the forms of inet_pton(3), for either family.
  static std::optional<IpAddr> parse(std::string_view text);

  [[nodiscard]] bool is_v6() const { return v6_; }
  [[nodiscard]] bool is_any() const;
  [[nodiscard]] bool is_multicast() const;
  [[nodiscard]] bool is_link_local_v6() const { return v6_ && bytes_[0] == 0xfe && (bytes_[1] & 0xc0) == 0x80; }
  [[nodiscard]] const std::uint8_t* data() const { return bytes_.data(); }
  [[nodiscard]] std::size_t size() const { return v6_ ? 16 : 4; }
  [[nodiscard]] std::string to_string() const;
  [[nodiscard]] std::size_t hash() const;
  auto operator<=>(const IpAddr&) const = default;
  // The Ethernet address of a multicast group (RFC 1112 section 6.4, RFC 2464 section 7). Several groups share one.
  [[nodiscard]] MacAddr group_mac() const;

 private:
  std::array<std::uint8_t, 16> bytes_{};
  bool v6_ = false;
};

}  // namespace heddle

template <>
struct std::hash<heddle::MacAddr> {
  std::size_t operator()(const heddle::MacAddr& m) const noexcept { return std::hash<std::uint64_t>{}(m.to_u64()); }
};
template <>
struct std::hash<heddle::IpAddr> {
  std::size_t operator()(const heddle::IpAddr& a) const noexcept { return a.hash(); }
};
