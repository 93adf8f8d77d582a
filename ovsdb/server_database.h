// SPDX-License-Identifier: Apache-2.0
// The database "_Server" that every OVSDB server serves beside its own: one row for each database that it has, so that
// clients can find out about them (ovsdb-server(5)). It lives in memory and clients can only read it.
#pragma once

#include <memory>
#include <span>

#include "ovsdb/database.h"

namespace heddle::ovsdb {

// Describes the databases with these schemas, and itself. Never fails: its schema is built in.
std::unique_ptr<Database> make_server_database(std::span<const Schema* const> schemas);

}  // namespace heddle::ovsdb
