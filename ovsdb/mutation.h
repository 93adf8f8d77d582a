// SPDX-License-Identifier: Apache-2.0
// "mutations" (RFC 7047 section 5.1, <mutation>): parsed and type-checked once, then applied to rows.
//
// Refers to the Schema, which must outlive the Mutations. Constant after parse(). Errors as in RFC 7047 section 5.2.4
// ("syntax error", "constraint violation", "domain error", "range error" ...).
#pragma once

#include <vector>

#include "ovsdb/database.h"
#include "ovsdb/failure.h"
#include "ovsdb/value.h"

namespace heddle::ovsdb {

class Mutations {
 public:
  static Expect<Mutations> parse(const TableSchema& table, const Json& json, NamedUuids& names);
  // Applies all mutations in order and checks each result. After an error the row is partly changed; the transaction
  // must be abandoned.
  Expect<> apply(Row& row) const;

 private:
  enum class Mutator { add, subtract, multiply, divide, modulo, insert, remove };
  struct Mutation {
    Mutator mutator = Mutator::add;
    const ColumnSchema* column = nullptr;
    Datum argument;
  };
  static Expect<Mutation> parse_one(const TableSchema& table, const Json& json, NamedUuids& names);
  static Expect<Datum> parse_argument(const ColumnSchema& column, Mutator mutator, const Json& json, NamedUuids& names);
  static Expect<Atom> calculate(Mutator mutator, const Atom& left, const Atom& right);
  static Expect<Datum> changed(const Mutation& mutation, const Datum& value);

  std::vector<Mutation> mutations_;
};

}  // namespace heddle::ovsdb
