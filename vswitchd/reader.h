// SPDX-License-Identifier: Apache-2.0
// Reads the configuration from the database, and keeps what it has read, so that a change costs what depends on it. A
// reading is of the root, of a Bridge row with its mirrors, or of a Port row with its interfaces and QoS; each notes
// what it has looked at (dependencies.h). The first read() and all others do the same: read what is stale, which at
// first is everything, and decide the claims that have changed (claims.h).
//
// Owner: the Reconciler. Threads: control. Reading changes nothing and cannot fail. The database must outlive it.
#pragma once

#include <cstddef>
#include <map>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "ovsdb/database.h"
#include "vswitchd/bridge_reading.h"
#include "vswitchd/claims.h"
#include "vswitchd/dependencies.h"
#include "vswitchd/desired.h"

namespace heddle::vswitchd {

class Reader {
 public:
  // `current`: of two claims on the same thing, the one that is in force keeps it.
  Reader(const ovsdb::Database& db, DatapathOffer offer, CurrentPort current);
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

  // Makes desired() what the database asks for now, given that these facts, and no others, have changed since the last
  // time. Returns what of desired() may be different.
  Difference read(const Facts& changed);
  // The next read() starts from nothing.
  void forget() { forgotten_ = true; }
  [[nodiscard]] const Desired& desired() const { return desired_; }
  // Readings so far: Bridge and Port rows, each as often as it was read.
  [[nodiscard]] std::size_t readings() const { return readings_; }

 private:
  // What is kept of a port's reading; the claims themselves are in claims_.
  struct PortKept {
    std::vector<std::string> interfaces;
    std::set<std::string> warnings;
  };

  void start_anew();
  void touch(const Fact& fact) { dependencies_.add_readers(fact, stale_); }
  void read_one(const ReadingId& id);
  void read_sample_sets(const ReadingId& id);
  void read_root(const ReadingId& id);
  void read_bridge_row(const ReadingId& id);
  void read_port_row(const ReadingId& id);
  void adopt_bridge(const ReadingId& id, BridgeReading&& next);
  void change_members(const ovsdb::Uuid& bridge, const ovsdb::Datum& before, const ovsdb::Datum& after);
  void forget_bridge(const ovsdb::Uuid& bridge);
  void forget_port(const ReadingId& id);
  void change_warnings(const std::set<std::string>& before, const std::set<std::string>& after);
  // By row; an empty text is none.
  static void note(std::unordered_map<ovsdb::Uuid, std::string>& texts, const ovsdb::Uuid& row,
                   const std::string& text);

  const ovsdb::Database& db_;
  DatapathOffer offer_;
  Desired desired_;
  Claims claims_;
  Dependencies dependencies_;
  std::set<ReadingId> stale_;
  Difference difference_;  // of the read() that is going on
  std::set<ovsdb::Uuid> roots_;
  std::set<ovsdb::Uuid> bridges_of_roots_;
  std::unordered_map<ovsdb::Uuid, BridgeReading> bridges_;  // by Bridge row
  std::map<ReadingId, PortKept> ports_;
  std::map<ReadingId::Kind, std::set<std::string>> warnings_;  // of the root and of the sample sets
  std::size_t readings_ = 0;
  bool forgotten_ = true;
};

}  // namespace heddle::vswitchd
