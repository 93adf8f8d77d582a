// SPDX-License-Identifier: Apache-2.0
// What the database asks for, as plain values: the outcome of reading (reader.h), from which the plan is made (plan.h)
// and the status written (status_writer.h). What is wrong with a row is part of it, for that row's `error` column or
// for the log.
//
// Threads: control. The value owns all it holds. Names of bridges, ports and interfaces are unique by indexes of the
// schema, so an interface's name stands for its row.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

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
  bool mac_asked = false;  // the row has an address; else config.spec.mac is one that we chose
  std::string control;     // options:control: the source that says who is in the network; empty: none
};
using DesiredPortRef = std::shared_ptr<const DesiredPort>;  // never null; a plan goes on with it when the value changes

// What the overlay (overlay_service.h) adds to a port that asks for a source.
struct OverlayPart {
  std::vector<IpAddr> members;  // of the flood list, beside those of options:remotes
  std::string problem;          // with the remedy; empty: none
};
using OverlayParts = std::function<OverlayPart(const DesiredPort& port)>;

// An interface that cannot be had as it is described. When it works already with former settings it is left alone.
struct BrokenPort {
  std::string bridge;
  ovsdb::Uuid row;  // of the Interface
  std::string error;
};

struct Desired {
  std::map<std::string, DesiredBridge> bridges;
  std::map<std::string, DesiredPortRef> ports;  // by interface name, as the next two; no name is in both of these
  std::map<std::string, BrokenPort> broken;
  std::map<std::string, std::string> remarks;  // errors of interfaces that work all the same (a second claim on them)
  std::set<std::string> broken_bridges;        // names; left alone when they exist
  std::unordered_map<ovsdb::Uuid, std::string> without_effect;  // by row: its columns of that sort, parted by blanks
  std::unordered_map<ovsdb::Uuid, std::string> row_warnings;    // by Bridge or Port row: what is wrong with it
  std::map<std::string, unsigned> warnings;                     // with the number of readings that have the same
};

// Of which parts of a Desired something may be different from before.
struct Difference {
  bool all = false;               // of everything: nothing is known of what was before
  std::set<std::string> names;    // of interfaces
  std::set<ovsdb::Uuid> ports;    // Port rows
  std::set<std::string> bridges;  // names
  bool root = false;
  std::set<std::string> warnings;

  void merge(Difference later);
};

// Which datapaths there are, by canonical type: "kernel", "user".
struct DatapathOffer {
  std::map<std::string, dp::KindSet> types;    // and the kinds of port that each has
  std::string standard;                        // for bridges that name none; empty: kernel when on offer, else user
  std::map<std::string, std::string> why_not;  // of a type that is not on offer: the reason
};

// What a Bridge's datapath_type means: "system" is "kernel", "netdev" is "user", "" the standard. Other words are
// themselves; whether the answer is on offer is another question.
std::string canonical_datapath(const std::string& type, const DatapathOffer& offer);
// Every word that may be a datapath_type here.
std::set<std::string> offered_words(const DatapathOffer& offer);
// Every Interface.type that some datapath here offers.
std::set<std::string> offered_interface_types(const DatapathOffer& offer);

}  // namespace heddle::vswitchd
