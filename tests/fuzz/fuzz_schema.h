// SPDX-License-Identifier: Apache-2.0
// The database of the fuzzers for the engine and its sessions: small, with all kinds of columns, and with row limits so
// that it stays small.
#pragma once

namespace heddle::ovsdb {

inline constexpr const char* kFuzzSchema = R"({
  "name": "F", "version": "1.0.0", "tables": {
    "R": {"isRoot": true, "maxRows": 8, "indexes": [["name"]], "columns": {
      "name": {"type": "string"},
      "n": {"type": {"key": {"type": "integer", "minInteger": -5, "maxInteger": 100}}},
      "r": {"type": "real"},
      "o": {"type": {"key": {"type": "string", "maxLength": 4, "enum": ["set", ["a", "b", "ab"]]}, "min": 0, "max": 1}},
      "s": {"type": {"key": "integer", "min": 0, "max": 3}},
      "m": {"type": {"key": "string", "value": "boolean", "min": 0, "max": "unlimited"}},
      "k": {"type": {"key": {"type": "uuid", "refTable": "K"}, "min": 0, "max": "unlimited"}},
      "w": {"type": {"key": {"type": "uuid", "refTable": "R", "refType": "weak"}, "min": 0, "max": 2}}}},
    "K": {"maxRows": 8, "columns": {
      "name": {"type": "string", "mutable": false},
      "k": {"type": {"key": {"type": "uuid", "refTable": "K"}, "min": 0, "max": 1}},
      "e": {"type": "integer", "ephemeral": true}}}
  }})";

}  // namespace heddle::ovsdb
