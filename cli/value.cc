// SPDX-License-Identifier: Apache-2.0
#include "cli/value.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <utility>
#include <vector>

namespace heddle::cli {
namespace {

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n'; }

void skip_space(std::string_view& text) {
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
}

Result<Atom> parse_integer(std::string_view text) {
  std::int64_t v = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), v);
  if (error == std::errc::result_out_of_range) return fail(Errc::invalid, fmt::format("{} is too large", text));
  if (error != std::errc{} || end != text.data() + text.size()) {
    return fail(Errc::invalid, fmt::format("\"{}\" is not an integer", text));
  }
  return v;
}

Result<Atom> parse_real(std::string_view text) {
  double v = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), v);
  if (error != std::errc{} || end != text.data() + text.size()) {
    return fail(Errc::invalid, fmt::format("\"{}\" is not a number", text));
  }
  return v;
}

Result<Atom> parse_boolean(std::string_view text) {
  for (const char* word : {"true", "yes", "on", "1"}) {
    if (text == word) return true;
  }
  for (const char* word : {"false", "no", "off", "0"}) {
    if (text == word) return false;
  }
  return fail(Errc::invalid, fmt::format("\"{}\" is not true or false (nor yes, no, on, off, 1, 0)", text));
}

Result<Atom> parse_uuid(std::string_view text, const BaseType& type, const NameResolver& names) {
  if (text.starts_with('@') && names) {
    auto uuid = names(text);
    if (!uuid) return std::unexpected(uuid.error());
    return *uuid;
  }
  const auto uuid = Uuid::parse(text);
  if (!uuid) {
    const std::string what = type.ref_table_name.empty() ? "" : " of a " + type.ref_table_name + " record";
    return fail(Errc::invalid,
                fmt::format("\"{}\" is not a UUID{}, nor @NAME of one created in the same command", text, what));
  }
  return *uuid;
}

template <typename T>
Result<> check_range(T value, T low, T high) {
  if (value >= low && value <= high) return {};
  if (high == std::numeric_limits<T>::max()) return fail(Errc::invalid, fmt::format("{} is less than {}", value, low));
  if (low == std::numeric_limits<T>::lowest()) {
    return fail(Errc::invalid, fmt::format("{} is more than {}", value, high));
  }
  return fail(Errc::invalid, fmt::format("{} is out of range; allowed is {} to {}", value, low, high));
}

