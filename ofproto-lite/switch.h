// SPDX-License-Identifier: Apache-2.0
// A switch: the bridges over one datapath. It keeps names of bridges and ports unique, finds a port by its name or by
// its number in the datapath, and leaves everything within a bridge to its Bridge.
//
// Threads: control only. FDB work runs on the handler thread, so a function here may wait for one batch of handler
// work. Datapath and Handler must outlive the Switch.
//
// Failures leave everything as it was before the call, and the text names the object.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "datapath/datapath.h"
#include "ofproto-lite/bridge.h"
#include "ofproto-lite/handler.h"
#include "ofproto-lite/switch_port.h"

namespace heddle::ofproto {

class Switch {
 public:
  Switch(dp::Datapath& datapath, Handler& handler);
  Switch(const Switch&) = delete;
  Switch& operator=(const Switch&) = delete;

  // --- bridges ---
  Result<> add_bridge(const std::string& name, const BridgeConfig& config);
  Result<> set_bridge(const std::string& name, const BridgeConfig& config);
  // Removes its ports first.
  void remove_bridge(const std::string& name);
  [[nodiscard]] std::vector<std::string> bridges() const;
  [[nodiscard]] bool has_bridge(const std::string& name) const { return bridges_.contains(name); }
  // Null when there is no such bridge.
  [[nodiscard]] const BridgeConfig* bridge(const std::string& name) const;
  // Errc::not_found. The pointer is good while the bridge is there.
  [[nodiscard]] Result<Bridge*> find_bridge(const std::string& name);
  // Nothing when the bridge has no such mirror.
  [[nodiscard]] std::optional<dp::MirrorCounters> mirror_counters(const std::string& bridge,
                                                                  const std::string& mirror) const;

  // --- ports; Bridge says more ---
  Result<> add_port(const std::string& bridge, const PortConfig& config);
  Result<> set_port(const PortConfig& config);
  Result<> remove_port(const std::string& name);
  [[nodiscard]] std::vector<std::string> ports() const;
  // Null when there is no such port.
  [[nodiscard]] const SwitchPort* port(const std::string& name) const;
  [[nodiscard]] const std::string* port_name(dp::PortNo number) const;
  // To be called when the port's device came, went or changed.
  void refresh(dp::PortNo number);

  // --- the datapath's ports ---
  // For a dp::Ports::Batch around many calls in a row, and for the kinds of port that there are.
  [[nodiscard]] dp::Ports& datapath_ports() { return provider_.ports; }
  [[nodiscard]] dp::PortState state(const SwitchPort& port) const { return provider_.ports.state(port.number); }
  [[nodiscard]] dp::PortCounters counters(const SwitchPort& port) const {
    return provider_.ports.counters(port.number);
  }
  [[nodiscard]] std::map<std::uint32_t, dp::QueueCounters> queue_counters(const SwitchPort& port) const {
    return provider_.ports.queue_counters(port.number);
  }
  [[nodiscard]] std::vector<dp::UnderlayCounters> underlay_counters() const {
    return provider_.ports.underlay_counters();
  }

 private:
  Provider provider_;
  std::map<std::string, std::unique_ptr<Bridge>> bridges_;
  std::map<std::string, const SwitchPort*> ports_;  // of all bridges
  std::map<dp::PortNo, const SwitchPort*> numbers_;
};

}  // namespace heddle::ofproto
