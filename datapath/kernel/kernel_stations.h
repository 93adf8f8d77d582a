// SPDX-License-Identifier: Apache-2.0
// The forwarding database of the kernel datapath: the Stations facet, over the programs' tables and their events.
//
// Owner: KernelDatapath. Handler thread.
#pragma once

#include "datapath/datapath.h"
#include "datapath/kernel/events.h"
#include "datapath/kernel/fdb_tables.h"

namespace heddle::dp {

class KernelStations final : public Stations {
 public:
  KernelStations(FdbTables& tables, Events& events) : tables_(tables), events_(events) {}

  Result<> set_capacity(BridgeId bridge, std::size_t entries) override { return tables_.set_capacity(bridge, entries); }
  Result<> put(const FdbKey& key, const FdbTarget& target) override { return tables_.put(key, target); }
  void remove(const FdbKey& key) override { tables_.remove(key); }
  void usage(std::span<FdbUse> rows) const override { tables_.use(rows); }
  std::size_t poll(std::span<LearnEvent> events) override {
    for (const FdbKey& key : events_.take_adopted()) tables_.withdraw_unconfirmed(key);
    return events_.poll(events);
  }
  [[nodiscard]] int event_fd() const override { return events_.fd(); }

 private:
  FdbTables& tables_;
  Events& events_;
};

}  // namespace heddle::dp
