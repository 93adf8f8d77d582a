// SPDX-License-Identifier: Apache-2.0
#include "ovsdb/mutation.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>

#include "ovsdb/condition.h"

namespace heddle::ovsdb {

namespace {

constexpr std::array<std::string_view, 7> kMutators{"+=", "-=", "*=", "/=", "%=", "insert", "delete"};

std::string place_of(const TableSchema& table, const ColumnSchema& column) {
  return "table " + table.name + ", column " + column.name;
}

bool is_number(const ColumnType& type, bool integers_only) {
  return !type.is_map() && (type.key.type == AtomType::integer || (type.key.type == AtomType::real && !integers_only));
}

}  // namespace

Expect<Datum> Mutations::parse_argument(const ColumnSchema& column, Mutator mutator, const Json& json,
                                        NamedUuids& names) {
  if (mutator != Mutator::insert && mutator != Mutator::remove) {
    auto atom = atom_from_json(column.type.key.type, json, nullptr);
    // ["set", [n]] is another form of n (RFC 7047 section 5.1, <value>).
    if (!atom) {
      auto datum = datum_from_json(column.type, json, nullptr);
      if (!datum || datum->size() != 1) return std::unexpected(atom.error());
      return datum;
    }
    return Datum::set({*atom});
  }
  auto datum = datum_from_json(column.type, json, &names);
  if (datum) {
    if (auto ok = check_atoms(column.type, *datum); !ok) return std::unexpected(ok.error());
    // The inserted set may be smaller than the column's minimum, but not larger than its maximum.
    const bool fits = mutator == Mutator::remove || datum->size() <= column.type.max;
    if (auto ok = fits ? Expect<>{} : check_size(column.type, *datum); !ok) return std::unexpected(ok.error());
    return datum;
  }
  if (mutator != Mutator::remove || !column.type.is_map()) return datum;
  ColumnType keys;  // pairs may be deleted by their keys alone
  keys.key.type = column.type.key.type;
  auto by_key = datum_from_json(keys, json, &names);
  if (!by_key) return datum;
  return by_key;
}

Expect<Mutations::Mutation> Mutations::parse_one(const TableSchema& table, const Json& json, NamedUuids& names) {
  if (!json.is_array() || json.size() != 3)
    return syntax_error("the mutation " + dump_brief(json) + " is not of the form [column, mutator, value]");
  auto column = column_from_json(table, json[0]);
  if (!column) return std::unexpected(column.error());
  Mutation mutation;
  mutation.column = *column;
  const std::string place = place_of(table, **column);
  if (!mutation.column->is_mutable) return failure("constraint violation", place + ": it cannot be changed");

  const auto* name = json[1].is_string()
                         ? std::find(kMutators.begin(), kMutators.end(), json[1].get_ref<const std::string&>())
                         : kMutators.end();
  if (name == kMutators.end())
    return failure("unknown mutator", dump_brief(json[1]) + " is not one of += -= *= /= %= insert delete");
  mutation.mutator = static_cast<Mutator>(name - kMutators.begin());

  const ColumnType& type = mutation.column->type;
  const bool sets = mutation.mutator == Mutator::insert || mutation.mutator == Mutator::remove;
  if (sets && type.is_scalar()) return syntax_error(place + ": " + std::string(*name) + " needs a set or a map");
  if (!sets && !is_number(type, mutation.mutator == Mutator::modulo))
    return syntax_error(place + ": " + std::string(*name) + " needs " +
                        (mutation.mutator == Mutator::modulo ? "integers" : "integers or reals"));
  auto argument = parse_argument(*mutation.column, mutation.mutator, json[2], names);
  if (!argument) return at_place(place, argument.error());
  mutation.argument = std::move(*argument);
  return mutation;
}

Expect<Mutations> Mutations::parse(const TableSchema& table, const Json& json, NamedUuids& names) {
  Mutations out;
  for (const Json& one : json) {
    auto mutation = parse_one(table, one, names);
    if (!mutation) return std::unexpected(mutation.error());
    out.mutations_.push_back(std::move(*mutation));
  }
  return out;
}

namespace {

std::unexpected<Failure> division_by_zero() { return failure("domain error", "division by zero"); }

}  // namespace

Expect<Atom> Mutations::calculate(Mutator mutator, const Atom& left, const Atom& right) {
  if (const double* a = std::get_if<double>(&left)) {
    const double b = std::get<double>(right);
    if (mutator == Mutator::divide && b == 0) return division_by_zero();
    const double result = mutator == Mutator::add        ? *a + b
                          : mutator == Mutator::subtract ? *a - b
                          : mutator == Mutator::multiply ? *a * b
                                                         : *a / b;
    if (std::isfinite(result)) return Atom(result);
    return failure("range error", "the result is too large for a real");
  }
  const auto a = std::get<std::int64_t>(left);
  const auto b = std::get<std::int64_t>(right);
  const bool divides = mutator == Mutator::divide || mutator == Mutator::modulo;
  if (divides && b == 0) return division_by_zero();
  const bool lowest_by_minus_one = a == std::numeric_limits<std::int64_t>::min() && b == -1;
  if (mutator == Mutator::modulo) return Atom(lowest_by_minus_one ? std::int64_t{0} : a % b);
  std::int64_t result = 0;
  const bool overflow = mutator == Mutator::add        ? __builtin_add_overflow(a, b, &result)
                        : mutator == Mutator::subtract ? __builtin_sub_overflow(a, b, &result)
                        : mutator == Mutator::multiply ? __builtin_mul_overflow(a, b, &result)
                                                       : lowest_by_minus_one;
  if (overflow) return failure("range error", "the result is outside -2^63 to 2^63-1");
  if (mutator == Mutator::divide) result = a / b;
  return Atom(result);
}

Expect<Datum> Mutations::changed(const Mutation& mutation, const Datum& value) {
  std::vector<Atom> keys;
  std::vector<Atom> values;
  const Datum& argument = mutation.argument;
  if (mutation.mutator == Mutator::insert) {
    // Existing keys keep their values: of_pairs() keeps the first of two equal keys.
    keys = value.keys();
    keys.insert(keys.end(), argument.keys().begin(), argument.keys().end());
    values = value.values();
    values.insert(values.end(), argument.values().begin(), argument.values().end());
    return Datum::of_pairs(std::move(keys), std::move(values));
  }
  for (std::size_t i = 0; i < value.size(); ++i) {
    const Atom& key = value.keys()[i];
    if (mutation.mutator != Mutator::remove) {
      auto result = calculate(mutation.mutator, key, argument.keys()[0]);
      if (!result) return std::unexpected(result.error());
      keys.push_back(std::move(*result));
      continue;
    }
    const auto at = argument.find(key);
    if (at && (!argument.is_map() || argument.values()[*at] == value.values()[i])) continue;
    keys.push_back(key);
    if (value.is_map()) values.push_back(value.values()[i]);
  }
  Datum out = Datum::of_pairs(std::move(keys), std::move(values));
  if (mutation.mutator != Mutator::remove && out.size() != value.size())
    return failure("constraint violation", "the result would contain an element twice");
  return out;
}

Expect<> Mutations::apply(Row& row) const {
  for (const Mutation& mutation : mutations_) {
    Datum& value = row.edit(mutation.column->index);
    auto result = changed(mutation, value);
    if (!result) return at_place(place_of(row.table(), *mutation.column), result.error());
    if (auto ok = check_atoms(mutation.column->type, *result); !ok)
      return at_place(place_of(row.table(), *mutation.column), ok.error());
    if (auto ok = check_size(mutation.column->type, *result); !ok)
      return at_place(place_of(row.table(), *mutation.column), ok.error());
    value = std::move(*result);
  }
  return {};
}

}  // namespace heddle::ovsdb
