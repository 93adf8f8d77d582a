// SPDX-License-Identifier: Apache-2.0
// Origins of FDB entries, and their precedence, which is decided here and nowhere else. Plain values; any thread.
//
// Rules, which the Fdb keeps:
// - An entry of one origin is never replaced or moved by a weaker origin.
// - A stronger origin replaces the entry at once. The weaker origin's target is kept meanwhile, unless it was learned,
//   and takes effect again when the stronger origin withdraws its own.
// - Learned entries alone age, move with their station, are flushed, and give way when the table is full.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>

namespace heddle::ofproto {

// From the weakest to the strongest.
enum class Origin : std::uint8_t {
  learned,     // the source address of a frame
  evpn,        // a route of BGP EVPN (RFC 7432)
  reflector,   // a table of the MAC reflector
  controller,  // an OpenFlow controller of this switch
  configured,  // an operator: vsctl fdb-add
};
constexpr std::size_t kOrigins = 5;

constexpr std::array<Origin, kOrigins> all_origins() {
  return {Origin::learned, Origin::evpn, Origin::reflector, Origin::controller, Origin::configured};
}
constexpr bool outranks(Origin a, Origin b) { return std::to_underlying(a) > std::to_underlying(b); }

// As fdb-show prints it.
constexpr const char* origin_name(Origin origin) {
  constexpr std::array names{"learned", "evpn", "reflector", "controller", "configured"};
  static_assert(names.size() == kOrigins);
  return names[std::to_underlying(origin)];
}

// One value for each origin.
template <typename T>
struct PerOrigin {
  std::array<T, kOrigins> values{};
  T& operator[](Origin origin) { return values[std::to_underlying(origin)]; }
  const T& operator[](Origin origin) const { return values[std::to_underlying(origin)]; }
};

}  // namespace heddle::ofproto
