// Stored rows to rows in memory and back. A file may have been written under an older or newer schema: what still has
// a place is kept, the rest is dropped, with one log line for each table or column.
//
// Used by Database::open() and by every commit.
#pragma once

#include <string>
#include <vector>

#include "ovsdb/store.h"
#include "ovsdb/transaction.h"

namespace heddle::ovsdb {

// Puts the rows into `transaction` (over empty tables) and makes them consistent. True when something was dropped or
// changed on the way. Fails when the rows cannot be made to agree with the schema.
Result<bool> load_rows(const std::vector<StoredRow>& stored, Transaction& transaction);

StoredRow to_stored(const RowChange& change);

}  // namespace heddle::ovsdb
