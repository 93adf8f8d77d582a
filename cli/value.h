// SPDX-License-Identifier: Apache-2.0
// Column values between the command line, the eye and the wire: parsed and checked against the column's type (RFC 7047
// sections 3.2 and 5.1), printed as Open vSwitch's users know them, and turned to and from JSON. Pure functions.
//
// An Error's text says what is wrong with the value; whoever knows the table and column puts their names before it.
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

// Turns "@name" into the UUID it stands for; consulted for UUID columns only.
using NameResolver = std::function<Result<Uuid>(std::string_view name)>;

Result<Atom> parse_atom(std::string_view text, const BaseType& type, const NameResolver& names);
enum class Members {
  all,   // the whole value: as many members as the column takes
  some,  // members to add, to remove or to compare with: any number
};
Result<Datum> parse_datum(std::string_view text, const ColumnType& type, const NameResolver& names,
                          Members members = Members::all);
Result<> check_count(std::size_t count, const ColumnType& type);

// The word at the start of `text`, up to one of `stop` outside of quotes; it is cut off `text`.
std::string_view cut_word(std::string_view& text, std::string_view stop);
// A word that may be a JSON string: "..." is unquoted, anything else stands for itself.
Result<std::string> unquote(std::string_view word);

// Strings are quoted where they are not plain words; [] and {} are empty.
std::string format_atom(const Atom& atom);
std::string format_datum(const Datum& datum, const ColumnType& type);
// Without quotes, brackets and commas.
std::string format_bare(const Datum& datum);

// `datum` with one member more, or less. For a map, `value` is set and replaces the present one of that key.
Datum with(const Datum& datum, const Atom& key, const std::optional<Atom>& value = std::nullopt);
Datum without(const Datum& datum, std::size_t index);

// How a UUID is written: ["uuid", x], or ["named-uuid", y] for a row of this very transaction.
using UuidWriter = std::function<Json(const Uuid&)>;
Json plain_uuid(const Uuid& uuid);
Json to_json(const Datum& datum, const ColumnType& type, const UuidWriter& uuid = plain_uuid);
Result<Datum> from_json(const Json& json, const ColumnType& type);

}  // namespace heddle::cli
