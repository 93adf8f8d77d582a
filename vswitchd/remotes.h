// SPDX-License-Identifier: Apache-2.0
// Where else the database is served: the places on the command line (--remote) and those in the database itself (the
// Manager rows that Open_vSwitch.manager_options names), with the TLS files of either (--private-key and so on, or the
// SSL row, which wins). Writes is_connected and status back to the Manager rows.
//
// Owned by main(); Database, handler and io_context must outlive it. Threads: control. Failure: a place that cannot be
// had is told of in its row and in the log and tried again; the others go on.
#pragma once

#include <boost/asio/io_context.hpp>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "ovsdb/database.h"
#include "ovsdb/remotes.h"

namespace heddle::vswitchd {

struct RemoteConfig {
  std::vector<std::string> remotes;  // --remote
  ovsdb::TlsFiles tls;               // --private-key, --certificate, --ca-cert
};

class ManagerRemotes {
 public:
  // Fails when a remote on the command line is no remote.
  static Result<std::unique_ptr<ManagerRemotes>> start(boost::asio::io_context& io, ovsdb::Database& database,
                                                       ovsdb::RpcHandler& handler, const RemoteConfig& config);
  virtual ~ManagerRemotes() = default;
  // By target.
  [[nodiscard]] virtual std::map<std::string, ovsdb::RemoteStatus> statuses() const = 0;
};

}  // namespace heddle::vswitchd
