// SPDX-License-Identifier: Apache-2.0
// Every way a frame can end without being delivered. Counted per port; shown by `vsctl drops`. The names are an
// interface: scripts read them, so a name is never reused for another meaning. A function that may drop returns
// std::optional<Drop>, which is empty when the frame passes.
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
#define X(name, text) +1
inline constexpr std::size_t kDropCount = 0 HEDDLE_DROP_REASONS(X);
#undef X

std::string_view drop_name(Drop reason);
std::string_view drop_text(Drop reason);

}  // namespace heddle
