// SPDX-License-Identifier: Apache-2.0
// The database "_Server" (ovsdb-server(5)), by which clients of an OVSDB server find its databases: one row for each
// database. It is in memory, and clients can only read it.
#pragma once

#include <memory>
#include <span>

#include "ovsdb/database.h"

namespace heddle::ovsdb {

// Makes "_Server" with a row for each of the schemas and for itself. Never fails: its schema is built in.
std::unique_ptr<Database> make_server_database(std::span<const Schema* const> schemas);

}  // namespace heddle::ovsdb
