// SPDX-License-Identifier: Apache-2.0
#include "ovsdb/server_database.h"

#include <vector>

namespace heddle::ovsdb {

namespace {

// The tables and columns of ovsdb-server(5), schema version 1.2.0.
constexpr const char* kServerSchema = R"({
  "name": "_Server", "version": "1.2.0", "tables": {
    "Database": {"columns": {
      "name": {"type": "string"},
      "model": {"type": {"key": {"type": "string", "enum": ["set", ["standalone", "clustered", "relay"]]}}},
      "connected": {"type": "boolean"},
      "leader": {"type": "boolean"},
      "schema": {"type": {"key": "string", "min": 0}},
      "cid": {"type": {"key": "uuid", "min": 0}},
      "sid": {"type": {"key": "uuid", "min": 0}},
      "index": {"type": {"key": "integer", "min": 0}}}}
  }})";

}  // namespace

std::unique_ptr<Database> make_server_database(std::span<const Schema* const> schemas) {
  auto database = Database::open(kServerSchema, "").value();
  std::vector<const Schema*> all(schemas.begin(), schemas.end());
  all.push_back(&database->schema());
  Json operations = Json::array();
  for (const Schema* schema : all)
    operations.push_back(Json{{"op", "insert"},
                              {"table", "Database"},
                              {"row",
                               {{"name", schema->name()},
                                {"model", "standalone"},
                                {"connected", true},
                                {"leader", true},
                                {"schema", dump_json(schema->json())}}}});
  (void)database->transact(operations);
  return database;
}

}  // namespace heddle::ovsdb
