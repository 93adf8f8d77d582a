// SPDX-License-Identifier: Apache-2.0
// The copies of the forwarding databases that the programs read: one map for each bridge, as large as the bridge's
// table.
//
// Threads: control and handler, serialised by a mutex inside.
#pragma once

#include <array>
#include <map>
#include <mutex>
#include <set>
#include <span>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "datapath/datapath.h"
#include "datapath/kernel/remote_vteps.h"

namespace heddle::dp {

class FdbTables {
 public:
  // Takes over the maps that are pinned. All references must outlive this.
  FdbTables(const Programs& programs, const Pins& pins, RemoteVteps& remotes);

  // --- control ---
  struct PortInfo {
    bool multipoint = false;
    std::uint32_t remote = 0;     // point-to-point tunnel
    std::optional<IpAddr> local;  // of a multipoint tunnel
  };
  // Entries may lead to ports made known here only.
  void add_port(PortNo port, const PortInfo& info);
  // And all entries that lead there.
  void remove_port(PortNo port);
  // The bridge has a table, with what it had in a former life.
  Result<> add_bridge(BridgeId bridge);
  void remove_bridge(BridgeId bridge);
  // Entries of former lives: those that lead to known ports, to be reported; all others go.
  std::vector<LearnEvent> settle();

  // --- handler ---
  Result<> set_capacity(BridgeId bridge, std::size_t entries);
  Result<> put(const FdbKey& key, const FdbTarget& target);
  void remove(const FdbKey& key);
  // Whether settle() reported the entry and nobody put it since.
  [[nodiscard]] bool unconfirmed(const FdbKey& key) const;
  // Removes such an entry.
  void withdraw_unconfirmed(const FdbKey& key);
  void use(std::span<FdbUse> rows) const;

 private:
  using Map = BpfMap<hd_station, hd_entry>;
  struct Table {
    Fd fd;
    std::size_t capacity = 0;
    [[nodiscard]] Map map() const { return {fd.get(), "fdb"}; }
  };
  Table* find(BridgeId bridge);
  [[nodiscard]] const Table* find(BridgeId bridge) const;
  Result<> install(BridgeId bridge, Fd fd, std::size_t capacity);
  // An entry ends: its port has one less, its remote a user less.
  void release(hd_target target);

  const Programs& programs_;
  const Pins& pins_;
  RemoteVteps& remotes_;
  mutable std::mutex mutex_;
  std::map<BridgeId, Table> tables_;
  std::map<PortNo, PortInfo> ports_;
  std::map<PortNo, std::size_t> entries_;  // how many lead to each port
  bool settled_ = false;
  std::set<FdbKey> fresh_;        // put before settle(): not a former life's
  std::set<FdbKey> unconfirmed_;  // of a former life, reported or to be reported
};

// CLOCK_MONOTONIC in hd_entry's unit.
__u32 station_time();

}  // namespace heddle::dp
