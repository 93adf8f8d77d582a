// SPDX-License-Identifier: Apache-2.0
#include "vswitchd/warning_log.h"

#include "base/log.h"

namespace heddle::vswitchd {

void WarningLog::update(const Desired& want, const Difference& changed) {
  for (const std::string& text : changed.warnings)
    if (!want.warnings.contains(text))
      said_.erase(text);
    else if (said_.insert(text).second)
      spdlog::warn("{}", text);
  // What stood before everything was read anew may be gone without a word.
  if (changed.all) std::erase_if(said_, [&](const std::string& text) { return !want.warnings.contains(text); });
}

}  // namespace heddle::vswitchd
