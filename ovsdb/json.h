// SPDX-License-Identifier: Apache-2.0
// JSON as untrusted input: bounded parsing, framing of a stream of values, and printing. Nothing here throws.
//
// Use these functions instead of nlohmann's parse() and dump(), which throw on bad text and bad UTF-8. All functions
// are pure; a JsonFramer belongs to one connection.
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

// Parses exactly one value. Errc::limit: more than limits::kJsonMessage bytes, or nesting beyond limits::kJsonDepth.
// Errc::invalid: not JSON, a number out of range, or ill-formed UTF-8.
Result<Json> parse_json(std::string_view text);

// One line; bytes that are not UTF-8 become U+FFFD.
std::string dump_json(const Json& value);

// A shortened dump for error and log texts.
std::string dump_brief(const Json& value);

// Splits a byte stream into JSON objects and arrays, with or without white space between them (RFC 7047 section 4).
// Memory stays below limits::kJsonMessage plus one read, and is freed after a large message.
class JsonFramer {
 public:
  explicit JsonFramer(std::size_t max_bytes = limits::kJsonMessage, std::size_t max_depth = limits::kJsonDepth)
      : max_bytes_(max_bytes), max_depth_(max_depth) {}
  void append(std::string_view bytes);
  // Bytes of an incomplete message.
  [[nodiscard]] std::size_t held() const { return buffer_.size() - start_; }
  // The next complete value; nothing when more bytes are needed. After an error the stream is unusable, and with it the
  // connection.
  Result<std::optional<Json>> next();

 private:
  Result<bool> scan();  // true: the `scanned_` bytes from `start_` are one complete value

  std::size_t max_bytes_;
  std::size_t max_depth_;
  std::string buffer_;
  std::size_t start_ = 0;  // of the bytes not yet returned
  std::size_t scanned_ = 0;
  std::size_t depth_ = 0;
  bool in_string_ = false;
  bool escaped_ = false;
};

}  // namespace heddle::ovsdb
