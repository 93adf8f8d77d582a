// SPDX-License-Identifier: Apache-2.0
// Reasons for dropping a frame. Counted per port; shown by `vsctl drops`. Scripts read the names, so a name is never
// reused for another meaning. `count_` is the number of reasons, not a reason.
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
      count_
};
inline constexpr std::size_t kDropCount = static_cast<std::size_t>(Drop::count_);

// The name as in Drop, and a short explanation. Both throw std::out_of_range for count_ and above.
std::string_view drop_name(Drop reason);
std::string_view drop_text(Drop reason);

}  // namespace heddle
