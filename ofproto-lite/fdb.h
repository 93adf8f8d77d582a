// SPDX-License-Identifier: Apache-2.0
// The forwarding database's authority: it decides which entries every bridge has, how long they stay, and which one
// goes when a table is full. The datapath holds a copy for forwarding and reports new sources.
//
// Owner: the Handler. All functions run on the handler thread. Nothing here blocks longer than the datapath's calls.
// Failures of the datapath (port gone, table full) are counted and the entry is not kept: the two never disagree for
// longer than one event.
//
// Every entry has an origin; origin.h has the rules by which entries of several origins meet. learn() is the producer
// of learned entries, put() and withdraw() serve all other origins.
//
// Aging: the datapath knows when a source was last seen, so it is asked about an entry only when the entry may be due.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "base/limits.h"
#include "base/result.h"
#include "datapath/datapath.h"
#include "ofproto-lite/aging_wheel.h"
#include "ofproto-lite/fdb_entry.h"
#include "ofproto-lite/fdb_log.h"
#include "ofproto-lite/fdb_observer.h"
#include "ofproto-lite/fdb_ports.h"
#include "ofproto-lite/fdb_standby.h"
#include "ofproto-lite/origin.h"

namespace heddle::ofproto {

struct FdbConfig {
  std::string name{};                                 // the bridge's, for messages
  std::chrono::seconds aging{limits::kAgingDefault};  // kept within kAgingMin..kAgingMax
  std::size_t capacity = limits::kFdbDefault;         // kept within 1..kFdbMax
  MacAddr mac{};                                      // the bridge's own; zero = none
  dp::PortNo local = dp::PortNo::none;                // the port that `mac` may be learned on
};

struct FdbStats {
  std::size_t entries = 0;             // now
  PerOrigin<std::size_t> of_origin{};  // now; together they are `entries`
  std::uint64_t learned = 0;
  std::uint64_t moved = 0;
  std::uint64_t expired = 0;
  std::uint64_t evicted = 0;                 // to make room
  PerOrigin<std::uint64_t> refused_moves{};  // by origin of the entry: a weaker origin had another target
  std::uint64_t bad_source = 0;              // group or zero address as a source
  std::uint64_t own_mac = 0;                 // the bridge's own address seen on another port
  std::uint64_t full = 0;                    // no room, and nothing that may be evicted
  std::uint64_t datapath_refused = 0;        // Stations::put() failed
};

struct FdbRow {
  dp::FdbKey key;
  dp::FdbTarget target;
  Origin origin = Origin::learned;
  std::uint32_t age = 0;  // seconds since last seen; 0 when the entry does not age
};

// Which entries: each part that is set must match.
struct FdbFilter {
  std::optional<dp::BridgeId> bridge = {};
  std::optional<dp::PortNo> port = {};
  std::optional<dp::VlanId> vlan = {};
  std::optional<IpAddr> remote = {};
};

class Fdb {
 public:
  Fdb(dp::Stations& stations, const TimeSource& time);
  Fdb(const Fdb&) = delete;
  Fdb& operator=(const Fdb&) = delete;

  // Makes the bridge known or changes its settings; a smaller table evicts, a shorter aging time applies at once.
  Result<> set_bridge(dp::BridgeId id, FdbConfig config);
  // Forgets the bridge, its ports and entries.
  void remove_bridge(dp::BridgeId id);
  // Entries may lead only to ports made known here, in their bridge. `tunnel`: stations behind it are not local.
  Result<> add_port(dp::PortNo port, dp::BridgeId bridge, std::string name, bool tunnel);
  // Forgets the port with all its entries and every target on it.
  void remove_port(dp::PortNo port);
  // See fdb_observer.h. Before the first entry.
  void add_observer(FdbObserver& observer) { observers_.push_back(&observer); }

  void learn(const dp::LearnEvent& event);
  // Adds the origin's target for a station, or replaces it. Takes effect unless a stronger origin has an entry, and
  // then when that is withdrawn. `origin` is not Origin::learned. Failures leave everything as it was.
  Result<> put(Origin origin, const dp::FdbKey& key, const dp::FdbTarget& target);
  // Removes the origin's target; the strongest origin that is left has its entry from then on. Errc::not_found.
  Result<> withdraw(Origin origin, const dp::FdbKey& key);
  // Removes learned entries; returns how many.
  std::size_t flush(const FdbFilter& which);

  // Ages what is due, at most `budget` entries; returns how many it looked at.
  std::size_t tick(std::size_t budget = limits::kAgingBatch);
  // The earliest time at which tick() may have work; none when nothing can expire.
  [[nodiscard]] std::optional<TimePoint> next_due() const { return wheel_.next_due(); }

  // The entry in effect; its age is not filled in.
  [[nodiscard]] std::optional<FdbRow> find(const dp::FdbKey& key) const;
  // In no order.
  [[nodiscard]] std::vector<FdbRow> rows(dp::BridgeId bridge) const;
  [[nodiscard]] FdbStats stats(dp::BridgeId bridge) const;

 private:
  struct Bridge {
    FdbConfig config;
    FdbStats stats;
  };
  struct KeyHash {
    std::size_t operator()(const dp::FdbKey& k) const noexcept;
  };

  bool acceptable(Bridge& bridge, const dp::LearnEvent& event);
  Result<> place(const dp::FdbKey& key, const dp::FdbTarget& target, Origin origin);
  Result<> install(const dp::FdbKey& key, const dp::FdbTarget& target);
  void refresh(FdbEntry& entry);
  bool make_room(dp::BridgeId id);
  bool evict_one(dp::BridgeId id, const dp::FdbKey* spared = nullptr);
  void give_up(FdbEntry& entry);
  void erase(FdbEntry& entry);
  [[nodiscard]] std::optional<LocalStation> local(const FdbEntry& entry) const;

  dp::Stations& stations_;
  AgingWheel wheel_;
  FdbPorts ports_;
  std::map<dp::BridgeId, Bridge> bridges_;
  std::unordered_map<dp::FdbKey, FdbEntry, KeyHash> entries_;
  FdbStandby standby_;
  std::vector<FdbObserver*> observers_;
  FdbLog log_;
};

}  // namespace heddle::ofproto
