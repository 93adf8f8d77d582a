// SPDX-License-Identifier: Apache-2.0
#include "base/drop_reason.h"

namespace heddle {
namespace {
struct Row {
  std::string_view name;
  std::string_view text;
};
constexpr std::array<Row, kDropCount> kRows{{
#define X(name, text) {#name, text},
    HEDDLE_DROP_REASONS(X)
#undef X
}};
}  // namespace

std::string_view drop_name(Drop reason) { return kRows.at(static_cast<std::size_t>(reason)).name; }
std::string_view drop_text(Drop reason) { return kRows.at(static_cast<std::size_t>(reason)).text; }

}  // namespace heddle
