// SPDX-License-Identifier: Apache-2.0
// Converts stored rows to rows in memory. The file may have an older or newer schema: tables and columns that the
// schema has with a fitting type are kept, the others are dropped, with one log line for each table or column.
//
// Used by Database::open(), on its thread. The other direction is journal.h.
#pragma once

#include <string>
#include <vector>

#include "ovsdb/journal.h"
#include "ovsdb/transaction.h"

namespace heddle::ovsdb {

// Inserts the rows (deleted ones are skipped) into `transaction` (over empty tables) and makes them consistent. True
// when a value was dropped or changed. Fails for an unreadable row, or when the rows cannot be made to fit the schema.
Result<bool> load_rows(const std::vector<StoredRow>& stored, Transaction& transaction);

}  // namespace heddle::ovsdb
