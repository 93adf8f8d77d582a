// SPDX-License-Identifier: Apache-2.0
#include "ovsdb/value.h"

#include <algorithm>
#include <cmath>

namespace heddle::ovsdb {

NamedUuids::Entry& NamedUuids::entry(const std::string& name) {
  const auto [it, added] = names_.try_emplace(name);
  if (added) it->second.uuid = Uuid::random();
  return it->second;
}

Expect<Uuid> NamedUuids::define(const std::string& name, const std::optional<Uuid>& wanted) {
  const bool mentioned = names_.contains(name);
  Entry& e = entry(name);
  if (e.defined)
    return failure("duplicate uuid-name",
                   "uuid-name \"" + name + "\" belongs to an earlier insert of this transaction");
  if (wanted && mentioned)
    return syntax_error("uuid-name \"" + name + "\" is used before the insert that gives it a uuid");
  if (wanted) e.uuid = *wanted;
  e.defined = true;
  return e.uuid;
}

const std::string* NamedUuids::undefined() const {
  for (const auto& [name, e] : names_)
    if (!e.defined) return &name;
  return nullptr;
}

bool is_identifier(std::string_view text) {
  const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; };
  if (text.empty() || !letter(text[0])) return false;
  return std::all_of(text.begin(), text.end(), [&](char c) { return letter(c) || (c >= '0' && c <= '9'); });
}

namespace {

bool is_tagged(const Json& json, const char* tag) {
  return json.is_array() && json.size() == 2 && json[0].is_string() && json[0].get_ref<const std::string&>() == tag;
}

std::unexpected<Failure> wrong_type(std::string_view wanted, const Json& json) {
  return syntax_error(dump_brief(json) + " is not " + std::string(wanted));
}

Expect<Atom> integer_from_json(const Json& json) {
  if (json.is_number_unsigned()) {
    const auto v = json.get<std::uint64_t>();
    if (v <= static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()))
      return Atom(static_cast<std::int64_t>(v));
  } else if (json.is_number_integer()) {
    return Atom(json.get<std::int64_t>());
  } else if (json.is_number_float()) {  // 1.0 and 1e3 are integers too (RFC 7047 section 3.1)
    const auto v = json.get<double>();
    if (std::trunc(v) == v && v >= -0x1p63 && v < 0x1p63) return Atom(static_cast<std::int64_t>(v));
  }
  return wrong_type("an integer between -2^63 and 2^63-1", json);
}

Expect<Atom> uuid_from_json(const Json& json, NamedUuids* names) {
  if (is_tagged(json, "uuid") && json[1].is_string()) {
    if (const auto uuid = Uuid::parse(json[1].get_ref<const std::string&>())) return Atom(*uuid);
  } else if (is_tagged(json, "named-uuid") && json[1].is_string()) {
    if (names == nullptr) return syntax_error(dump_brief(json) + ": a named-uuid cannot be used here");
    const auto& name = json[1].get_ref<const std::string&>();
    if (is_identifier(name)) return Atom(names->mention(name));
    return wrong_type("a named-uuid: its name must be letters, digits and '_', not starting with a digit", json);
  }
  return wrong_type("a UUID of the form [\"uuid\", \"01234567-...\"]", json);
}

}  // namespace

Expect<Atom> atom_from_json(AtomType type, const Json& json, NamedUuids* names) {
  switch (type) {
    case AtomType::integer:
      return integer_from_json(json);
    case AtomType::real:
      if (!json.is_number()) return wrong_type("a number", json);
      return Atom(json.get<double>());
    case AtomType::boolean:
      if (!json.is_boolean()) return wrong_type("true or false", json);
      return Atom(json.get<bool>());
    case AtomType::string: {
      if (!json.is_string()) return wrong_type("a string", json);
      const auto& s = json.get_ref<const std::string&>();
      if (s.find('\0') != std::string::npos) return wrong_type("a string without null characters", json);
      return Atom(s);
    }
    case AtomType::uuid:
      break;
  }
  return uuid_from_json(json, names);
}

namespace {

Expect<Datum> map_from_json(const ColumnType& type, const Json& json, NamedUuids* names) {
  if (!is_tagged(json, "map") || !json[1].is_array()) return wrong_type("a map of the form [\"map\", [...]]", json);
  const AtomType value_type = type.value ? type.value->type : AtomType::string;
  std::vector<Atom> keys;
  std::vector<Atom> values;
  for (const Json& pair : json[1]) {
    if (!pair.is_array() || pair.size() != 2) return wrong_type("a [key, value] pair", pair);
    auto key = atom_from_json(type.key.type, pair[0], names);
    if (!key) return std::unexpected(key.error());
    auto value = atom_from_json(value_type, pair[1], names);
    if (!value) return std::unexpected(value.error());
    keys.push_back(std::move(*key));
    values.push_back(std::move(*value));
  }
  const std::size_t given = keys.size();
  Datum datum = Datum::of_pairs(std::move(keys), std::move(values));
  if (datum.size() != given) return syntax_error("a key occurs twice in the map " + dump_brief(json));
  return datum;
}

}  // namespace

Expect<Datum> datum_from_json(const ColumnType& type, const Json& json, NamedUuids* names) {
  if (type.is_map()) return map_from_json(type, json, names);
  std::vector<Atom> atoms;
  if (is_tagged(json, "set") && json[1].is_array()) {
    for (const Json& element : json[1]) {
      auto atom = atom_from_json(type.key.type, element, names);
      if (!atom) return std::unexpected(atom.error());
      atoms.push_back(std::move(*atom));
    }
  } else {
    auto atom = atom_from_json(type.key.type, json, names);
    if (!atom) return std::unexpected(atom.error());
    atoms.push_back(std::move(*atom));
  }
  const std::size_t given = atoms.size();
  Datum datum = Datum::set(std::move(atoms));
  if (datum.size() != given) return syntax_error("an element occurs twice in the set " + dump_brief(json));
  return datum;
}

