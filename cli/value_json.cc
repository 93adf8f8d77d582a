// SPDX-License-Identifier: Apache-2.0
// The JSON functions of value.h.
#include <type_traits>
#include <utility>

#include "cli/value.h"

namespace heddle::cli {
namespace {

Json atom_json(const Atom& atom, const UuidWriter& uuid) {
  return std::visit(
      [&](const auto& v) -> Json {
        if constexpr (std::is_same_v<std::decay_t<decltype(v)>, Uuid>) {
          return uuid(v);
        } else {
          return v;
        }
      },
      atom);
}

}  // namespace

Json plain_uuid(const Uuid& uuid) { return Json::array({"uuid", uuid.to_string()}); }

Json to_json(const Datum& datum, const ColumnType& type, const UuidWriter& uuid) {
  if (!type.is_map() && datum.size() == 1) return atom_json(datum.keys().front(), uuid);
  Json members = Json::array();
  for (std::size_t i = 0; i < datum.size(); ++i) {
    Json key = atom_json(datum.keys()[i], uuid);
    members.push_back(type.is_map() ? Json::array({std::move(key), atom_json(datum.values()[i], uuid)})
                                    : std::move(key));
  }
  return Json::array({type.is_map() ? "map" : "set", std::move(members)});
}

Result<Datum> from_json(const Json& json, const ColumnType& type) {
  auto datum = ovsdb::datum_from_json(type, json, nullptr);
  if (!datum)
    return fail(Errc::invalid, "the database sent a value that does not fit its type: " + datum.error().details);
  return std::move(*datum);
}

}  // namespace heddle::cli
