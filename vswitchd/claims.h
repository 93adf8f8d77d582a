// SPDX-License-Identifier: Apache-2.0
// Decides which of several claims on the same thing holds: on an interface name (a Port row in two bridges), on a
// tunnel's end point, and on a patch port's peer, which must be in the same datapath. Of two claims on the same thing,
// the one that held it so far keeps it; when that is not known, the one that is in force in the switch; else it is the
// first by the names of bridge and port.
//
// The claims are indexed, so that a change decides again only the names that it can concern: those with the same end
// point, however far that reaches, and the patch ports that name one of those.
//
// Owner: the Reader. Threads: control. As large as the number of interfaces that ports ask for.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "vswitchd/dependencies.h"
#include "vswitchd/desired.h"
#include "vswitchd/port_reading.h"

namespace heddle::vswitchd {

// The port as it is now, if there is one.
using CurrentPort = std::function<const ofproto::SwitchPort*(const std::string& name)>;

class Claims {
 public:
  // The decisions go to `out`: its ports, broken, remarks, and without_effect of Interface rows.
  Claims(Desired& out, CurrentPort current) : out_(out), current_(std::move(current)) {}

  // What this reading claims; nothing of it is in force before decide(). A reading must be withdrawn before it claims
  // other things.
  void add(const ReadingId& reading, PortReading&& claims);
  // `name`: a claim of this reading.
  void withdraw(const ReadingId& reading, const std::string& name);
  // Decides what has changed since the last decide(). Returns the names whose decision may be another than before.
  std::set<std::string> decide();
  // Forgets all claims, but not yet which of them held against others. `out` is the caller's affair.
  void clear();

 private:
  using Order = std::pair<std::string, std::string>;  // names of bridge and port
  struct Entry {
    Order order;
    ReadingId reading;
    Claim claim;
    std::string end_point;  // of a tunnel, with its datapath
  };
  // All claims on one name.
  struct Group {
    std::vector<Entry> entries;  // by order
    DesiredPortRef winner;       // null: none can be had
    ovsdb::Uuid row;             // whose without_effect is in `out`
  };
  // A claim that has held against others.
  struct Held {
    Order order;
    std::string end_point;
  };
  using Holders = std::unordered_map<std::string, Held>;  // by interface name
  // A claim that can be had, among others that it may have to give way to.
  struct Bid {
    int rank;  // lower ones come first
    const Entry* entry;
    Group* group;
  };

  [[nodiscard]] std::set<std::string> component(const std::string& name) const;
  void decide_together(const std::set<std::string>& names);
  void explain(const std::string& name, const Group& group,
               const std::map<std::string_view, const std::string*>& end_points);
  void open_again(const std::string& name, Group& group);
  [[nodiscard]] std::vector<Bid> bids(const std::set<std::string>& names);
  [[nodiscard]] int rank(const Entry& entry) const;
  void set_winner(const std::string& name, Group& group, const DesiredPortRef& winner);
  void publish(const std::string& name);
  [[nodiscard]] std::string parted_error(const DesiredPort& port) const;

  Desired& out_;
  CurrentPort current_;
  std::unordered_map<std::string, Group> groups_;                           // by interface name
  std::unordered_map<std::string, std::multiset<std::string>> end_points_;  // names of those that claim one
  std::unordered_map<std::string, std::set<std::string>> named_as_peer_;    // by peer: winners that name it
  Holders holders_;                                                         // of those that were contested
  Holders former_holders_;                                                  // from before clear()
  std::set<std::string> open_;                                              // names to be decided
};

}  // namespace heddle::vswitchd
