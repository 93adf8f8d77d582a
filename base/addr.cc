// SPDX-License-Identifier: Apache-2.0
#include "base/addr.h"

#include <arpa/inet.h>

#include <charconv>

namespace heddle {

std::optional<MacAddr> MacAddr::parse(std::string_view text) {
  if (text.size() != 17) return std::nullopt;
  MacAddr mac;
  for (std::size_t i = 0; i < 6; ++i) {
    const char* at = text.data() + i * 3;
    if (i < 5 && at[2] != ':') return std::nullopt;
    auto [end, ec] = std::from_chars(at, at + 2, mac.bytes[i], 16);
    if (ec != std::errc{} || end != at + 2) return std::nullopt;
  }
  return mac;
}

std::string MacAddr::to_string() const {
  constexpr char digits[] = "0123456789abcdef";
  std::string out;
  out.reserve(17);
  for (auto b : bytes) {
    if (!out.empty()) out += ':';
    out += digits[b >> 4];
    out += digits[b & 15];
  }
  return out;
}

IpAddr IpAddr::v4(std::uint32_t host_order) {
  const std::uint32_t wire = htonl(host_order);
  return v4_bytes(&wire);
}

IpAddr IpAddr::v4_bytes(const void* four) {
  IpAddr a;
  std::memcpy(a.bytes_.data(), four, 4);
  return a;
}

IpAddr IpAddr::v6_bytes(const void* sixteen) {
  IpAddr a;
  std::memcpy(a.bytes_.data(), sixteen, 16);
  a.v6_ = true;
  return a;
}

std::optional<IpAddr> IpAddr::parse(std::string_view text) {
  const std::string z(text);
  if (z.size() != std::strlen(z.c_str())) return std::nullopt;
  std::array<std::uint8_t, 16> raw{};
  if (inet_pton(AF_INET, z.c_str(), raw.data()) == 1) return v4_bytes(raw.data());
  if (inet_pton(AF_INET6, z.c_str(), raw.data()) == 1) return v6_bytes(raw.data());
  return std::nullopt;
}

bool IpAddr::is_any() const { return bytes_ == std::array<std::uint8_t, 16>{}; }

MacAddr IpAddr::group_mac() const {
  const auto& b = bytes_;
  if (v6_) return {{0x33, 0x33, b[12], b[13], b[14], b[15]}};
  return {{0x01, 0x00, 0x5e, static_cast<std::uint8_t>(b[1] & 0x7f), b[2], b[3]}};
}

bool IpAddr::is_multicast() const { return v6_ ? bytes_[0] == 0xff : (bytes_[0] & 0xf0) == 0xe0; }

std::string IpAddr::to_string() const {
  char out[INET6_ADDRSTRLEN];
  return inet_ntop(v6_ ? AF_INET6 : AF_INET, bytes_.data(), out, sizeof out);
}

std::size_t IpAddr::hash() const {
  std::uint64_t a = 0;
  std::uint64_t b = 0;
  std::memcpy(&a, bytes_.data(), 8);
  std::memcpy(&b, bytes_.data() + 8, 8);
  std::uint64_t h = (a ^ (b * 0x9e3779b97f4a7c15ULL) ^ static_cast<std::uint64_t>(v6_)) * 0xff51afd7ed558ccdULL;
  return h ^ h >> 32;
}

}  // namespace heddle
