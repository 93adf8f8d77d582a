// SPDX-License-Identifier: Apache-2.0
// The forwarding database's authority: what every bridge has learned, how long it stays, and who must go when a table
// is full. The datapath holds a copy for forwarding and reports new sources; this class decides and installs.
//
// Owner: the Handler. All functions run on the handler thread. Nothing here blocks longer than the datapath's calls.
// Failures of the datapath (port gone, table full) are counted and the entry is not kept: the two never disagree for
// longer than one event.
//
// Aging: the datapath knows when a source was last seen, so an entry is asked about only when it may be due. Due times
// lie in a wheel of one-second buckets; learning, moving and aging cost the same at ten entries and at a million.
#pragma once

#include <boost/intrusive/list.hpp>
#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/result.h"
#include "datapath/datapath.h"

namespace heddle::ofproto {

struct FdbConfig {
  std::string name{};                                 // the bridge's, for messages
  std::chrono::seconds aging{limits::kAgingDefault};  // kept within kAgingMin..kAgingMax
  std::size_t capacity = limits::kFdbDefault;         // kept within 1..kFdbMax
  MacAddr mac{};                                      // the bridge's own; zero = none
  dp::PortNo local = dp::PortNo::none;                // the port that `mac` may be learned on
};

struct FdbStats {
  std::size_t entries = 0;  // now, static ones included
  std::size_t statics = 0;  // now
  std::uint64_t learned = 0;
  std::uint64_t moved = 0;
  std::uint64_t expired = 0;
  std::uint64_t evicted = 0;           // to make room
  std::uint64_t static_refused = 0;    // source of a static entry seen on another port
  std::uint64_t bad_source = 0;        // group or zero address as a source
  std::uint64_t own_mac = 0;           // the bridge's own address seen on another port
  std::uint64_t full = 0;              // no room, and nothing that may be evicted
  std::uint64_t datapath_refused = 0;  // Stations::put() failed
};

struct FdbRow {
  dp::FdbKey key;
  dp::FdbTarget target;
  bool is_static = false;
  std::uint32_t age = 0;  // seconds since last seen; 0 for a static entry
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
  ~Fdb();

  // Makes the bridge known or changes its settings; a smaller table evicts, a shorter aging time applies at once.
  Result<> set_bridge(dp::BridgeId id, FdbConfig config);
  // Forgets the bridge, its ports and entries.
  void remove_bridge(dp::BridgeId id);
  // Learning happens only on ports made known here, in their bridge.
  Result<> add_port(dp::PortNo port, dp::BridgeId bridge, std::string name);
  // Forgets the port with all its entries, static ones too.
  void remove_port(dp::PortNo port);

  void learn(const dp::LearnEvent& event);
  // Adds an entry that neither ages nor moves, replacing a learned one. Fails when a static one leads elsewhere.
  Result<> add_static(const dp::FdbKey& key, const dp::FdbTarget& target);
  // Removes one entry, of either kind.
  Result<> remove(const dp::FdbKey& key);
  // Removes learned entries; returns how many.
  std::size_t flush(const FdbFilter& which);

  // Ages what is due, at most `budget` entries; returns how many it looked at.
  std::size_t tick(std::size_t budget = limits::kAgingBatch);
  // The earliest time at which tick() may have work; none when nothing can expire.
  [[nodiscard]] std::optional<TimePoint> next_due() const;

  // In no order.
  [[nodiscard]] std::vector<FdbRow> rows(dp::BridgeId bridge) const;
  [[nodiscard]] FdbStats stats(dp::BridgeId bridge) const;
  [[nodiscard]] std::size_t count(dp::PortNo port) const;

 private:
  using Hook = boost::intrusive::list_member_hook<boost::intrusive::link_mode<boost::intrusive::auto_unlink>>;
  struct Entry {
    dp::FdbKey key;
    dp::FdbTarget target;
    bool is_static = false;
    std::int64_t due = 0;                // second at which it may have expired
    std::int64_t moved = INT64_MIN / 2;  // second of the last move
    unsigned flaps = 0;                  // moves in quick succession
    Hook of_port, of_wheel;
  };
  template <Hook Entry::*hook>
  using List = boost::intrusive::list<Entry, boost::intrusive::member_hook<Entry, Hook, hook>,
                                      boost::intrusive::constant_time_size<false>>;
  struct Port {
    dp::BridgeId bridge = dp::BridgeId::none;
    std::string name;
    List<&Entry::of_port> learned;  // oldest first
    List<&Entry::of_port> statics;
    std::size_t learned_count = 0;
    std::size_t static_count = 0;
  };
  struct Bridge {
    FdbConfig config;
    FdbStats stats;
    std::set<std::pair<std::size_t, dp::PortNo>> by_count;  // (learned entries, port): every port of the bridge
  };
  struct KeyHash {
    std::size_t operator()(const dp::FdbKey& k) const noexcept;
  };
  static constexpr std::int64_t kWheel = 4096;
  static_assert(kWheel > limits::kAgingMax);

  [[nodiscard]] std::int64_t second() const;
  [[nodiscard]] std::string port_name(dp::PortNo port) const;
  bool acceptable(Bridge& bridge, const dp::LearnEvent& event);
  bool make_room(Bridge& bridge);
  Result<> install(Bridge& bridge, const dp::FdbKey& key, const dp::FdbTarget& target);
  bool evict_one(Bridge& bridge);
  void insert(Bridge& bridge, const dp::FdbKey& key, const dp::FdbTarget& target);
  void move(Bridge& bridge, Entry& entry, const dp::FdbTarget& target);
  void refresh(Bridge& bridge, Entry& entry);
  void note_flapping(const Bridge& bridge, Entry& entry, const dp::FdbTarget& target);
  void attach(Bridge& bridge, Entry& entry);
  void detach(Bridge& bridge, Entry& entry);
  void erase(Entry& entry);
  std::size_t clear(List<&Entry::of_port>& list, const FdbFilter& which);
  void schedule(Entry& entry, std::int64_t due);
  void collect_due(std::int64_t now, std::size_t budget, std::vector<Entry*>& out);
  void recount(Bridge& bridge, dp::PortNo number, Port& port, int change);

  dp::Stations& stations_;
  const TimeSource& time_;
  TimePoint epoch_;
  std::map<dp::BridgeId, Bridge> bridges_;
  std::map<dp::PortNo, Port> ports_;
  std::unordered_map<dp::FdbKey, Entry, KeyHash> entries_;
  std::vector<List<&Entry::of_wheel>> wheel_;
  std::int64_t cursor_ = 0;  // every bucket before this second has been looked at
  LogLimit flap_log_{1};
  LogLimit own_mac_log_{1};
  LogLimit full_log_{1};
};

}  // namespace heddle::ofproto
