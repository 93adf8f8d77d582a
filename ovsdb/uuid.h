// SPDX-License-Identifier: Apache-2.0
// Row identifiers: RFC 4122 UUIDs as values. Parsing returns nothing on bad text.
#pragma once

#include <endian.h>

#include <array>
#include <compare>
#include <cstdint>
#include <cstring>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace heddle::ovsdb {

struct Uuid {
  std::array<std::uint8_t, 16> bytes{};

  static Uuid random();  // version 4, from the kernel's generator
  // Accepts exactly the 36-character form.
  static std::optional<Uuid> parse(std::string_view text);
  [[nodiscard]] std::string to_string() const;
  [[nodiscard]] bool is_zero() const { return *this == Uuid{}; }
  bool operator==(const Uuid&) const = default;
  // The order of the bytes, which is the order of rows in tables and of references in sets. Compares two 64-bit numbers
  // instead of sixteen bytes.
  std::strong_ordering operator<=>(const Uuid& other) const {
    const auto order = half(0) <=> other.half(0);
    return std::is_neq(order) ? order : half(8) <=> other.half(8);
  }

 private:
  [[nodiscard]] std::uint64_t half(std::size_t from) const {
    std::uint64_t number = 0;
    std::memcpy(&number, bytes.data() + from, sizeof number);
    return be64toh(number);
  }
};

}  // namespace heddle::ovsdb

template <>
struct std::hash<heddle::ovsdb::Uuid> {
  std::size_t operator()(const heddle::ovsdb::Uuid& u) const noexcept {
    std::size_t h = 0;
    std::memcpy(&h, u.bytes.data(), sizeof h);  // random bits already
    return h;
  }
};
