// SPDX-License-Identifier: Apache-2.0
// One bridge: its settings, its ports by name with their OpenFlow numbers, its mirrors, and its part of the FDB. It
// writes them to the datapath and keeps the handler's FDB in step with ports that come and go.
//
// Owner: the Switch. Control thread. FDB work runs on the handler thread, so a function here may wait for one batch of
// handler work. The destructor leaves the datapath as it is: forwarding may outlive the daemon; close() removes.
//
// Failures leave everything as it was before the call, and the text names the object.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/limits.h"
#include "base/result.h"
#include "datapath/datapath.h"
#include "ofproto-lite/bridge_fdb.h"
#include "ofproto-lite/handler.h"
#include "ofproto-lite/mirrors.h"
#include "ofproto-lite/of_port_numbers.h"
#include "ofproto-lite/switch_port.h"

namespace heddle::ofproto {

struct BridgeConfig {
  std::chrono::seconds aging{limits::kAgingDefault};
  std::size_t fdb_capacity = limits::kFdbDefault;
  bool secure = false;                  // as in dp::BridgePolicy
  dp::VlanSet flood_vlans{};            // as in dp::BridgePolicy
  bool flood_unknown = true;            // as in dp::BridgePolicy
  std::vector<MirrorConfig> mirrors{};  // at most limits::kMirrors
  bool operator==(const BridgeConfig&) const = default;
};

// The datapath's control side and the handler, on which all bridges of a switch stand.
struct Provider {
  dp::Ports& ports;
  dp::Bridges& bridges;
  Handler& handler;
};

class Bridge {
 public:
  // A bridge without ports, known to the datapath and to the handler. Everything in `provider` must outlive it.
  static Result<std::unique_ptr<Bridge>> make(const Provider& provider, const std::string& name,
                                              const BridgeConfig& config);
  Bridge(const Bridge&) = delete;
  Bridge& operator=(const Bridge&) = delete;
  // Removes the ports, then the bridge. Only the destructor may follow.
  void close();

  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] const BridgeConfig& config() const { return config_; }
  Result<> set(const BridgeConfig& config);

  // The internal port that bears the bridge's name gets the OpenFlow number LOCAL. The pointer is good while the port
  // is there. The Switch has made sure that no other bridge has a port of the name.
  Result<const SwitchPort*> add_port(const PortConfig& config);
  // Everything but the kind, the name, the peer and the tunnel changes in place (dp::may_become()); MAC and MTU of a
  // device are noted, and set by the caller.
  Result<> set_port(const PortConfig& config);
  Result<> remove_port(const std::string& name);
  [[nodiscard]] const PortsByName& ports() const { return ports_; }
  // Null when the bridge has no such port.
  [[nodiscard]] const SwitchPort* port(const std::string& name) const;
  // To be called when the port's device came, went or changed: entries learned on a device that is gone are removed,
  // and the bridge's own address follows its internal port.
  void refresh(const SwitchPort& port);

  // Nothing when the bridge has no such mirror.
  [[nodiscard]] std::optional<dp::MirrorCounters> mirror_counters(const std::string& mirror) const;
  [[nodiscard]] BridgeFdb& fdb() { return fdb_; }

 private:
  Bridge(const Provider& provider, const std::string& name, dp::BridgeId id, const BridgeConfig& config);

  [[nodiscard]] bool is_local(const PortConfig& config) const;
  Result<> push_settings();
  Result<> push_policy();
  Result<> write_policy(dp::BridgePolicy policy);
  dp::BridgePolicy resolve_policy();
  void drop_port(PortsByName::iterator it);
  void renumber(SwitchPort& port, const PortConfig& old);

  Provider provider_;
  std::string name_;
  dp::BridgeId id_;
  BridgeConfig config_;
  MacAddr mac_;  // of its internal port; zero when there is none
  PortsByName ports_;
  OfPortNumbers numbers_;
  Mirrors mirrors_;
  dp::BridgePolicy policy_;  // as the datapath has it
  BridgeFdb fdb_;
};

}  // namespace heddle::ofproto
