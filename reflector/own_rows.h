// SPDX-License-Identifier: Apache-2.0
// Who may write what in the reflector's database: a VTEP, known by the name in its certificate, its own rows alone. It
// may take the place of another's station that is not fixed, by a row of its own in the same transaction (a claim), and
// it may remove rows of a VTEP that has been silent for long (the sweeper).
//
// Owner: main. The database must outlive it. Threads: the io_context's. Nothing fails: a transaction that is refused
// gets the reason.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>

#include "base/clock.h"
#include "ovsdb/database.h"
#include "ovsdb/rpc_server.h"

namespace heddle::reflector {

class OwnRows {
 public:
  using Now = std::function<TimePoint()>;
  OwnRows(ovsdb::Database& db, Now now);
  ~OwnRows();
  OwnRows(const OwnRows&) = delete;
  OwnRows& operator=(const OwnRows&) = delete;

  // Sessions without a certificate may write everything: a unix socket, and TCP where the operator serves that.
  [[nodiscard]] ovsdb::TransactContext::Permit permit_of(const ovsdb::RpcSession& session) const;
  // Nothing: the VTEP may. Pure but for the clock.
  [[nodiscard]] std::optional<std::string> judge(const std::string& vtep,
                                                 std::span<const ovsdb::RowChange> changes) const;

 private:
  void take(const ovsdb::Change& change);
  [[nodiscard]] bool is_silent(const std::string& vtep) const;

  ovsdb::Database& db_;
  Now now_;
  ovsdb::Database::ObserverId observer_;
  std::map<std::string, TimePoint> heard_;  // the last change of a Vtep row, by name
};

}  // namespace heddle::reflector
