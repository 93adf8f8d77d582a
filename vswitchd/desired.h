// SPDX-License-Identifier: Apache-2.0
// What the database asks for, as plain values: the first half of reconcile. Reading it changes nothing and cannot fail;
// what is wrong with a row is part of the answer, for that row's `error` column or for the log.
//
// Threads: control. The answer owns all it holds.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "ofproto-lite/switch.h"
#include "ovsdb/database.h"
#include "vswitchd/port_reading.h"

namespace heddle::vswitchd {

struct DesiredBridge {
  std::string datapath;  // canonical type, a key of the reconciler's switches
  ofproto::BridgeConfig config;
  ovsdb::Uuid row;
  std::string datapath_id;  // 16 hex digits that were asked for; empty: from the bridge's address
};

// Who asked for what: for reread_ports().
struct PortOrigin {
  ovsdb::Uuid bridge;                                           // row
  std::vector<std::pair<ovsdb::Uuid, std::string>> interfaces;  // row and name
  std::set<std::string> warnings;
};

struct Desired {
  std::map<std::string, DesiredBridge> bridges;
  std::map<std::string, DesiredPort> ports;    // by interface name
  std::map<ovsdb::Uuid, BrokenPort> broken;    // by Interface row
  std::map<ovsdb::Uuid, std::string> remarks;  // errors of interfaces that work all the same (a second claim on them)
  std::set<std::string> broken_bridges;        // names; left alone when they exist
  std::map<ovsdb::Uuid, Idle> idle;
  std::set<std::string> warnings;                             // without those of ports, which are in:
  std::unordered_map<ovsdb::Uuid, PortOrigin> origins;        // by Port row, of those in a bridge
  std::unordered_map<ovsdb::Uuid, ovsdb::Uuid> port_of;       // Interface row to Port row
  std::unordered_map<std::string, ovsdb::Uuid> interface_of;  // name to Interface row
  std::set<std::string> peers;                                // names of interfaces that patch ports name
  bool contested = false;  // there are two claims on the same thing, or a mirror, which names ports
};

// Which datapaths there are, by canonical type: "kernel", "user".
struct DatapathOffer {
  std::map<std::string, dp::KindSet> types;    // and the kinds of port that each has
  std::string standard;                        // for bridges that name none; empty: kernel when on offer, else user
  std::map<std::string, std::string> why_not;  // of a type that is not on offer: the reason
};

struct ReadContext {
  DatapathOffer offer;
  // The port as it is now, if there is one: of two rows that want the same thing, the one that has it keeps it.
  CurrentPort current;
};

Desired read_desired(const ovsdb::Database& db, const ReadContext& context);

// Port rows that have come, gone or changed, or whose interfaces have, each with the bridge that it was put into or
// taken from, if any.
using TouchedPorts = std::map<ovsdb::Uuid, std::optional<ovsdb::Uuid>>;

// What became of them.
struct Reread {
  std::set<std::string> names;  // of interfaces that they have, or had
  std::set<ovsdb::Uuid> rows;   // of the same
  std::set<ovsdb::Uuid> ports;  // rows, of those that have or had columns without effect
  std::set<std::string> warnings, past_warnings;
};

// Makes `want`, which is as read_desired() left it or this, what read_desired() would say now, given that nothing but
// these ports has changed since: at their cost, and not at that of all the others. Nothing, and `want` unchanged, when
// more depends on them than themselves (tunnels, patch ports, bridges' own ports, mirrors, claims on the same name).
std::optional<Reread> reread_ports(const ovsdb::Database& db, const ReadContext& context, const TouchedPorts& touched,
                                   Desired& want);

// What a Bridge's datapath_type means: "system" is "kernel", "netdev" is "user", "" the standard. Other words are
// themselves; whether the answer is on offer is another question.
std::string canonical_datapath(const std::string& type, const DatapathOffer& offer);
// Every word that may be a datapath_type here.
std::set<std::string> offered_words(const DatapathOffer& offer);
// Every Interface.type that some datapath here offers.
std::set<std::string> offered_interface_types(const DatapathOffer& offer);

}  // namespace heddle::vswitchd
