// SPDX-License-Identifier: Apache-2.0
#include "ovsdb/json.h"

namespace heddle::ovsdb {

namespace {

// Tracks strings and nesting of JSON text byte by byte, for depth and framing; no byte of a multi-byte UTF-8 sequence
// equals a bracket or a quote.
struct Follower {
  std::size_t& depth;
  bool& in_string;
  bool& escaped;

  void step(char c) {
    if (in_string) {
      if (escaped)
        escaped = false;
      else if (c == '\\')
        escaped = true;
      else if (c == '"')
        in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '[') {
      ++depth;
    } else if ((c == '}' || c == ']') && depth > 0) {
      --depth;
    }
  }
};

Result<Json> parse_bounded(std::string_view text) {
  Json value = Json::parse(text.begin(), text.end(), nullptr, false);
  if (!value.is_discarded()) return value;
  constexpr std::size_t shown = 60;
  std::string start(text.substr(0, shown));
  return fail(Errc::invalid, "not JSON (RFC 8259): " + dump_json(Json(start)) + (text.size() > shown ? "..." : ""));
}

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

std::string too_deep(std::size_t max) { return "JSON nested more than " + std::to_string(max) + " levels deep"; }
std::string too_long(std::size_t max) { return "JSON message longer than " + std::to_string(max) + " bytes"; }

}  // namespace

Result<Json> parse_json(std::string_view text) {
  if (text.size() > limits::kJsonMessage) return fail(Errc::limit, too_long(limits::kJsonMessage));
  std::size_t depth = 0;
  bool in_string = false;
  bool escaped = false;
  Follower follower{depth, in_string, escaped};
  for (const char c : text) {
    follower.step(c);
    if (depth > limits::kJsonDepth) return fail(Errc::limit, too_deep(limits::kJsonDepth));
  }
  return parse_bounded(text);
}

std::string dump_json(const Json& value) { return value.dump(-1, ' ', false, Json::error_handler_t::replace); }

std::string dump_brief(const Json& value) {
  constexpr std::size_t shown = 120;
  std::string text = dump_json(value);
  if (text.size() <= shown) return text;
  std::size_t cut = shown;
  while (cut > 0 && (static_cast<unsigned char>(text[cut]) & 0xc0U) == 0x80U) --cut;  // to the start of a character
  return text.substr(0, cut) + "...";
}

void JsonFramer::append(std::string_view bytes) {
  constexpr std::size_t kept = 1U << 16U;
  if (start_ == buffer_.size() && buffer_.capacity() > kept) buffer_ = {};
  buffer_.erase(0, std::min(start_, buffer_.size()));
  start_ = 0;
  buffer_.append(bytes);
}

Result<bool> JsonFramer::scan() {
  Follower follower{depth_, in_string_, escaped_};
  while (start_ + scanned_ < buffer_.size()) {
    if (scanned_ >= max_bytes_) return fail(Errc::limit, too_long(max_bytes_));
    follower.step(buffer_[start_ + scanned_++]);
    if (depth_ > max_depth_) return fail(Errc::limit, too_deep(max_depth_));
    if (depth_ == 0) return true;
  }
  return false;
}

Result<std::optional<Json>> JsonFramer::next() {
  if (scanned_ == 0) {
    while (start_ < buffer_.size() && is_space(buffer_[start_])) ++start_;
    if (start_ == buffer_.size()) return std::nullopt;
    const char first = buffer_[start_];
    if (first != '{' && first != '[')
      return fail(Errc::invalid,
                  "a JSON-RPC message starts with '{', not with " + dump_json(Json(std::string(1, first))));
  }
  auto complete = scan();
  if (!complete) return std::unexpected(complete.error());
  if (!*complete) return std::nullopt;
  auto value = parse_bounded(std::string_view(buffer_).substr(start_, scanned_));  // scan() checked size and depth
  start_ += scanned_;
  scanned_ = 0;
  if (!value) return std::unexpected(value.error());
  return std::optional<Json>(std::move(*value));
}

}  // namespace heddle::ovsdb
