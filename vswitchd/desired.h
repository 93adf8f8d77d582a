// What the database asks for, as plain values: the first half of reconcile. Reading it changes nothing and cannot fail;
// what is wrong with a row is part of the answer, for that row's `error` column or for the log.
//
// Threads: control. The answer owns all it holds.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "ofproto-lite/switch.h"
#include "ovsdb/database.h"

namespace heddle::vswitchd {

struct DesiredBridge {
  std::string datapath;  // canonical type, a key of the reconciler's switches
  ofproto::BridgeConfig config;
  ovsdb::Uuid row;
  std::string datapath_id;  // 16 hex digits that were asked for; empty: from the bridge's address
};

struct DesiredPort {
  std::string bridge;
  std::string datapath;
  ofproto::PortConfig config;
  ovsdb::Uuid row;  // of the Interface
  std::optional<dp::QosSpec> qos;
  // The number it had when it was last in a switch: kept across a restart when it is still free.
  std::optional<ofproto::OfPort> former_ofport;
};

// An interface that cannot be had as it is described. When it works already with former settings it is left alone.
struct BrokenPort {
  std::string bridge;
  std::string name;
  std::string error;
};

// Columns of one row that have no effect (inert.h).
struct Idle {
  std::string table;
  std::string columns;  // parted by blanks
};

struct Desired {
  std::map<std::string, DesiredBridge> bridges;
  std::map<std::string, DesiredPort> ports;    // by interface name
  std::map<ovsdb::Uuid, BrokenPort> broken;    // by Interface row
  std::map<ovsdb::Uuid, std::string> remarks;  // errors of interfaces that work all the same (a second claim on them)
  std::set<std::string> broken_bridges;        // names; left alone when they exist
  std::map<ovsdb::Uuid, Idle> idle;
  std::set<std::string> warnings;
};

// Which datapaths there are, by canonical type: "kernel", "user".
struct DatapathOffer {
  std::set<std::string> types;
  std::string standard;                        // for bridges that name none; empty: kernel when on offer, else user
  std::map<std::string, std::string> why_not;  // of a type that is not on offer: the reason
};

struct ReadContext {
  DatapathOffer offer;
  // The port as it is now, if there is one: of two rows that want the same thing, the one that has it keeps it.
  std::function<const ofproto::SwitchPort*(const std::string& name)> current;
};

Desired read_desired(const ovsdb::Database& db, const ReadContext& context);

// What a Bridge's datapath_type means: "system" is "kernel", "netdev" is "user", "" the standard. Other words are
// themselves; whether the answer is on offer is another question.
std::string canonical_datapath(const std::string& type, const DatapathOffer& offer);
// Every word that may be a datapath_type here.
std::set<std::string> offered_words(const DatapathOffer& offer);

}  // namespace heddle::vswitchd
