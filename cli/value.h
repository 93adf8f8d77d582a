// SPDX-License-Identifier: Apache-2.0
// Column values on the command line, in the output and in JSON: parsed and checked against the column's type (RFC 7047
// sections 3.2 and 5.1), printed in Open vSwitch's format, and converted to and from JSON. Pure functions.
//
// An Error's text describes the value; callers add table and column.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "ovsdb/datum.h"
#include "ovsdb/json.h"
#include "ovsdb/schema.h"
#include "ovsdb/value.h"

namespace heddle::cli {

using ovsdb::Atom;
using ovsdb::AtomType;
using ovsdb::BaseType;
using ovsdb::ColumnType;
using ovsdb::Datum;
using ovsdb::default_datum;
using ovsdb::Json;
using ovsdb::Uuid;

// Returns the UUID of "@name"; called for UUID columns only.
using NameResolver = std::function<Result<Uuid>(std::string_view name)>;

Result<Atom> parse_atom(std::string_view text, const BaseType& type, const NameResolver& names);
enum class Members {
  all,   // the whole value: its number of members is checked
  some,  // members to add, to remove or to compare with: any number
};
Result<Datum> parse_datum(std::string_view text, const ColumnType& type, const NameResolver& names,
                          Members members = Members::all);
Result<> check_count(std::size_t count, const ColumnType& type);

// Removes and returns the word at the start of `text`, up to a character of `stop` outside quotes.
std::string_view cut_word(std::string_view& text, std::string_view stop);
// Decodes a word that may be a JSON string ("..."); other words are returned unchanged.
Result<std::string> unquote(std::string_view word);

// Strings are quoted unless they are plain words; empty values are [] and {}.
std::string format_atom(const Atom& atom);
std::string format_datum(const Datum& datum, const ColumnType& type);
// Without quotes, brackets and commas.
std::string format_bare(const Datum& datum);

// `datum` with one member more, or one less. For a map, `value` is set and replaces the present value of the key.
Datum with(const Datum& datum, const Atom& key, const std::optional<Atom>& value = std::nullopt);
Datum without(const Datum& datum, std::size_t index);

// Writes a UUID: ["uuid", x], or ["named-uuid", y] for a row that the same transaction inserts.
using UuidWriter = std::function<Json(const Uuid&)>;
Json plain_uuid(const Uuid& uuid);
Json to_json(const Datum& datum, const ColumnType& type, const UuidWriter& uuid = plain_uuid);
Result<Datum> from_json(const Json& json, const ColumnType& type);

}  // namespace heddle::cli
