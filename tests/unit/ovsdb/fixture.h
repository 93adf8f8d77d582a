// SPDX-License-Identifier: Apache-2.0
// A small database for the tests of the engine: a root table with every kind of column, and a non-root table Kid whose
// unreferenced rows are deleted.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <string>

#include "ovsdb/database.h"

namespace heddle::ovsdb {

inline const char* const kTestSchema = R"({
  "name": "T", "version": "1.0.0", "tables": {
    "Root": {"isRoot": true, "maxRows": 5, "indexes": [["name"]], "columns": {
      "name": {"type": "string", "mutable": false},
      "n":    {"type": {"key": {"type": "integer", "minInteger": 0, "maxInteger": 100}}},
      "big":  {"type": "integer"},
      "r":    {"type": "real"},
      "b":    {"type": "boolean"},
      "opt":  {"type": {"key": {"type": "string", "maxLength": 4}, "min": 0, "max": 1}},
      "mode": {"type": {"key": {"type": "string", "enum": ["set", ["a", "b"]]}, "min": 0, "max": 1}},
      "s":    {"type": {"key": "integer", "min": 0, "max": 3}},
      "m":    {"type": {"key": "string", "value": "integer", "min": 0, "max": "unlimited"}},
      "kids": {"type": {"key": {"type": "uuid", "refTable": "Kid"}, "min": 0, "max": "unlimited"}},
      "weak": {"type": {"key": {"type": "uuid", "refTable": "Root", "refType": "weak"}, "min": 0, "max": "unlimited"}},
      "eph":  {"type": "integer", "ephemeral": true}}},
    "Kid": {"columns": {
      "name": {"type": "string"},
      "toy":  {"type": {"key": {"type": "uuid", "refTable": "Kid"}, "min": 0, "max": 1}},
      "pal":  {"type": {"key": {"type": "uuid", "refTable": "Root", "refType": "weak"}, "min": 0, "max": 1}}}},
    "Pair": {"isRoot": true, "columns": {
      "must": {"type": {"key": {"type": "uuid", "refTable": "Root", "refType": "weak"}, "min": 1, "max": 2}}}}
  }})";

inline std::unique_ptr<Database> open_test(const std::string& path = {}, const char* schema = kTestSchema) {
  auto db = Database::open(schema, path);
  EXPECT_TRUE(db) << db.error().text;
  return db ? std::move(*db) : nullptr;
}

// Parses JSON with single quotes, which are easier to read in C++.
inline Json parse(std::string text) {
  for (char& c : text)
    if (c == '\'') c = '"';
  auto json = parse_json(text);
  EXPECT_TRUE(json) << text;
  return json ? *json : Json();
}

inline Json run(Database& db, const std::string& operations) { return db.transact(parse(operations)); }

// The error of the transaction's failed operation, or "".
inline std::string error_of(const Json& reply) {
  for (const Json& one : reply)
    if (one.is_object() && one.contains("error")) return one["error"].get<std::string>();
  return "";
}
inline std::string details_of(const Json& reply) {
  for (const Json& one : reply)
    if (one.is_object() && one.contains("details")) return one["details"].get<std::string>();
  return "";
}

// A column of the Root row with this name.
inline Json column(Database& db, const std::string& name, const std::string& column) {
  const Json reply =
      run(db, "[{'op':'select','table':'Root','where':[['name','==','" + name + "']],'columns':['" + column + "']}]");
  return reply[0]["rows"].empty() ? Json() : reply[0]["rows"][0][column];
}

// A fixture with a temporary directory, which is removed at the end.
struct Stored : testing::Test {
  std::filesystem::path dir;
  std::string path;
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "heddle-ovsdb-XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    dir = name;
    path = dir / "conf.db";
  }
  void TearDown() override { std::filesystem::remove_all(dir); }
};

}  // namespace heddle::ovsdb