// Counts characters, not bytes (RFC 7047 section 3.2): every byte except UTF-8 continuation bytes starts a character.
std::size_t length_of(const std::string& s) {
  return static_cast<std::size_t>(std::count_if(s.begin(), s.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

Result<> check_string(const std::string& s, const BaseType& type) {
  const std::size_t n = length_of(s);
  if (n < type.min_length)
    return fail(Errc::invalid, fmt::format("\"{}\" is shorter than {} characters", s, type.min_length));
  if (n > type.max_length)
    return fail(Errc::invalid, fmt::format("\"{}\" is longer than {} characters", s, type.max_length));
  return {};
}

Result<> check_atom(const Atom& atom, const BaseType& type) {
  if (type.choices && !type.choices->find(atom)) {
    std::string list;
    for (const Atom& choice : type.choices->keys()) list += (list.empty() ? "" : ", ") + format_atom(choice);
    return fail(Errc::invalid, fmt::format("{} is not one of: {}", format_atom(atom), list));
  }
  if (const auto* v = std::get_if<std::int64_t>(&atom)) return check_range(*v, type.min_integer, type.max_integer);
  if (const auto* v = std::get_if<double>(&atom)) return check_range(*v, type.min_real, type.max_real);
  if (const auto* v = std::get_if<std::string>(&atom)) return check_string(*v, type);
  return {};
}

// A word that needs no quotes: it cannot be taken for a number, a truth value, a UUID or punctuation.
bool is_plain_word(const std::string& s) {
  if (s.empty() || s == "true" || s == "false" || Uuid::parse(s)) return false;
  const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; };
  const auto inner = [&](char c) { return letter(c) || (c >= '0' && c <= '9') || c == '-' || c == '.'; };
  return letter(s.front()) && std::all_of(s.begin(), s.end(), inner);
}

std::string bare_atom(const Atom& atom) {
  if (const auto* s = std::get_if<std::string>(&atom)) return *s;
  return format_atom(atom);
}

// Parses a set or map: members separated by commas or spaces, optionally in brackets.
class MemberParser {
 public:
  MemberParser(std::string_view text, const ColumnType& type, const NameResolver& names)
      : text_(text), type_(type), names_(names) {}

  Result<Datum> run() {
    const char open = type_.is_map() ? '{' : '[';
    const char close = type_.is_map() ? '}' : ']';
    skip_space(text_);
    const bool bracketed = text_.starts_with(open);
    if (bracketed) {
      text_.remove_prefix(1);
      stop_ = type_.is_map() ? "=, \t\n}" : ", \t\n]";
    } else {
      stop_ = type_.is_map() ? "=, \t\n" : ", \t\n";
    }
    for (skip_space(text_); !text_.empty() && !(bracketed && text_.front() == close);) {
      if (auto ok = member(); !ok) return std::unexpected(ok.error());
      skip_space(text_);
      if (text_.starts_with(',')) text_.remove_prefix(1);
      skip_space(text_);
    }
    if (bracketed) {
      if (text_.empty()) return fail(Errc::invalid, fmt::format("the closing {} is missing", close));
      text_.remove_prefix(1);
      skip_space(text_);
      if (!text_.empty()) return fail(Errc::invalid, fmt::format("\"{}\" follows the closing {}", text_, close));
    }
    return Datum::of_pairs(std::move(keys_), std::move(values_));
  }

 private:
  Result<> add_key(Atom key) {
    if (std::find(keys_.begin(), keys_.end(), key) != keys_.end()) {
      return fail(Errc::invalid, fmt::format("{} is given twice", format_atom(key)));
    }
    keys_.push_back(std::move(key));
    return {};
  }

  // FIRST-LAST: all integers of the range (ovs-vsctl(8)).
  Result<> add_range(std::string_view word, std::size_t dash) {
    const auto first = parse_atom(word.substr(0, dash), type_.key, names_);
    if (!first) return std::unexpected(first.error());
    const auto last = parse_atom(word.substr(dash + 1), type_.key, names_);
    if (!last) return std::unexpected(last.error());
    const auto low = std::get<std::int64_t>(*first);
    const auto high = std::get<std::int64_t>(*last);
    constexpr std::uint64_t kMost = 4096;
    const auto steps = static_cast<std::uint64_t>(high) - static_cast<std::uint64_t>(low);
    if (low > high || steps >= kMost) {
      return fail(
          Errc::invalid,
          fmt::format("\"{}\" is no range; it goes from a smaller integer to a greater one, {} at most", word, kMost));
    }
    for (std::uint64_t i = 0; i <= steps; ++i) {  // counts, since `high` may be the largest integer
      if (auto ok = add_key(low + static_cast<std::int64_t>(i)); !ok) return ok;
    }
    return {};
  }

  Result<> member() {
    const auto word = cut_word(text_, stop_);
    if (word.empty()) return fail(Errc::invalid, fmt::format("a value is missing before \"{}\"", text_));
    if (!type_.is_map() && type_.key.type == AtomType::integer && type_.max > 1) {
      if (const auto dash = word.find('-', 1); dash != std::string_view::npos) return add_range(word, dash);
    }
    auto key = parse_atom(word, type_.key, names_);
    if (!key) return std::unexpected(key.error());
    if (auto ok = add_key(std::move(*key)); !ok) return ok;
    if (!type_.is_map()) return {};

    if (!text_.starts_with('='))
      return fail(Errc::invalid, fmt::format("a map takes key=value, and \"{}\" has no value", word));
    text_.remove_prefix(1);
    const auto value_stop = stop_.substr(1);  // a value may have a '='
    auto value = parse_atom(cut_word(text_, value_stop), *type_.value, names_);
    if (!value) return std::unexpected(value.error());
    values_.push_back(std::move(*value));
    return {};
  }

  std::string_view text_;
  const ColumnType& type_;
  const NameResolver& names_;
  std::string_view stop_;
  std::vector<Atom> keys_;
  std::vector<Atom> values_;
};

}  // namespace

std::string_view cut_word(std::string_view& text, std::string_view stop) {
  bool quoted = false;
  std::size_t n = 0;
  for (; n < text.size(); ++n) {
    if (quoted && text[n] == '\\' && n + 1 < text.size()) {
      ++n;
    } else if (text[n] == '"') {
      quoted = !quoted;
    } else if (!quoted && stop.find(text[n]) != std::string_view::npos) {
      break;
    }
  }
  const auto word = text.substr(0, n);
  text.remove_prefix(n);
  return word;
}

Result<std::string> unquote(std::string_view word) {
  if (!word.starts_with('"')) return std::string(word);
  const auto json = Json::parse(word, nullptr, false);
  if (!json.is_string()) {
    return fail(Errc::invalid,
                fmt::format("{} is not a quoted string; it takes \"...\" with \\\" and \\\\ inside", word));
  }
  return json.get<std::string>();
}

Result<Atom> parse_atom(std::string_view text, const BaseType& type, const NameResolver& names) {
  Result<Atom> atom;
  switch (type.type) {
    case AtomType::integer:
      atom = parse_integer(text);
      break;
    case AtomType::real:
      atom = parse_real(text);
      break;
    case AtomType::boolean:
      atom = parse_boolean(text);
      break;
    case AtomType::uuid:
      atom = parse_uuid(text, type, names);
      break;
    case AtomType::string: {
      auto s = unquote(text);
      if (!s) return std::unexpected(s.error());
      atom = std::move(*s);
      break;
    }
  }
  if (!atom) return atom;
  if (auto ok = check_atom(*atom, type); !ok) return std::unexpected(ok.error());
  return atom;
}

Result<> check_count(std::size_t count, const ColumnType& type) {
  const char* noun = type.is_map() ? "pair" : "value";
  if (count < type.min) return fail(Errc::invalid, fmt::format("a {} is needed", noun));
  if (count > type.max) {
    return fail(Errc::invalid, fmt::format("{} {}s are given, at most {} fit", count, noun, type.max));
  }
  return {};
}

Result<Datum> parse_datum(std::string_view text, const ColumnType& type, const NameResolver& names, Members members) {
  // A single string needs no quotes, since nothing can follow it.
  const bool single = !type.is_map() && type.max == 1;
  if (single && type.key.type == AtomType::string && !text.starts_with('[') && (type.min == 1 || !text.empty())) {
    auto atom = parse_atom(text, type.key, names);
    if (!atom) return std::unexpected(atom.error());
    return Datum::set({std::move(*atom)});
  }
  auto datum = MemberParser(text, type, names).run();
  if (datum && members == Members::all) {
    if (auto ok = check_count(datum->size(), type); !ok) return std::unexpected(ok.error());
  }
  return datum;
}

std::string format_atom(const Atom& atom) {
  struct Visitor {
    std::string operator()(std::int64_t v) const { return fmt::format("{}", v); }
    std::string operator()(double v) const { return fmt::format("{}", v); }
    std::string operator()(bool v) const { return v ? "true" : "false"; }
    std::string operator()(const std::string& v) const { return is_plain_word(v) ? v : ovsdb::dump_json(v); }
    std::string operator()(const Uuid& v) const { return v.to_string(); }
  };
  return std::visit(Visitor{}, atom);
}

std::string format_datum(const Datum& datum, const ColumnType& type) {
  const bool bracketed = type.is_map() || type.max > 1 || datum.empty();
  std::string out;
  if (bracketed) out += type.is_map() ? '{' : '[';
  for (std::size_t i = 0; i < datum.size(); ++i) {
    if (i != 0) out += ", ";
    out += format_atom(datum.keys()[i]);
    if (type.is_map()) out += "=" + format_atom(datum.values()[i]);
  }
  if (bracketed) out += type.is_map() ? '}' : ']';
  return out;
}

std::string format_bare(const Datum& datum) {
  std::string out;
  for (std::size_t i = 0; i < datum.size(); ++i) {
    if (i != 0) out += ' ';
    out += bare_atom(datum.keys()[i]);
    if (datum.is_map()) out += "=" + bare_atom(datum.values()[i]);
  }
  return out;
}

Datum with(const Datum& datum, const Atom& key, const std::optional<Atom>& value) {
  auto keys = datum.keys();
  auto values = datum.values();
  if (const auto at = datum.find(key)) {
    if (value) values[*at] = *value;
  } else {
    keys.push_back(key);
    if (value) values.push_back(*value);
  }
  return Datum::of_pairs(std::move(keys), std::move(values));
}

Datum without(const Datum& datum, std::size_t index) {
  auto keys = datum.keys();
  auto values = datum.values();
  keys.erase(keys.begin() + static_cast<std::ptrdiff_t>(index));
  if (!values.empty()) values.erase(values.begin() + static_cast<std::ptrdiff_t>(index));
  return Datum::of_pairs(std::move(keys), std::move(values));
}

}  // namespace heddle::cli
