// SPDX-License-Identifier: Apache-2.0
// Brings the switches to what the database asks for, and the database's status columns to what the switches have.
//
// Owner: main. Threads: control only. The database and the switches must outlive it.
//
// run() reads the whole configuration, compares it with what the switches hold, deletes before it adds, and writes the
// outcome back: idempotent, so it may be called at any time. A row that is wrong gets its `error` set, with the remedy;
// a port that works already keeps its former settings meanwhile; everything else goes on.
//
// The first run() reads all rows. After that, a run that follows changes of ports alone reads those ports, and looks at
// them, at ports with news of their devices and at those that failed: its cost is that of the change (touched.h says
// what is more than a port).
//
// With thousands of ports that takes seconds. begin() and step() do the same in pieces, between which the database may
// be asked and changed, and all that is public here may be called. What counts is the configuration as it was at
// begin(): also for cur_cfg, so that a change that came later is not said to be applied.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>

#include "ofproto-lite/switch.h"
#include "ovsdb/database.h"
#include "vswitchd/desired.h"
#include "vswitchd/touched.h"

namespace heddle::vswitchd {

// Inserts the Open_vSwitch row when there is none: clients may expect it.
void insert_root(ovsdb::Database& db);

// Changes address or MTU of a live device. Recreating it instead would lose its IP addresses.
using DeviceSetter = std::function<Result<>(int ifindex, std::optional<MacAddr> mac, std::optional<unsigned> mtu)>;

// class-size: reads, plans, applies and writes status; these are to be classes of their own
class Reconciler {
 public:
  // `switches`: by canonical datapath type. `offer`: its `types` are taken from `switches`.
  Reconciler(ovsdb::Database& db, std::map<std::string, ofproto::Switch*> switches, DeviceSetter set_device,
             DatapathOffer offer = {});
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
  // Writes counters, and whatever else of the status differs. Nothing between begin() and the end.
  void refresh_statistics();
  // `wanted` is called after every commit that did not come from here and touches configuration. It should see to it
  // that run() is called soon, not call it at once: several commits may be served by one run.
  void watch(std::function<void()> wanted);
  // Whether somebody asked to be told (cur_cfg) when what is in the database now has been applied.
  [[nodiscard]] bool awaited() const;
  // The time between two refresh_statistics(), as other_config:stats-update-interval asks.
  [[nodiscard]] std::chrono::milliseconds statistics_interval() const;

 private:
  // A port that has to go.
  struct Stale {
    ofproto::Switch* sw;
    std::string name;
  };
  void plan_all();
  void plan(const Reread& reread);
  [[nodiscard]] std::string broken_text(const BrokenPort& broken) const;
  void find_stale(const std::string& name);
  void sort_todo();
  void remove_port(const Stale& port);
  bool change_ports(const std::function<bool()>& enough);
  void change_bridges();
  void finish();
  void remove_bridges(const Desired& want, const std::string& type, ofproto::Switch& sw);
  [[nodiscard]] bool bridge_may_stay(const Desired& want, const std::string& type, const std::string& name) const;
  [[nodiscard]] bool may_stay(const Desired& want, const std::string& type, const ofproto::SwitchPort& port) const;
  [[nodiscard]] bool keeps_working(const Desired& want, const BrokenPort& broken) const;
  void apply_bridges(const Desired& want, const std::string& type, ofproto::Switch& sw);
  void apply_port(const DesiredPort& want, ofproto::Switch& sw);
  Result<> settle_device(const ofproto::SwitchPort& port, ofproto::Switch& sw);
  void settle_again(dp::PortNo number, ofproto::Switch& sw);
  static std::optional<dp::QosSpec> effective_qos(const DesiredPort& want, const dp::PortState& state);
  [[nodiscard]] const ofproto::SwitchPort* current(const std::string& name) const;
  void log_warnings();
  void log_warnings(const Reread& reread);

  // Status: reconcile_status.cc. What is to be written, besides.
  struct Scope {
    bool statistics;  // counters; if not, only those of ports that have none yet
    bool done;        // next_cfg is applied
  };
  using Updates = std::vector<ovsdb::RowUpdate>;
  void write_all();
  void write_statistics();
  void write_some(const std::set<std::string>& names, const std::set<ovsdb::Uuid>& rows, Scope scope);
  void report_broken(const ovsdb::Uuid& row, const BrokenPort& broken, Scope scope, Updates& updates);
  void report_interface(const ovsdb::Uuid& row, const std::string& name, const std::string& bridge, Scope scope,
                        Updates& updates);
  void report_bridge(const std::string& name, const DesiredBridge& bridge, Updates& updates) const;
  void report_root(Updates& updates) const;
  void report_applied(Updates& updates) const;
  [[nodiscard]] std::string error_of(const ovsdb::Uuid& row) const;
  [[nodiscard]] ovsdb::Datum with_idle(const ovsdb::Uuid& row, const ovsdb::Datum& status) const;
  void report_idle_ports(Updates& updates);
  void report_mirrors(const DesiredBridge& bridge, const std::string& name, Updates& updates) const;
  void write(const Updates& updates);

  ovsdb::Database& db_;
  std::map<std::string, ofproto::Switch*> switches_;
  DeviceSetter set_device_;
  DatapathOffer offer_;
  Desired want_;
  std::map<ovsdb::Uuid, std::string> errors_;         // of Interface rows, from the last run()
  std::map<std::string, std::string> bridge_errors_;  // by bridge, from the last run()
  std::map<std::string, int> settled_;                // port: ifindex of the device that settle_device() saw
  Touched touched_;                                   // since the last begin()
  std::set<std::string> unsettled_;  // ports to look at again in the next run: they failed, or there was news of them
  // Of the run that is going on, in this order; by index, what is done.
  std::vector<Stale> stale_;
  std::vector<const DesiredPort*> todo_;  // in want_
  std::size_t removed_ = 0, applied_ = 0;
  bool running_ = false;
  bool bridges_done_ = false;
  std::optional<Reread> part_;                               // not a run over everything, but over these
  std::map<ovsdb::Uuid, std::int64_t> asked_;                // by Open_vSwitch row: next_cfg at begin()
  std::vector<std::pair<std::string, dp::PortNo>> changed_;  // ports of a datapath type with news since begin()
  std::set<std::string> warned_;
  // Interface rows whose counters move: not of ports that have no device, or are in no switch. What changes of those
  // comes with a run or with news.
  struct Live {
    std::string name, bridge;
  };
  std::unordered_map<ovsdb::Uuid, Live> live_;
  std::set<ovsdb::Uuid> idle_ports_;  // Port rows whose status says that columns have no effect
  ovsdb::Database::ObserverId observer_ = 0;
  bool watching_ = false;
  bool writing_ = false;  // the next commit is ours
};

}  // namespace heddle::vswitchd
