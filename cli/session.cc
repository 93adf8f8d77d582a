// SPDX-License-Identifier: Apache-2.0
#include "cli/session.h"

#include <fmt/format.h>

namespace heddle::cli {

Uuid Symbols::mention(std::string_view name) {
  const auto it = entries_.find(name);
  if (it != entries_.end()) return it->second.uuid;
  return entries_.emplace(std::string(name), Entry{.uuid = Uuid::random()}).first->second.uuid;
}

Result<Uuid> Symbols::bind(std::string_view name, const std::optional<Uuid>& existing) {
  if (name.size() < 2 || !name.starts_with('@')) {
    return fail(Errc::invalid, fmt::format("--id={}: a name begins with \"@\", as in --id=@new", name));
  }
  const bool known = entries_.find(name) != entries_.end();
  if (known && entries_.find(name)->second.bound) {
    return fail(Errc::exists, fmt::format("--id={} is given to two records", name));
  }
  if (known && existing) {
    return fail(Errc::invalid, fmt::format("--id={} of \"get\" stands after its first use; put it before", name));
  }
  mention(name);
  auto& entry = entries_.find(name)->second;
  if (existing) entry.uuid = *existing;
  entry.bound = true;
  return entry.uuid;
}

Result<> Symbols::check() const {
  for (const auto& [name, entry] : entries_) {
    if (!entry.bound) {
      return fail(
          Errc::not_found,
          fmt::format("{0} is used, but no command makes it; add for example \"-- --id={0} create ...\"", name));
    }
  }
  return {};
}

}  // namespace heddle::cli
