// SPDX-License-Identifier: Apache-2.0
// Brings the switches to what the database asks for, and the database's status columns to what the switches have.
//
// Owner: main. Threads: control only. The database and the switches must outlive it.
//
// run() reads what has changed (reader.h), plans what differs from the switches (plan.h), carries that out, deleting
// before it adds (applier.h), and writes the outcome back (status_writer.h): idempotent, so it may be called at any
// time. A row that is wrong gets its `error` set, with the remedy; a port that works already keeps its former settings
// meanwhile; everything else goes on.
//
// The first run() reads all rows. After that, a run reads the rows that have changed and those that depend on them, and
// looks at their ports, at ports with news of their devices and at those that failed: its cost is that of the change.
//
// With thousands of ports that takes seconds. begin() and step() do the same in pieces, between which the database may
// be asked and changed, and all that is public here may be called. What counts is the configuration as it was at
// begin(): also for cur_cfg, so that a change that came later is not said to be applied.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "ofproto-lite/switch.h"
#include "ovsdb/database.h"
#include "vswitchd/applier.h"
#include "vswitchd/desired.h"
#include "vswitchd/plan.h"
#include "vswitchd/reader.h"
#include "vswitchd/status_writer.h"
#include "vswitchd/warning_log.h"

namespace heddle::vswitchd {

// Inserts the Open_vSwitch row when there is none: clients may expect it.
void insert_root(ovsdb::Database& db, ovsdb::Origin origin = nullptr);

class Reconciler {
 public:
  // `switches`: by canonical datapath type. `offer`: its `types` are taken from `switches`.
  Reconciler(ovsdb::Database& db, const Switches& switches, DeviceSetter set_device, DatapathOffer offer = {});
  ~Reconciler();
  Reconciler(const Reconciler&) = delete;
  Reconciler& operator=(const Reconciler&) = delete;

  // Database -> switches -> status, once. Inserts the Open_vSwitch row when there is none.
  void run();
  // The same in pieces: begin(), and then step() until it returns true. step() ends when all is done, or when `enough`,
  // which is called after each port, returns true. A begin() before the end begins anew.
  void begin();
  bool step(const std::function<bool()>& enough);
  // Devices, routes or neighbours changed: has the datapath take note, and writes the status of what became different.
  // Between begin() and the end, the latter waits for the end.
  void run_control(const std::string& type, dp::Datapath& datapath);
  // The overlay's part in ports, and who is to be told when a run has ended. Before the first run.
  void set_overlay(OverlayParts parts, std::function<void(const Desired&)> applied);
  // Has the next run look again at these ports.
  void look_again(const std::set<std::string>& names) { applier_.set_again(names); }
  // Has the next run look again at every port that could not be had, or not as it was asked for: most causes end
  // without news (a foreign device, socket or queueing discipline goes). False: there is none.
  bool look_at_failed();
  // Writes counters, and whatever else of the status differs. Nothing between begin() and the end.
  void refresh_statistics();
  // `wanted` is called after every commit that did not come from here and touches configuration. It should see to it
  // that run() is called soon, not call it at once: several commits may be served by one run. Until watch() is called,
  // every run reads all rows.
  void watch(std::function<void()> wanted);
  // True while a client waits for cur_cfg to reach next_cfg.
  [[nodiscard]] bool awaited() const;
  // The time between two refresh_statistics(), as other_config:stats-update-interval asks.
  [[nodiscard]] std::chrono::milliseconds statistics_interval() const;
  // Bridge and Port rows that were read so far, each as often as it was read.
  [[nodiscard]] std::size_t readings() const { return reader_.readings(); }

 private:
  [[nodiscard]] const ofproto::SwitchPort* current(const std::string& name) const;
  [[nodiscard]] std::optional<ofproto::OfPort> former_number(const ovsdb::Uuid& interface) const;
  void finish();

  ovsdb::Database& db_;
  Switches switches_;
  SwitchViews views_;
  Reader reader_;
  Applier applier_;
  StatusWriter status_;
  WarningLog warnings_;
  Facts touched_;                                         // by others, since the last begin()
  Difference pending_;                                    // what the present run is about
  std::map<ovsdb::Uuid, std::int64_t> asked_;             // by Open_vSwitch row: next_cfg at begin()
  std::vector<std::pair<std::string, dp::PortNo>> news_;  // ports of a datapath type with news since begin()
  std::optional<ovsdb::Database::ObserverId> observer_;   // of watch()
  std::function<void(const Desired&)> applied_ = [](const Desired&) {};
  bool running_ = false;
};

}  // namespace heddle::vswitchd
