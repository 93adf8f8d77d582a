// SPDX-License-Identifier: Apache-2.0
#include "ovsdb/datum.h"

#include <algorithm>
#include <numeric>

namespace heddle::ovsdb {

Datum Datum::set(std::vector<Atom> atoms) {
  // A grown set is mostly sorted already, with a few new elements at the end.
  const auto rest = std::is_sorted_until(atoms.begin(), atoms.end());
  std::sort(rest, atoms.end());
  std::inplace_merge(atoms.begin(), rest, atoms.end());
  atoms.erase(std::unique(atoms.begin(), atoms.end()), atoms.end());
  return {std::move(atoms), {}};
}

Datum Datum::of_pairs(std::vector<Atom> keys, std::vector<Atom> values) {
  if (values.empty()) return set(std::move(keys));
  std::vector<std::size_t> order(keys.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return keys[a] < keys[b]; });
  Datum out;
  out.keys_.reserve(keys.size());
  out.values_.reserve(keys.size());
  for (const std::size_t i : order) {
    if (!out.keys_.empty() && out.keys_.back() == keys[i]) continue;
    out.keys_.push_back(std::move(keys[i]));
    out.values_.push_back(std::move(values[i]));
  }
  return out;
}

Datum Datum::map(const std::map<std::string, std::string>& pairs) {
  Datum out;
  for (const auto& [key, value] : pairs) {
    out.keys_.emplace_back(key);
    out.values_.emplace_back(value);
  }
  return out;
}

Datum Datum::map(const std::map<std::string, std::int64_t>& pairs) {
  Datum out;
  for (const auto& [key, value] : pairs) {
    out.keys_.emplace_back(key);
    out.values_.emplace_back(value);
  }
  return out;
}

std::optional<std::size_t> Datum::find(const Atom& key) const {
  const auto it = std::lower_bound(keys_.begin(), keys_.end(), key);
  if (it == keys_.end() || *it != key) return std::nullopt;
  return static_cast<std::size_t>(it - keys_.begin());
}

std::map<std::string, std::string> Datum::string_map() const {
  std::map<std::string, std::string> out;
  for (std::size_t i = 0; i < values_.size(); ++i) {
    const auto* key = std::get_if<std::string>(&keys_[i]);
    const auto* value = std::get_if<std::string>(&values_[i]);
    if (key != nullptr && value != nullptr) out.emplace(*key, *value);
  }
  return out;
}

std::optional<std::string> Datum::at(std::string_view key) const {
  const auto i = find(Atom(std::string(key)));
  if (!i || values_.empty()) return std::nullopt;
  const auto* value = std::get_if<std::string>(&values_[*i]);
  return value != nullptr ? std::optional<std::string>(*value) : std::nullopt;
}

}  // namespace heddle::ovsdb
