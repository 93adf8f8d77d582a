// SPDX-License-Identifier: Apache-2.0
// The errors of the database protocol (RFC 7047 sections 3.1 and 5.2): an error string for programs, details for
// people. Plain values.
#pragma once

#include <expected>
#include <string>
#include <utility>

#include "ovsdb/json.h"

namespace heddle::ovsdb {

struct Failure {
  std::string error;    // e.g. "constraint violation"
  std::string details;  // names table, column and value

  [[nodiscard]] Json to_json() const { return Json{{"error", error}, {"details", details}}; }
};

template <typename T = void>
using Expect = std::expected<T, Failure>;

inline std::unexpected<Failure> failure(std::string error, std::string details) {
  return std::unexpected(Failure{std::move(error), std::move(details)});
}
inline std::unexpected<Failure> syntax_error(std::string details) {
  return failure("syntax error", std::move(details));
}
// Puts the place before the details: "<place>: <details>".
inline std::unexpected<Failure> at_place(const std::string& place, Failure inner) {
  inner.details = place + ": " + inner.details;
  return std::unexpected(std::move(inner));
}

}  // namespace heddle::ovsdb
