// Row identifiers: RFC 4122 UUIDs as values.
#pragma once

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
  auto operator<=>(const Uuid&) const = default;
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
