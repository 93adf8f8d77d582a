// SPDX-License-Identifier: Apache-2.0
// What differs between what is wanted (desired.h) and what the switches hold, and so has to be done: a pure function of
// the two. Carrying it out is another's work (applier.h).
//
// Threads: any; nothing is kept. Nothing fails. Bridges are always compared all, which are few; ports are those asked
// for.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "ofproto-lite/switch.h"
#include "vswitchd/desired.h"

namespace heddle::vswitchd {

// What a plan has to know of a switch.
class SwitchView {
 public:
  virtual ~SwitchView() = default;
  [[nodiscard]] virtual std::vector<std::string> ports() const = 0;
  [[nodiscard]] virtual std::vector<std::string> bridges() const = 0;
  // Null when there is no such port or bridge.
  [[nodiscard]] virtual const ofproto::SwitchPort* port(const std::string& name) const = 0;
  [[nodiscard]] virtual const ofproto::BridgeConfig* bridge(const std::string& name) const = 0;
};
using SwitchViews = std::map<std::string, std::unique_ptr<const SwitchView>>;  // by canonical datapath type

// The switch must outlive the view.
std::unique_ptr<const SwitchView> view_of(const ofproto::Switch& sw);

// The number that an interface had when it was last in a switch: kept across a restart when it is still free.
using FormerNumber = std::function<std::optional<ofproto::OfPort>(const ovsdb::Uuid& interface)>;

struct Plan {
  struct Item {
    std::string datapath;
    std::string name;
    bool operator==(const Item&) const = default;
  };
  struct Port {
    DesiredPortRef want;
    std::optional<ofproto::OfPort> former_number;
  };
  bool all = false;  // of all ports
  // In the order in which they are carried out: all of the old goes before any of the new comes, because a device or
  // tunnel may move from one switch to another.
  std::vector<Item> stale_ports;
  std::vector<Item> stale_bridges;
  std::vector<Item> bridges;  // that are new, or have other settings
  std::vector<Port> ports;
  // Every name that the plan is about, with what is known to be wrong before anything is done; empty: nothing.
  std::map<std::string, std::string> errors;
};

// Of all ports when `names` is null, else of these.
Plan make_plan(const Desired& want, const SwitchViews& now, const FormerNumber& former,
               const std::set<std::string>* names);

}  // namespace heddle::vswitchd
