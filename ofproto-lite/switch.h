// SPDX-License-Identifier: Apache-2.0
// A switch: bridges and ports by name over one datapath, which numbers them. It hands out OpenFlow numbers, keeps the
// handler's FDB in step with ports that come and go, and gives names to what the FDB knows by number.
//
// Threads: control only. What concerns the FDB runs on the handler thread through Handler::call(), so a function here
// may wait for one batch of handler work. Datapath and Handler must outlive the Switch.
//
// Failures leave everything as it was before the call, and the text names the object.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/limits.h"
#include "base/result.h"
#include "datapath/datapath.h"
#include "ofproto-lite/fdb.h"
#include "ofproto-lite/handler.h"
#include "ofproto-lite/of_port_numbers.h"

namespace heddle::ofproto {

// A mirror (dp::MirrorSpec) with its ports by name. Ports that are not in the bridge (yet) are passed over.
struct MirrorConfig {
  std::string name;  // unique in the bridge
  bool all = false;
  std::set<std::string> from, to;
  dp::VlanSet vlans;
  std::string output;  // empty: output_vlan
  std::optional<dp::VlanId> output_vlan;
  bool operator==(const MirrorConfig&) const = default;
};

struct BridgeConfig {
  std::chrono::seconds aging{limits::kAgingDefault};
  std::size_t fdb_capacity = limits::kFdbDefault;
  bool secure = false;                  // see dp::BridgePolicy, and the next
  dp::VlanSet flood_vlans{};            //
  std::vector<MirrorConfig> mirrors{};  // at most limits::kMirrors
  bool operator==(const BridgeConfig&) const = default;
};

// spec.name is the port's name; policy.bridge is filled in by the Switch.
struct PortConfig : dp::PortConfig {
  std::optional<OfPort> ofport_request;
  bool operator==(const PortConfig&) const = default;
};

struct SwitchPort {
  std::string bridge;
  PortConfig config;
  dp::PortNo number = dp::PortNo::none;
  OfPort ofport = 0;
};

// A line of fdb-show.
struct FdbLine {
  std::string port;
  FdbRow row;
};

class Switch {
 public:
  Switch(dp::Datapath& datapath, Handler& handler);
  ~Switch();
  Switch(const Switch&) = delete;
  Switch& operator=(const Switch&) = delete;

  Result<> add_bridge(const std::string& name, const BridgeConfig& config);
  Result<> set_bridge(const std::string& name, const BridgeConfig& config);
  // Removes its ports first.
  void remove_bridge(const std::string& name);

  // For a dp::Ports::Batch around many calls in a row, and for the kinds of port that there are.
  [[nodiscard]] dp::Ports& datapath_ports() { return ports_facet_; }

  // The internal port that bears the bridge's name gets the OpenFlow number LOCAL.
  Result<> add_port(const std::string& bridge, const PortConfig& config);
  // Everything but the kind, the name, the peer and the tunnel changes in place (dp::may_become()); MAC and MTU of a
  // device are noted, and set by the caller.
  Result<> set_port(const PortConfig& config);
  Result<> remove_port(const std::string& name);

  [[nodiscard]] const SwitchPort* port(const std::string& name) const;
  [[nodiscard]] const std::string* port_name(dp::PortNo number) const;
  [[nodiscard]] bool has_bridge(const std::string& name) const { return bridges_.contains(name); }
  [[nodiscard]] const BridgeConfig* bridge(const std::string& name) const;
  [[nodiscard]] std::vector<std::string> bridges() const;
  [[nodiscard]] std::vector<std::string> ports() const;
  [[nodiscard]] dp::PortState state(const SwitchPort& port) const { return ports_facet_.state(port.number); }
  [[nodiscard]] dp::PortCounters counters(const SwitchPort& port) const { return ports_facet_.counters(port.number); }
  [[nodiscard]] std::map<std::uint32_t, dp::QueueCounters> queue_counters(const SwitchPort& port) const {
    return ports_facet_.queue_counters(port.number);
  }
  // Nothing when the bridge has no such mirror.
  [[nodiscard]] std::optional<dp::MirrorCounters> mirror_counters(const std::string& bridge,
                                                                  const std::string& mirror) const;
  [[nodiscard]] std::vector<dp::UnderlayCounters> underlay_counters() const { return ports_facet_.underlay_counters(); }

  // A device came, went or changed: what was learned on one that is gone is forgotten, and the bridge's own address
  // followed.
  void refresh(dp::PortNo number);

  // Sorted by VLAN, then MAC.
  Result<std::vector<FdbLine>> fdb_lines(const std::string& bridge) const;
  Result<FdbStats> fdb_stats(const std::string& bridge) const;
  // Learned entries of one bridge, or of all when `bridge` is empty; returns how many went.
  Result<std::size_t> fdb_flush(const std::string& bridge);
  Result<> fdb_add(const std::string& bridge, const std::string& port, dp::VlanId vlan, MacAddr mac);
  Result<> fdb_remove(const std::string& bridge, dp::VlanId vlan, MacAddr mac);

 private:
  struct Bridge {
    dp::BridgeId id = dp::BridgeId::none;
    BridgeConfig config;
    MacAddr mac;  // of its internal port; zero when there is none
    OfPortNumbers numbers;
    dp::BridgePolicy policy;                  // as the datapath has it
    std::map<std::string, unsigned> slots{};  // of mirrors, by name: a mirror that stays keeps its counters
  };

  Result<Bridge*> find(const std::string& name);
  Result<const Bridge*> find(const std::string& name) const;
  Result<> push_bridge(const std::string& name, const Bridge& bridge);
  Result<> push_policy(const std::string& name, Bridge& bridge);
  dp::BridgePolicy resolve(const std::string& name, Bridge& bridge) const;
  void assign_slots(Bridge& bridge) const;
  void forget_stations(dp::BridgeId bridge, const dp::BridgePolicy& old, const dp::BridgePolicy& now);
  void drop_port(const std::string& name);
  void forget_bridge(const std::string& name);
  [[nodiscard]] std::string known_bridges() const;

  dp::Ports& ports_facet_;
  dp::Bridges& bridges_facet_;
  Handler& handler_;
  std::map<std::string, Bridge> bridges_;
  std::map<std::string, SwitchPort> ports_;
  std::map<dp::PortNo, std::string> names_;
};

}  // namespace heddle::ofproto
