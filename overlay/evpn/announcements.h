// SPDX-License-Identifier: Apache-2.0
// The stations of this host as zebra is to be told of them: which are, which have been told, and what is to be written
// next. Writes are paced by the caller (limits::kEvpnWrites); one station is told at most every kRest, however often
// it is claimed, and its last state wins.
//
// Owner: EvpnSource. Threads: control. Pure; nothing fails. Bounded by the FDB, from which the stations come.
#pragma once

#include <chrono>
#include <cstddef>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "base/addr.h"
#include "base/clock.h"
#include "overlay/vtep_set.h"

namespace heddle::overlay::evpn {

class Announcements {
 public:
  using Key = StationKey;
  struct Write {
    Key key;
    bool fixed = false;
    bool gone = false;
  };
  static constexpr Duration kRest = std::chrono::milliseconds(200);

  // The station is here: told again, too, when another host has it.
  void add(const Key& key, bool fixed);
  void remove(const Key& key);
  // What has been told of the network; it is forgotten.
  std::vector<Write> forget_network(Vni vni);
  // The kernel's news: our entry is there, from now or from an earlier daemon; or it is not, as another host has the
  // station by now.
  void found(const Key& key, bool fixed) { stations_[key].told = fixed; }
  void taken(const Key& key);
  // Nothing has been told: of one network, or of all.
  void restart(Vni vni);
  void restart();

  // What an earlier daemon told and is not here goes; to be called when stations have had time to be heard of.
  void settle();

  // What is to be written, `most` at most. It counts as written.
  [[nodiscard]] std::vector<Write> next(std::size_t most, TimePoint now);
  [[nodiscard]] bool empty() const { return queue_.empty() && resting_.empty(); }
  [[nodiscard]] bool is_here(const Key& key) const;

 private:
  struct Station {
    std::optional<bool> want;  // fixed; nothing: it is not here
    std::optional<bool> told;
    std::optional<TimePoint> at;  // of the last write
    bool queued = false;
  };
  void touch(const Key& key, Station& station);

  std::map<Key, Station> stations_;
  std::deque<Key> queue_;
  std::deque<Key> resting_;  // written less than kRest before
};

}  // namespace heddle::overlay::evpn
