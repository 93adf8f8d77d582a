// SPDX-License-Identifier: Apache-2.0
// The reflector's database schema, "Overlay": the text of overlay/overlay.ovsschema, which ovsdb-server takes as well.
#pragma once

#include <string_view>

namespace heddle::overlay {

std::string_view reflector_schema();

}  // namespace heddle::overlay
