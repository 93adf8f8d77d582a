// SPDX-License-Identifier: Apache-2.0
// Which stations of this host are to be claimed at the reflector, and which rows of ours are to go: what is there, what
// is wanted, and what is on its way. Claims come from events (a station appeared, a frame of it came), never from a row
// that is another's: else two hosts would take a station from each other for ever.
//
// Owner: ReflectorSource. Threads: control. Pure; nothing fails. Bounded by the FDB, from which the stations come.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "base/addr.h"
#include "base/clock.h"
#include "overlay/vtep_set.h"

namespace heddle::overlay {

class StationClaims {
 public:
  using Key = StationKey;
  struct Claim {
    Key key;
    bool fixed = false;
  };
  // One transaction's worth.
  struct Batch {
    std::vector<Claim> claims;
    std::vector<Key> removals;
    [[nodiscard]] bool empty() const { return claims.empty() && removals.empty(); }
  };
  // Between two claims of one station: two hosts that both hear it do not keep the reflector busy.
  static constexpr Duration kRest = std::chrono::milliseconds(200);

  // --- this host ---
  void add(const Key& key, bool fixed, TimePoint now);
  void remove(const Key& key);
  void remove_network(Vni vni);

  // --- the reflector ---
  // All rows are told anew; settle() follows when they have been.
  void restart();
  void row_is(const Key& key, bool ours);
  void row_gone(const Key& key);
  // After each transaction of anybody: a station whose row has gone, and is nobody's, is claimed again; `orphans`: rows
  // of ours without a station go, which a new daemon wants only when its stations have had time to be heard of.
  void settle(bool orphans);

  // --- transactions, one at a time ---
  [[nodiscard]] Batch next(std::size_t most);
  // Refused: more than one claim is tried again one by one; a single one was of a station that is fixed elsewhere.
  void done(const Batch& batch, bool refused);
  // It is not known what became of it: the rows will tell.
  void unknown(const Batch& batch);

  [[nodiscard]] std::size_t refused() const { return refused_; }

 private:
  enum class State : std::uint8_t {
    wanted,    // to be claimed
    claiming,  // in a transaction
    held,      // by the last word
    lost,      // another host has it, or it is fixed there
  };
  struct Station {
    bool fixed = false;
    State state = State::wanted;
    std::optional<TimePoint> claimed;
  };
  void want(const Key& key, Station& station);

  std::map<Key, Station> stations_;
  std::map<Key, bool> rows_;  // true: ours
  std::set<Key> wanted_;      // stations to be claimed
  std::set<Key> alone_;       // of these, one at a time
  std::set<Key> stale_;       // rows of ours that are to go
  std::set<Key> unsettled_;   // keys of which there was news
  std::size_t refused_ = 0;
};

}  // namespace heddle::overlay
