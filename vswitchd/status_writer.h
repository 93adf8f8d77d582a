// SPDX-License-Identifier: Apache-2.0
// Writes what the switches have into the database's status columns, each time in one transaction.
//
// Owner: the Reconciler. Threads: control. All that it is given must outlive it. What cannot be written goes to the
// log. Commits have this object's address as origin.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "ovsdb/database.h"
#include "vswitchd/applier.h"
#include "vswitchd/desired.h"

namespace heddle::vswitchd {

class StatusWriter {
 public:
  StatusWriter(ovsdb::Database& db, const Desired& want, const Applier& applied, Switches switches,
               DatapathOffer offer);
  StatusWriter(const StatusWriter&) = delete;
  StatusWriter& operator=(const StatusWriter&) = delete;

  // After a run: what may have become different by it, and `asked`: by Open_vSwitch row, the next_cfg that is applied.
  void write_run(const Difference& changed, const std::map<ovsdb::Uuid, std::int64_t>& asked);
  // After news of the devices of these interfaces.
  void write_news(const std::set<std::string>& names);
  // Counters, and what else became different without news of it.
  void write_statistics();

  // Interfaces whose device or tunnel is in error, by what was written last.
  [[nodiscard]] const std::set<std::string>& in_error() const { return in_error_; }
  [[nodiscard]] ovsdb::Origin origin() const { return this; }

 private:
  enum class Counters : std::uint8_t {
    first,  // only of interfaces that have none yet
    all,
  };
  using Updates = std::vector<ovsdb::RowUpdate>;
  // An interface whose counters move: not one that has no device, or is in no switch. What changes of those comes with
  // a run or with news.
  struct Live {
    ovsdb::Uuid row;
    std::string bridge;
  };

  void report_name(const std::string& name, Updates& updates);
  bool report_present(const ovsdb::Uuid& row, const std::string& name, const std::string& bridge, Counters counters,
                      Updates& updates);
  void report_absent(const ovsdb::Uuid& row, const std::string& name, Updates& updates);
  void report_port_row(const ovsdb::Uuid& row, Updates& updates) const;
  void report_bridge(const std::string& name, Updates& updates) const;
  void report_mirrors(const std::string& name, Updates& updates) const;
  void report_root(Updates& updates) const;
  [[nodiscard]] ovsdb::Datum with_notes(const ovsdb::Uuid& row, const ovsdb::Datum& status) const;
  void write(const Updates& updates);

  ovsdb::Database& db_;
  const Desired& want_;
  const Applier& applied_;
  Switches switches_;
  DatapathOffer offer_;
  std::map<std::string, Live> live_;  // by interface
  std::set<std::string> in_error_;
};

}  // namespace heddle::vswitchd
