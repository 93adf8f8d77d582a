// SPDX-License-Identifier: Apache-2.0
// The value of one column of one row: a sorted set of atoms, or a map (RFC 7047 section 3.2, <type>, and 5.1, <value>).
// A scalar is a set of exactly one atom, an optional scalar a set of at most one.
//
// Plain values; a Datum does not know its type. Nothing fails: the typed readers return nothing or the given default
// when the value is empty or of another type, so that callers need not repeat the schema's checks.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "ovsdb/uuid.h"

namespace heddle::ovsdb {

using Atom = std::variant<std::int64_t, double, bool, std::string, Uuid>;

// class-size: a value type: makers and readers, one for each type of an atom
class Datum {
 public:
  Datum() = default;
  // Scalars. (No implicit conversion from char* to bool or from int to double.)
  static Datum of(std::int64_t v) { return Datum({Atom(v)}, {}); }
  static Datum of(int v) { return of(static_cast<std::int64_t>(v)); }
  static Datum of(double v) { return Datum({Atom(v)}, {}); }
  static Datum of(bool v) { return Datum({Atom(v)}, {}); }
  static Datum of(std::string v) { return Datum({Atom(std::move(v))}, {}); }
  static Datum of(const char* v) { return of(std::string(v)); }
  static Datum of(const Uuid& v) { return Datum({Atom(v)}, {}); }
  // An optional value: nullopt becomes the empty set.
  template <typename T>
  static Datum of(const std::optional<T>& v) {
    return v ? of(*v) : Datum{};
  }
  // Sorts, and removes duplicates.
  static Datum set(std::vector<Atom> atoms);
  static Datum map(const std::map<std::string, std::string>& pairs);
  static Datum map(const std::map<std::string, std::int64_t>& pairs);
  // `values` is empty or as long as `keys`. Sorts by key; of equal keys the first stays.
  static Datum of_pairs(std::vector<Atom> keys, std::vector<Atom> values);

  [[nodiscard]] bool empty() const { return keys_.empty(); }
  [[nodiscard]] std::size_t size() const { return keys_.size(); }
  [[nodiscard]] bool is_map() const { return !values_.empty(); }  // an empty map looks like an empty set
  [[nodiscard]] const std::vector<Atom>& keys() const { return keys_; }
  [[nodiscard]] const std::vector<Atom>& values() const { return values_; }
  // Position of `key`, if present.
  [[nodiscard]] std::optional<std::size_t> find(const Atom& key) const;

  // Typed readers of the first (only) element.
  [[nodiscard]] std::optional<std::string> string() const { return first<std::string>(); }
  [[nodiscard]] std::optional<std::int64_t> integer() const { return first<std::int64_t>(); }
  [[nodiscard]] std::optional<double> real() const { return first<double>(); }
  [[nodiscard]] std::optional<bool> boolean() const { return first<bool>(); }
  [[nodiscard]] std::optional<Uuid> uuid() const { return first<Uuid>(); }
  [[nodiscard]] std::string string_or(std::string_view otherwise) const {
    return string().value_or(std::string(otherwise));
  }
  [[nodiscard]] std::int64_t integer_or(std::int64_t otherwise) const { return integer().value_or(otherwise); }
  [[nodiscard]] bool boolean_or(bool otherwise) const { return boolean().value_or(otherwise); }
  // Typed readers of all elements; elements of another type are skipped.
  [[nodiscard]] std::vector<std::string> strings() const { return all<std::string>(); }
  [[nodiscard]] std::vector<std::int64_t> integers() const { return all<std::int64_t>(); }
  [[nodiscard]] std::vector<Uuid> uuids() const { return all<Uuid>(); }
  [[nodiscard]] std::map<std::string, std::string> string_map() const;
  // The value at a string key of a map of strings.
  [[nodiscard]] std::optional<std::string> at(std::string_view key) const;

  bool operator==(const Datum&) const = default;
  auto operator<=>(const Datum&) const = default;

 private:
  Datum(std::vector<Atom> keys, std::vector<Atom> values) : keys_(std::move(keys)), values_(std::move(values)) {}
  template <typename T>
  std::optional<T> first() const {
    if (keys_.empty()) return std::nullopt;
    const T* v = std::get_if<T>(&keys_.front());
    return v ? std::optional<T>(*v) : std::nullopt;
  }
  template <typename T>
  std::vector<T> all() const {
    std::vector<T> out;
    for (const Atom& a : keys_)
      if (const T* v = std::get_if<T>(&a)) out.push_back(*v);
    return out;
  }

  std::vector<Atom> keys_;    // sorted, unique
  std::vector<Atom> values_;  // maps: values_[i] belongs to keys_[i]
};

// Calls visit(atom, sign) in order for the elements that only one of two sets has: sign -1 for elements of `before`, 1
// for elements of `after`. Common elements cost one comparison, which matters when a set of thousands gets one more.
template <typename Visit>
void for_each_difference(const Datum& before, const Datum& after, Visit&& visit) {
  auto was = before.keys().begin();
  auto is = after.keys().begin();
  const auto was_end = before.keys().end();
  const auto is_end = after.keys().end();
  while (was != was_end || is != is_end) {
    if (was != was_end && is != is_end && *was == *is) {
      ++was;
      ++is;
      continue;
    }
    const bool goes = is == is_end || (was != was_end && *was < *is);
    visit(goes ? *was++ : *is++, goes ? -1 : 1);
  }
}

}  // namespace heddle::ovsdb
