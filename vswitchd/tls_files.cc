// SPDX-License-Identifier: Apache-2.0
#include "vswitchd/tls_files.h"

namespace heddle::vswitchd {

ovsdb::TlsFiles tls_files(const ovsdb::Database& db, const ovsdb::TlsFiles& command_line) {
  for (const ovsdb::RowRef& root : db.rows("Open_vSwitch")) {
    const auto ssl = root->get("ssl").uuid();
    const ovsdb::RowRef row = ssl ? db.find("SSL", *ssl) : nullptr;
    if (!row) continue;
    return {.private_key = row->get("private_key").string_or(""),
            .certificate = row->get("certificate").string_or(""),
            .ca_cert = row->get("ca_cert").string_or(""),
            .bootstrap = row->get("bootstrap_ca_cert").boolean_or(false),
            .peer_ca_cert = command_line.peer_ca_cert};
  }
  return command_line;
}

}  // namespace heddle::vswitchd
