// SPDX-License-Identifier: Apache-2.0
// JSON as untrusted input: bounded parsing, framing of a stream of values, and printing, none of which throws.
//
// Use json.h's functions instead of nlohmann's own parse() and dump(): those throw on bad text and bad UTF-8. All
// functions are pure; a JsonFramer belongs to one connection.
#pragma once

#include <cstddef>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "base/limits.h"
#include "base/result.h"

namespace heddle::ovsdb {

using Json = nlohmann::json;

// Parses exactly one value. Refuses more than limits::kJsonMessage bytes, nesting beyond limits::kJsonDepth, numbers
// out of range and ill-formed UTF-8.
Result<Json> parse_json(std::string_view text);

// One line; bytes that are not UTF-8 become U+FFFD.
std::string dump_json(const Json& value);

// A shortened dump for error and log texts.
std::string dump_brief(const Json& value);

// Cuts a byte stream into JSON objects and arrays, which follow one another with or without white space between them
// (RFC 7047 section 4). Memory stays below limits::kJsonMessage plus one read, and is given back when a large message
// is done with.
class JsonFramer {
 public:
  explicit JsonFramer(std::size_t max_bytes = limits::kJsonMessage, std::size_t max_depth = limits::kJsonDepth)
      : max_bytes_(max_bytes), max_depth_(max_depth) {}
  void append(std::string_view bytes);
  // Bytes that it keeps until more come.
  [[nodiscard]] std::size_t held() const { return buffer_.size() - start_; }
  // The next complete value; nothing when more bytes are needed; an error when the stream cannot be followed any
  // further (the connection is then of no use).
  Result<std::optional<Json>> next();

 private:
  Result<bool> scan();  // true: the `scanned_` bytes from `start_` are one whole value

  std::size_t max_bytes_;
  std::size_t max_depth_;
  std::string buffer_;
  std::size_t start_ = 0;  // bytes before it are done with
  std::size_t scanned_ = 0;
  std::size_t depth_ = 0;
  bool in_string_ = false;
  bool escaped_ = false;
};

}  // namespace heddle::ovsdb
