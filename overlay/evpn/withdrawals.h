// SPDX-License-Identifier: Apache-2.0
// What zebra has withdrawn, until it is clear why. A station that is gone and a VTEP whose BGP session broke look the
// same at first; a source that is lost takes nothing away (overlay/source.h). So a withdrawal waits for kDoubt, then
// the neighbors are asked: with none of them in session nothing was withdrawn, it was lost. Of a VTEP that withdrew its
// membership, too, everything stays for the hold time: its own FRR may have been restarted.
//
// Owner: EvpnSource. Threads: control. Pure; nothing fails. Bounded as the tables that the withdrawals are of.
#pragma once

#include <chrono>
#include <cstddef>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/addr.h"
#include "base/clock.h"
#include "overlay/vtep_set.h"

namespace heddle::overlay::evpn {

class Withdrawals {
 public:
  static constexpr Duration kDoubt = std::chrono::seconds(1);
  // Of so many it is waited for the end: a VTEP's membership is withdrawn after its stations.
  static constexpr std::size_t kMany = 500;
  static constexpr Duration kQuiet = std::chrono::milliseconds(500);
  static constexpr Duration kLongest = std::chrono::seconds(20);

  void member(Vni vni, const IpAddr& vtep, TimePoint now);
  void mac(Vni vni, const MacAddr& mac, TimePoint now);
  // It is there again, or is known to be gone.
  void settled(Vni vni, const IpAddr& vtep) { members_.erase({vni, vtep}); }
  void settled(Vni vni, const MacAddr& mac) { macs_.erase({vni, mac}); }
  void clear();

  [[nodiscard]] bool empty() const { return members_.empty() && macs_.empty(); }
  // When the first has waited long enough.
  [[nodiscard]] std::optional<TimePoint> due() const;
  struct Due {
    std::vector<std::pair<Vni, IpAddr>> members;
    std::vector<std::pair<Vni, MacAddr>> macs;
  };
  // Those that have waited long enough; they wait no more. None while many still come.
  [[nodiscard]] Due take(TimePoint now);

 private:
  std::map<std::pair<Vni, IpAddr>, TimePoint> members_;
  std::map<std::pair<Vni, MacAddr>, TimePoint> macs_;
  TimePoint last_{};  // that came
};

}  // namespace heddle::overlay::evpn
