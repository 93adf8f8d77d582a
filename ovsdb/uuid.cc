// SPDX-License-Identifier: Apache-2.0
#include "ovsdb/uuid.h"

#include <sys/random.h>

#include <algorithm>
#include <random>

namespace heddle::ovsdb {

namespace {

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool is_dash_position(std::size_t i) { return i == 8 || i == 13 || i == 18 || i == 23; }

}  // namespace

Uuid Uuid::random() {
  Uuid u;
  if (::getrandom(u.bytes.data(), u.bytes.size(), 0) != static_cast<ssize_t>(u.bytes.size())) {
    std::random_device device;  // a kernel before 3.17
    std::generate(u.bytes.begin(), u.bytes.end(), [&] { return static_cast<std::uint8_t>(device()); });
  }
  u.bytes[6] = static_cast<std::uint8_t>((u.bytes[6] & 0x0fU) | 0x40U);  // RFC 4122 section 4.4
  u.bytes[8] = static_cast<std::uint8_t>((u.bytes[8] & 0x3fU) | 0x80U);
  return u;
}

std::optional<Uuid> Uuid::parse(std::string_view text) {
  if (text.size() != 36) return std::nullopt;
  Uuid u;
  std::size_t digit = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (is_dash_position(i)) {
      if (text[i] != '-') return std::nullopt;
      continue;
    }
    const int v = hex_value(text[i]);
    if (v < 0) return std::nullopt;
    auto& byte = u.bytes[digit++ / 2];
    byte = static_cast<std::uint8_t>(byte << 4 | v);
  }
  return u;
}

std::string Uuid::to_string() const {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string out;
  out.reserve(36);
  for (const std::uint8_t b : bytes) {
    if (is_dash_position(out.size())) out += '-';
    out += digits[b >> 4];
    out += digits[b & 15];
  }
  return out;
}

}  // namespace heddle::ovsdb
