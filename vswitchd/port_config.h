// SPDX-License-Identifier: Apache-2.0
// A Port row and its Interface row turned into what the switch takes: kind of port (of those that the bridge's datapath
// offers), VLAN rules, tunnel, MAC and MTU. Threads: any; nothing is kept. Fails with a text for the Interface's
// `error` column; what merely has no effect is the concern of without_effect.h.
#pragma once

#include <optional>
#include <string>

#include "ofproto-lite/switch.h"
#include "ovsdb/database.h"
#include "vswitchd/tunnel_options.h"

namespace heddle::vswitchd {

// Of a port's bridge, all that the port's reading may use.
struct BridgeOfPort {
  ovsdb::Uuid row;
  std::string name;
  std::string datapath;                // canonical type
  dp::KindSet kinds;                   // that the datapath offers
  std::string error;                   // of the bridge, and so of all its ports; empty: none
  std::optional<std::string> address;  // other_config:hwaddr, for the bridge's own port
};

Result<ofproto::PortConfig> read_port_config(const BridgeOfPort& bridge, const ovsdb::Row& port,
                                             const ovsdb::Row& interface);

// The rules of the Port columns vlan_mode, tag and trunks: without a mode, a tag makes an access port and no tag a
// trunk.
Result<dp::PortPolicy> read_vlan_policy(const ovsdb::Row& port);

// A locally administered address that stays the same as long as the row lives.
MacAddr mac_from_uuid(const ovsdb::Uuid& uuid);

}  // namespace heddle::vswitchd
