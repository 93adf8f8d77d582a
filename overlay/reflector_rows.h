// SPDX-License-Identifier: Apache-2.0
// Rows of database "Overlay" (overlay.ovsschema) as values, and the operations that write them. Pure; any thread.
//
// A Vtep row is a host that takes part, a Member row its place in a network's flood list, a Mac row a station behind
// it. A VTEP writes rows with its own name alone. A station has one row in a network; a claim takes it over in one
// transaction, so that the database's order decides between hosts that claim at once.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/addr.h"
#include "overlay/vtep_set.h"
#include "ovsdb/json.h"

namespace heddle::overlay {

using ovsdb::Json;

struct MemberRow {
  Vni vni = 0;
  std::string vtep;
  IpAddr ip;
  bool flood = true;  // frames for everybody are to be sent there
  bool operator==(const MemberRow&) const = default;
};

struct MacRow {
  Vni vni = 0;
  MacAddr mac;
  std::string vtep;
  IpAddr ip;
  bool fixed = false;  // may not be claimed
  bool operator==(const MacRow&) const = default;
};

// From another host's hands: nothing for a row that no VTEP of ours could have written (a wrong number, MAC or address,
// a group or an unspecified address).
std::optional<MemberRow> member_row(const Json& row);
std::optional<MacRow> mac_row(const Json& row);

Json to_json(const MemberRow& row);
Json to_json(const MacRow& row);

// --- operations (RFC 7047 section 5.2) ---
void put_vtep(Json& operations, const std::string& name, const std::optional<IpAddr>& ip, const std::string& boot,
              std::int64_t heartbeat);
void beat(Json& operations, const std::string& name, std::int64_t heartbeat);
void put_member(Json& operations, const MemberRow& row);
void remove_member(Json& operations, Vni vni, const std::string& vtep);
// Fails as a whole when another VTEP has the station's row with `fixed`.
void claim(Json& operations, const MacRow& row);
void remove_mac(Json& operations, Vni vni, const MacAddr& mac, const std::string& vtep);
// Everything of a VTEP.
void remove_vtep(Json& operations, const std::string& vtep);

}  // namespace heddle::overlay
