// SPDX-License-Identifier: Apache-2.0
// Stored rows to rows in memory. A file may have been written under an older or newer schema: what still has
// a place is kept, the rest is dropped, with one log line for each table or column.
//
// Used by Database::open(). The way back is journal.h.
#pragma once

#include <string>
#include <vector>

#include "ovsdb/journal.h"
#include "ovsdb/transaction.h"

namespace heddle::ovsdb {

// Puts the rows (those that have gone are passed over) into `transaction` (over empty tables) and makes them
// consistent. True when something was dropped or changed on the way. Fails when the rows cannot be made to agree with
// the schema.
Result<bool> load_rows(const std::vector<StoredRow>& stored, Transaction& transaction);

}  // namespace heddle::ovsdb
