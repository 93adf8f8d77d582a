// SPDX-License-Identifier: Apache-2.0
// "mutations" (RFC 7047 section 5.1, <mutation>): parsed and type-checked once, then applied to rows.
#pragma once

#include <vector>

#include "ovsdb/database.h"
#include "ovsdb/failure.h"
#include "ovsdb/value.h"

namespace heddle::ovsdb {

class Mutations {
 public:
  static Expect<Mutations> parse(const TableSchema& table, const Json& json, NamedUuids& names);
  // Applies all, in order. Element values are checked here, the number of elements when the transaction commits. On
  // failure the row is half changed: the transaction is lost anyway.
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
