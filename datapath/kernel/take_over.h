// SPDX-License-Identifier: Apache-2.0
// What a former life of the daemon left in the maps, by name: the numbers of its ports and bridges, until somebody asks
// for them again or the take-over ends.
//
// Owner: the kernel datapath. Control thread.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "datapath/kernel/programs.h"
#include "datapath/port.h"

namespace heddle::dp {

class TakeOver {
 public:
  struct Port {
    PortNo no = PortNo::none;
    PortKind kind = PortKind::netdev;
    int ifindex = 0;  // of the device whose ingress has the program
    bool made_clsact = false;
  };

  // Reads `names`; empty when the maps are new.
  explicit TakeOver(const Programs& programs);

  // True from a start with a former life's maps until end(). Meanwhile ports and bridges that nobody asked for yet
  // forward as they did, and so do the flood sets.
  [[nodiscard]] bool going_on() const { return going_on_; }
  [[nodiscard]] bool ended() const { return ended_; }
  void end() { going_on_ = false, ended_ = true; }

  // The port of that name and kind; nothing when there was none.
  [[nodiscard]] std::optional<Port> port(const std::string& name, PortKind kind) const;
  [[nodiscard]] bool reserves(PortNo no) const;
  // The name is asked for, or its port cannot be had: it is not left over any more.
  void claim_port(const std::string& name) { ports_.erase(name); }
  [[nodiscard]] const std::map<std::string, Port>& ports() const { return ports_; }

  [[nodiscard]] std::optional<BridgeId> bridge(const std::string& name) const;
  void claim_bridge(const std::string& name) { bridges_.erase(name); }
  [[nodiscard]] const std::map<std::string, BridgeId>& bridges() const { return bridges_; }

  // Whether a former life made the clsact qdisc of a device, whichever port's name the device had then.
  [[nodiscard]] bool made_clsact(int ifindex) const;

 private:
  bool going_on_ = false;
  bool ended_ = false;
  std::map<std::string, Port> ports_;
  std::map<std::string, BridgeId> bridges_;
};

}  // namespace heddle::dp
