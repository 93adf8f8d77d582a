// SPDX-License-Identifier: Apache-2.0
// The OpenFlow port numbers of one bridge. A freed number rests until kOfportRest others were freed after it, so that a
// flow or a script that still names the old port does not hit a new one. No ownership; control thread; no errors.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <set>

namespace heddle::ofproto {

using OfPort = std::uint16_t;

class OfPortNumbers {
 public:
  // `wish` when it is free, else the lowest number that is free and does not rest. None: all are in use.
  std::optional<OfPort> take(std::optional<OfPort> wish);
  void give_back(OfPort number);

 private:
  std::set<OfPort> used_;
  std::deque<OfPort> resting_;
  OfPort lowest_ = 1;  // all below it are used or rest
};

}  // namespace heddle::ofproto
