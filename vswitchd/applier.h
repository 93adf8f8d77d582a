// SPDX-License-Identifier: Apache-2.0
// Carries out a plan (plan.h) in steps, and keeps what came of it: the error of each interface, the bridges that could
// not be had, and the ports to be looked at again.
//
// Owner: the Reconciler. Threads: control. The switches and what is wanted must outlive it. What fails is in error_of()
// and is tried again with the next plan, if that is made of again() as well; everything else goes on.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "ofproto-lite/switch.h"
#include "vswitchd/desired.h"
#include "vswitchd/plan.h"

namespace heddle::vswitchd {

// Changes address or MTU of a live device. Recreating it instead would lose its IP addresses.
using DeviceSetter = std::function<Result<>(int ifindex, std::optional<MacAddr> mac, std::optional<unsigned> mtu)>;
using Switches = std::map<std::string, ofproto::Switch*>;  // by canonical datapath type

class Applier {
 public:
  Applier(const Desired& want, Switches switches, DeviceSetter set_device);
  // What is to be added to ports; before the first plan.
  void set_overlay(OverlayParts overlay) { overlay_ = std::move(overlay); }

  // Takes the plan up, in the place of one that is not finished.
  void begin(Plan plan);
  // Goes on until all is done (true), or until `enough`, which is called after each port, returns true.
  bool step(const std::function<bool()>& enough);
  // There was news of the port's device. One that has come in the place of another wants the same settings; its driver
  // may refuse what the other took.
  void look_at(const std::string& name, ofproto::Switch& sw);

  // What is wrong with the interface of this name; empty: nothing.
  [[nodiscard]] std::string error_of(const std::string& name) const;
  // Ports that could not be had, or not as they were asked for, by the last try.
  [[nodiscard]] const std::set<std::string>& failed() const { return failed_; }
  // Ports that failed, or of which there was news, since take_again().
  [[nodiscard]] const std::set<std::string>& again() const { return again_; }
  [[nodiscard]] std::set<std::string> take_again() { return std::exchange(again_, {}); }
  void set_again(const std::set<std::string>& names) { again_.insert(names.begin(), names.end()); }

 private:
  void remove_port(const Plan::Item& port);
  void change_bridges();
  void remove_bridge(const Plan::Item& bridge);
  void apply_bridge(const Plan::Item& bridge);
  void add_ports_of_failed_bridges();
  void apply_port(const Plan::Port& port, ofproto::Switch& sw);
  Result<> change_port(const DesiredPort& want, const ofproto::SwitchPort& now, ofproto::Switch& sw);
  Result<> add_port(const Plan::Port& port, ofproto::Switch& sw);
  [[nodiscard]] ofproto::PortConfig whole_config(const DesiredPort& want) const;
  Result<> adjust_device(const DesiredPort& want, const ofproto::SwitchPort& port, ofproto::Switch& sw);
  void start_anew(const std::string& name, const std::string& error);
  void note(const std::string& name, const Result<>& done);

  const Desired& want_;
  Switches switches_;
  DeviceSetter set_device_;
  OverlayParts overlay_ = [](const DesiredPort&) { return OverlayPart{}; };
  std::map<std::string, std::string> errors_;         // by interface
  std::map<std::string, std::string> bridge_errors_;  // by bridge, as the last plan left them
  std::map<std::string, int> adjusted_;               // by port: ifindex of the device that adjust_device() saw
  std::set<std::string> again_;
  std::set<std::string> failed_;
  Plan plan_;
  std::size_t removed_ = 0, applied_ = 0;  // ports of the plan that are done
  bool bridges_done_ = false;
};

}  // namespace heddle::vswitchd
