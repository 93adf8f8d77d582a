// SPDX-License-Identifier: Apache-2.0
// The integrity rules of a commit (RFC 7047 sections 3.2 and 4.1.3): unreferenced rows of non-root tables are deleted,
// weak references to missing rows are removed, strong references must lead to a row, and sizes, row limits and unique
// indexes must hold. The work is proportional to the changes, not to the database.
#pragma once

#include "ovsdb/failure.h"
#include "ovsdb/transaction.h"

namespace heddle::ovsdb {

// Completes the transaction; fails when it cannot be committed.
Expect<> enforce_integrity(Transaction& transaction);

}  // namespace heddle::ovsdb
