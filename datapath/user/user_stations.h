// SPDX-License-Identifier: Apache-2.0
// Stations of the user datapath: the forwarding database's tables, the ports that their entries may lead to, and the
// learn events that the workers report.
//
// Owner: UserDatapath. Threads: Stations on the handler; the functions below it on control; a mutex serialises both.
// Workers read the tables under RCU. A call that replaces a table waits for a grace period.
#pragma once

#include <array>
#include <map>
#include <memory>
#include <mutex>

#include "base/clock.h"
#include "datapath/datapath.h"
#include "datapath/user/config.h"
#include "datapath/user/fdb_table.h"
#include "datapath/user/path_resolver.h"
#include "datapath/user/signal.h"

namespace heddle::dp {

class UserStations final : public Stations {
 public:
  // `epoch` is the origin of the clock of all users of the tables.
  UserStations(PathResolver& paths, TimePoint epoch);
  ~UserStations() override;  // no worker runs any more
  UserStations(const UserStations&) = delete;
  UserStations& operator=(const UserStations&) = delete;

  Result<> set_capacity(BridgeId bridge, std::size_t entries) override;
  Result<> put(const FdbKey& key, const FdbTarget& target) override;
  void remove(const FdbKey& key) override;
  void usage(std::span<FdbUse> rows) const override;
  std::size_t poll(std::span<LearnEvent> events) override;
  [[nodiscard]] int event_fd() const override { return learned_.fd(); }

  // --- control ---
  // `path`: of a point-to-point tunnel, else 0. `shared` must live until the port is removed.
  void add_port(PortNo no, PortShared& shared, std::uint32_t path, bool multipoint);
  // With the entries that lead to it. put() finds no such port from then on.
  void remove_port(PortNo no);
  void remove_bridge(BridgeId bridge);
  // For the workers' configuration; null for a number out of range.
  [[nodiscard]] BridgeShared* bridge(BridgeId bridge);
  // Raised by a worker after a learn event.
  [[nodiscard]] Signal& learned() { return learned_; }

 private:
  struct Port {
    PortShared* shared = nullptr;
    std::uint32_t path = 0;
    bool multipoint = false;
  };
  [[nodiscard]] FdbTable* table(BridgeId bridge) const;
  void replace(BridgeId bridge, std::unique_ptr<FdbTable> next);
  void release_path(FdbValue value);
  [[nodiscard]] std::uint32_t now() const;

  PathResolver& paths_;
  TimePoint epoch_;
  Signal learned_;
  std::array<BridgeShared, limits::kBridges> bridges_;
  mutable std::mutex mutex_;  // tables and what follows
  std::map<PortNo, Port> ports_;
  std::size_t turn_ = 0;  // of the port whose events come first
};

}  // namespace heddle::dp
