// SPDX-License-Identifier: Apache-2.0
// The TLS files that the daemon uses towards others: the SSL row's, or those of the command line. Control thread.
#pragma once

#include "ovsdb/database.h"
#include "ovsdb/tls_files.h"

namespace heddle::vswitchd {

ovsdb::TlsFiles tls_files(const ovsdb::Database& db, const ovsdb::TlsFiles& command_line);

}  // namespace heddle::vswitchd
