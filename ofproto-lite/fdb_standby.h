// SPDX-License-Identifier: Apache-2.0
// Targets that origins know for stations whose entry is of a stronger origin. When that one is withdrawn, the strongest
// of them takes its place. Learned targets are not kept: a station that is there is learned again from its next frame.
//
// Owner: the Fdb, which keeps a target here only while there is an entry for the station: so there are at most
// kOrigins - 2 targets for each entry. Handler thread; no errors.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <tuple>
#include <utility>

#include "datapath/station.h"
#include "ofproto-lite/origin.h"

namespace heddle::ofproto {

class FdbStandby {
 public:
  // Adds the origin's target, or replaces it.
  void keep(const dp::FdbKey& key, Origin origin, const dp::FdbTarget& target);
  // False when the origin has none.
  bool drop(const dp::FdbKey& key, Origin origin);
  // Removes all targets on the port.
  void drop_port(dp::PortNo port);
  // Removes the target of the strongest origin that has one, and returns it.
  std::optional<std::pair<Origin, dp::FdbTarget>> take_strongest(const dp::FdbKey& key);

 private:
  using Targets = std::map<std::pair<dp::FdbKey, Origin>, dp::FdbTarget>;
  void erase(Targets::iterator it);

  Targets targets_;
  std::set<std::tuple<dp::PortNo, dp::FdbKey, Origin>> by_port_;
};

}  // namespace heddle::ofproto
