// SPDX-License-Identifier: Apache-2.0
// Integers in network byte order. A Be16/Be32/Be64 is read by get() and made by be16()/be32()/be64() only, so host and
// network order never mix. All have alignment 1: they overlay bytes of a frame at any offset.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>

namespace heddle {

template <typename T>
class BigEndian {
 public:
  constexpr BigEndian() = default;
  constexpr explicit BigEndian(T host) : bytes_(std::bit_cast<Bytes>(swap(host))) {}
  [[nodiscard]] constexpr T get() const { return swap(std::bit_cast<T>(bytes_)); }
  // The same bytes as an integer of unspecified order: for comparing, hashing and one's-complement sums.
  [[nodiscard]] constexpr T raw() const { return std::bit_cast<T>(bytes_); }
  static constexpr BigEndian from_raw(T raw) {
    BigEndian v;
    v.bytes_ = std::bit_cast<Bytes>(raw);
    return v;
  }
  friend constexpr bool operator==(const BigEndian& a, const BigEndian& b) { return a.raw() == b.raw(); }

 private:
  struct Bytes {
    std::uint8_t b[sizeof(T)];
  };
  static constexpr T swap(T v) {
    if constexpr (std::endian::native == std::endian::big) return v;
    if constexpr (sizeof(T) == 2) return __builtin_bswap16(v);
    if constexpr (sizeof(T) == 4) return __builtin_bswap32(v);
    if constexpr (sizeof(T) == 8) return __builtin_bswap64(v);
  }
  Bytes bytes_{};
};

using Be16 = BigEndian<std::uint16_t>;
using Be32 = BigEndian<std::uint32_t>;
using Be64 = BigEndian<std::uint64_t>;
static_assert(sizeof(Be16) == 2 && alignof(Be16) == 1 && sizeof(Be32) == 4 && alignof(Be32) == 1);

constexpr Be16 be16(std::uint16_t v) { return Be16{v}; }
constexpr Be32 be32(std::uint32_t v) { return Be32{v}; }
constexpr Be64 be64(std::uint64_t v) { return Be64{v}; }

}  // namespace heddle
