// SPDX-License-Identifier: Apache-2.0
// Writes a Datum as JSON text, byte for byte as dump_json(datum_to_json()), but without building a JSON tree: each
// commit may store a set of many thousands. Pure functions.
#pragma once

#include <string>

#include "ovsdb/datum.h"
#include "ovsdb/schema.h"

namespace heddle::ovsdb {

void append_json(std::string& out, const std::string& text);
void append_atom(std::string& out, const Atom& atom);
void append_json(std::string& out, const ColumnType& type, const Datum& datum);

}  // namespace heddle::ovsdb
