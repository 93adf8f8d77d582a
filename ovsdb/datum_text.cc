// SPDX-License-Identifier: Apache-2.0
#include "ovsdb/datum_text.h"

#include <algorithm>

#include "ovsdb/json.h"

namespace heddle::ovsdb {

namespace {

// True for characters that stand for themselves in a JSON string; other text goes through the JSON library.
bool is_plain(char c) { return c >= ' ' && c < '\x7f' && c != '"' && c != '\\'; }

}  // namespace

void append_json(std::string& out, const std::string& text) {
  if (!std::all_of(text.begin(), text.end(), is_plain)) {
    out += dump_json(Json(text));
    return;
  }
  out += '"';
  out += text;
  out += '"';
}

void append_atom(std::string& out, const Atom& atom) {
  if (const auto* uuid = std::get_if<Uuid>(&atom)) {
    out += "[\"uuid\",\"";
    out += uuid->to_string();
    out += "\"]";
  } else if (const auto* text = std::get_if<std::string>(&atom)) {
    append_json(out, *text);
  } else if (const auto* integer = std::get_if<std::int64_t>(&atom)) {
    out += std::to_string(*integer);
  } else if (const auto* truth = std::get_if<bool>(&atom)) {
    out += *truth ? "true" : "false";
  } else {
    out += dump_json(Json(std::get<double>(atom)));
  }
}

void append_json(std::string& out, const ColumnType& type, const Datum& datum) {
  if (!type.is_map() && datum.size() == 1) return append_atom(out, datum.keys()[0]);
  out += type.is_map() ? "[\"map\",[" : "[\"set\",[";
  for (std::size_t i = 0; i < datum.size(); ++i) {
    if (i > 0) out += ',';
    if (type.is_map()) out += '[';
    append_atom(out, datum.keys()[i]);
    if (!type.is_map()) continue;
    out += ',';
    append_atom(out, datum.values()[i]);
    out += ']';
  }
  out += "]]";
}

}  // namespace heddle::ovsdb
