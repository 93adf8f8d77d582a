// SPDX-License-Identifier: Apache-2.0
// Between JSON and Datum (RFC 7047 section 5.1, <value>), and what a column's type demands of a Datum.
// Pure functions of the engine; failures name the value, callers add table and column.
#pragma once

#include <map>
#include <string>

#include "ovsdb/datum.h"
#include "ovsdb/failure.h"
#include "ovsdb/json.h"
#include "ovsdb/schema.h"

namespace heddle::ovsdb {

// The "uuid-name"s of one transaction. A name may be used before the insert that defines it, so the first mention, of
// either kind, gives it its UUID.
class NamedUuids {
 public:
  Uuid mention(const std::string& name) { return entry(name).uuid; }
  // Fails when an earlier insert had the name, or when `wanted` comes after a mention that got another UUID.
  Expect<Uuid> define(const std::string& name, const std::optional<Uuid>& wanted = {});
  // A name that was mentioned and never defined; null when there is none.
  [[nodiscard]] const std::string* undefined() const;

 private:
  struct Entry {
    Uuid uuid;
    bool defined = false;
  };
  Entry& entry(const std::string& name);
  std::map<std::string, Entry> names_;
};

// RFC 7047 section 3.1, <id>.
bool is_identifier(std::string_view text);

// `names` null: named UUIDs are not allowed here.
Expect<Atom> atom_from_json(AtomType type, const Json& json, NamedUuids* names);
// Checks the form only: atom types, set or map, no duplicates. Neither sizes nor ranges.
Expect<Datum> datum_from_json(const ColumnType& type, const Json& json, NamedUuids* names);
// The same, for a value that is stored: checks ranges and sizes as well.
Expect<Datum> checked_datum_from_json(const ColumnType& type, const Json& json, NamedUuids* names);

Json atom_to_json(const Atom& atom);
Json datum_to_json(const ColumnType& type, const Datum& datum);

// Enumeration, range and length of every atom ("constraint violation"), and that atoms are of the column's type.
Expect<> check_atoms(const ColumnType& type, const Datum& datum);
// The number of elements.
Expect<> check_size(const ColumnType& type, const Datum& datum);

// What a column holds when nobody has set it (RFC 7047 section 5.2.1).
Datum default_datum(const ColumnType& type);

}  // namespace heddle::ovsdb