Expect<Datum> checked_datum_from_json(const ColumnType& type, const Json& json, NamedUuids* names) {
  auto datum = datum_from_json(type, json, names);
  if (!datum) return datum;
  if (auto ok = check_atoms(type, *datum); !ok) return std::unexpected(ok.error());
  if (auto ok = check_size(type, *datum); !ok) return std::unexpected(ok.error());
  return datum;
}

Json atom_to_json(const Atom& atom) {
  if (const auto* uuid = std::get_if<Uuid>(&atom)) return Json::array({"uuid", uuid->to_string()});
  return std::visit(
      [](const auto& v) -> Json {
        if constexpr (std::is_same_v<std::decay_t<decltype(v)>, Uuid>)
          return nullptr;
        else
          return v;
      },
      atom);
}

Json datum_to_json(const ColumnType& type, const Datum& datum) {
  Json list = Json::array();
  if (type.is_map()) {
    for (std::size_t i = 0; i < datum.values().size(); ++i)
      list.push_back(Json::array({atom_to_json(datum.keys()[i]), atom_to_json(datum.values()[i])}));
    return Json::array({"map", std::move(list)});
  }
  if (datum.size() == 1) return atom_to_json(datum.keys()[0]);
  for (const Atom& atom : datum.keys()) list.push_back(atom_to_json(atom));
  return Json::array({"set", std::move(list)});
}

namespace {

std::unexpected<Failure> out_of_range(const Json& value, const Json& low, const Json& high) {
  return failure("constraint violation", dump_json(value) + " is not between " + dump_json(low) + " and " +
                                             dump_json(high) + ", both included");
}

Expect<> check_length(const BaseType& type, const std::string& s) {
  const auto characters = static_cast<std::uint64_t>(
      std::count_if(s.begin(), s.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0U) != 0x80U; }));
  if (characters >= type.min_length && characters <= type.max_length) return {};
  return failure("constraint violation",
                 dump_brief(Json(s)) + " has " + std::to_string(characters) + " characters, " +
                     (characters > type.max_length ? "more than " + std::to_string(type.max_length)
                                                   : "less than " + std::to_string(type.min_length)));
}

Expect<> check_atom(const BaseType& type, const Atom& atom) {
  if (atom.index() != static_cast<std::size_t>(type.type))
    return syntax_error(dump_brief(atom_to_json(atom)) + " is not of type " + std::string(atom_type_name(type.type)));
  if (type.choices && !type.choices->find(atom)) {
    std::string choices;
    for (const Atom& choice : type.choices->keys())
      choices += (choices.empty() ? "" : ", ") + dump_json(atom_to_json(choice));
    return failure("constraint violation", dump_brief(atom_to_json(atom)) + " is not one of " + choices);
  }
  if (const auto* i = std::get_if<std::int64_t>(&atom)) {
    if (*i < type.min_integer || *i > type.max_integer) return out_of_range(*i, type.min_integer, type.max_integer);
  } else if (const auto* r = std::get_if<double>(&atom)) {
    if (!(*r >= type.min_real && *r <= type.max_real)) return out_of_range(*r, type.min_real, type.max_real);
  } else if (const auto* s = std::get_if<std::string>(&atom)) {
    return check_length(type, *s);
  }
  return {};
}

}  // namespace

Expect<> check_atoms(const ColumnType& type, const Datum& datum) {
  if (!datum.empty() && datum.is_map() != type.is_map())
    return syntax_error(type.is_map() ? "a set where a map belongs" : "a map where a set belongs");
  for (const Atom& key : datum.keys())
    if (auto ok = check_atom(type.key, key); !ok) return ok;
  if (!type.value) return {};
  for (const Atom& value : datum.values())
    if (auto ok = check_atom(*type.value, value); !ok) return ok;
  return {};
}

Expect<> check_size(const ColumnType& type, const Datum& datum) {
  if (datum.size() > limits::kDatumAtoms)
    return failure("resources exhausted", "more than " + std::to_string(limits::kDatumAtoms) + " elements");
  if (datum.size() >= type.min && datum.size() <= type.max) return {};
  const std::string most = type.max == ColumnType::kUnlimited ? "or more" : "to " + std::to_string(type.max);
  return failure("constraint violation", std::to_string(datum.size()) + " elements where " + std::to_string(type.min) +
                                             " " + most + " are allowed");
}

namespace {

Atom default_atom(const BaseType& type) {
  if (type.choices) return type.choices->keys().front();
  switch (type.type) {
    case AtomType::integer:
      return std::clamp<std::int64_t>(0, type.min_integer, type.max_integer);
    case AtomType::real:
      return std::clamp(0.0, type.min_real, type.max_real);
    case AtomType::boolean:
      return false;
    case AtomType::string:
      return std::string();
    case AtomType::uuid:
      break;
  }
  return Uuid{};
}

}  // namespace

Datum default_datum(const ColumnType& type) {
  if (type.min == 0) return {};
  std::vector<Atom> values;
  if (type.value) values.push_back(default_atom(*type.value));
  return Datum::of_pairs({default_atom(type.key)}, std::move(values));
}

}  // namespace heddle::ovsdb
