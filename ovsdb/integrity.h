// SPDX-License-Identifier: Apache-2.0
// What is checked and done when a transaction commits (RFC 7047 sections 3.2 and 4.1.3): unreferenced rows of tables
// that are not roots go, weak references to rows that have gone are taken out, strong ones must lead somewhere, and
// sizes, row limits and unique indexes must hold. Work is in proportion to what changed, not to the database.
#pragma once

#include "ovsdb/failure.h"
#include "ovsdb/transaction.h"

namespace heddle::ovsdb {

// Completes the transaction, or says why it cannot be committed.
Expect<> enforce_integrity(Transaction& transaction);

}  // namespace heddle::ovsdb
