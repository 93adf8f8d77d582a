// SPDX-License-Identifier: Apache-2.0
// One bridge's part of the forwarding database, for the control thread, with ports by name. Every function does its
// work on the handler thread through Handler::call(), so it may wait for one batch of handler work.
//
// Owner: the Bridge, whose ports it reads. Control thread. Errors name the object and, where there is one, the remedy.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "datapath/bridge.h"
#include "ofproto-lite/fdb.h"
#include "ofproto-lite/handler.h"
#include "ofproto-lite/switch_port.h"

namespace heddle::ofproto {

// A line of fdb-show.
struct FdbLine {
  std::string port;
  FdbRow row;
};

class BridgeFdb {
 public:
  // `handler` and `ports` must outlive the object.
  BridgeFdb(Handler& handler, std::string bridge, dp::BridgeId id, const PortsByName& ports);

  // --- for an operator ---
  // Sorted by VLAN, then MAC.
  [[nodiscard]] std::vector<FdbLine> lines() const;
  [[nodiscard]] FdbStats stats() const;
  // Removes learned entries; returns how many went.
  std::size_t flush();
  // Adds a configured entry. `remote`: the VTEP behind which the station is; for a multipoint tunnel, and for no other
  // port. Errc::exists when the station has a configured entry with another target.
  Result<> add(const std::string& port, dp::VlanId vlan, MacAddr mac, const std::optional<IpAddr>& remote);
  // Removes a configured or a learned entry. Entries of other origins are for those to withdraw.
  Result<> remove(dp::VlanId vlan, MacAddr mac);

  // --- for the Bridge ---
  Result<> configure(FdbConfig config);
  Result<> add_port(const SwitchPort& port);
  // Removes the port's entries of every origin.
  void remove_port(dp::PortNo port);
  // Removes the entries learned on the port.
  void forget(dp::PortNo port);
  // Removes learned entries that the new policy contradicts: on ports that became a mirror's output, and in VLANs that
  // are flooded now.
  void forget(const dp::BridgePolicy& old, const dp::BridgePolicy& now);
  // Ends learning for the bridge and removes all its entries.
  void close();

 private:
  [[nodiscard]] std::string place_of(const dp::FdbTarget& target) const;

  Handler& handler_;
  const std::string bridge_;
  const dp::BridgeId id_;
  const PortsByName& ports_;
};

}  // namespace heddle::ofproto
