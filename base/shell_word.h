// SPDX-License-Identifier: Apache-2.0
// Names in commands that a message suggests: a name may have any characters, and is pasted into a shell.
#pragma once

#include <string>
#include <string_view>

namespace heddle {

// The text as one word of a POSIX shell: as it is when no character has a meaning there, else in single quotes.
std::string shell_word(std::string_view text);

}  // namespace heddle
