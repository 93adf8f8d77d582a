// SPDX-License-Identifier: Apache-2.0
// Converts between JSON and Datum (RFC 7047 section 5.1, <value>), and checks a Datum against its column's type. Pure
// functions of the engine; errors name the value, callers add table and column.
#pragma once

#include <map>
#include <string>

#include "ovsdb/datum.h"
#include "ovsdb/failure.h"
#include "ovsdb/json.h"
#include "ovsdb/schema.h"

namespace heddle::ovsdb {

// The "uuid-name"s of one transaction. A name may be used before the insert that defines it, so its first use or
// definition assigns the UUID.
class NamedUuids {
 public:
  Uuid mention(const std::string& name) { return entry(name).uuid; }
  // Fails when an earlier insert defined the name, or when `wanted` is given for a name that was used before.
  Expect<Uuid> define(const std::string& name, const std::optional<Uuid>& wanted = {});
  // A name that was used but not defined, or null.
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
// Checks the form: atom types, set or map, no duplicates; neither sizes nor ranges.
Expect<Datum> datum_from_json(const ColumnType& type, const Json& json, NamedUuids* names);
// The same for a value of a row: checks ranges and sizes too.
Expect<Datum> checked_datum_from_json(const ColumnType& type, const Json& json, NamedUuids* names);

Json atom_to_json(const Atom& atom);
Json datum_to_json(const ColumnType& type, const Datum& datum);

// Checks the type of every atom, and its enumeration, range and length ("constraint violation").
Expect<> check_atoms(const ColumnType& type, const Datum& datum);
// Checks the number of elements.
Expect<> check_size(const ColumnType& type, const Datum& datum);

// The value of a column that an insert does not set (RFC 7047 section 5.2.1).
Datum default_datum(const ColumnType& type);

}  // namespace heddle::ovsdb
