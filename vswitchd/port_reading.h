// SPDX-License-Identifier: Apache-2.0
// What one Port row and its interfaces ask for, taken by themselves: what others claim is settled afterwards
// (desired.h). Reading changes nothing and cannot fail; what is wrong is part of the answer.
// Threads: control. The answer owns all it holds.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "ofproto-lite/switch.h"
#include "ovsdb/database.h"

namespace heddle::vswitchd {

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

// A port that may be wanted, before claims on the same name or tunnel end point are settled.
struct Candidate {
  std::string name;
  DesiredPort port;
  bool established = false;  // it is in the switch already, and just so
};

struct PortReading {
  std::vector<std::pair<ovsdb::Uuid, std::string>> interfaces;  // row and name
  std::vector<Candidate> candidates;
  std::map<ovsdb::Uuid, BrokenPort> broken;  // by Interface row
  std::map<ovsdb::Uuid, Idle> idle;          // by Port or Interface row
  std::set<std::string> warnings;
};

// Where the port is.
struct BridgeOfPort {
  const ovsdb::Row& row;
  std::string name;
  std::string datapath;      // canonical type
  const dp::KindSet& kinds;  // that the datapath offers
  std::string error;         // of the bridge, and so of all its ports; empty: none
};

// The port as it is now, if there is one.
using CurrentPort = std::function<const ofproto::SwitchPort*(const std::string& name)>;

PortReading read_port(const ovsdb::Database& db, const BridgeOfPort& bridge, const ovsdb::Row& port,
                      const CurrentPort& current);

// Notes what `row` holds in vain: for its status, and for the log.
void note_idle(const ovsdb::Row& row, const std::string& what, const std::vector<std::string>& columns,
               std::map<ovsdb::Uuid, Idle>& idle, std::set<std::string>& warnings);

// The rows of these UUIDs that there are, by name.
std::vector<ovsdb::RowRef> by_name(const ovsdb::Database& db, std::string_view table,
                                   const std::vector<ovsdb::Uuid>& uuids);

}  // namespace heddle::vswitchd
