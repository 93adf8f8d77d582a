// SPDX-License-Identifier: Apache-2.0
// Reasons for dropping a frame. Counted per port; shown by `vsctl drops`. Scripts read the names, so a name is never
// reused for another meaning. A function that may drop returns std::optional<Drop>, which is empty when the frame
// passes.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/drop_list.h"

namespace heddle {

enum class Drop : std::uint8_t {
#define X(name, text) name,
  HEDDLE_DROP_REASONS(X)
#undef X
};
namespace detail {
enum DropIndex : std::size_t {
#define X(name, text) index_of_##name,
  HEDDLE_DROP_REASONS(X)
#undef X
      drop_count
};
}  // namespace detail
inline constexpr std::size_t kDropCount = detail::drop_count;

// The name as in Drop, and a short explanation. Both throw std::out_of_range for a value that is no Drop.
std::string_view drop_name(Drop reason);
std::string_view drop_text(Drop reason);

}  // namespace heddle
