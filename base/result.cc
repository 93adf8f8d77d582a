// SPDX-License-Identifier: Apache-2.0
#include "base/result.h"

#include <system_error>

namespace heddle {

std::unexpected<Error> fail_errno(int err, const std::string& what) {
  return fail(Errc::system, what + ": " + std::generic_category().message(err));
}

}  // namespace heddle
