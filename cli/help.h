// SPDX-License-Identifier: Apache-2.0
// The text of --help.
#pragma once

#include <string>

namespace heddle::cli {

std::string help_text();

}  // namespace heddle::cli
