// SPDX-License-Identifier: Apache-2.0
// Where frames for everyone go: for each bridge and VLAN the ports that carry it, and the remotes of multipoint tunnels
// among them. VLANs with the same targets share a set; those that no port names share one too. Programs check each
// target all the same (VLAN, split horizon, link), so a set that lags behind cannot lead a frame astray.
//
// A set is never changed: the VLANs are led to a new one, and the old one goes a while later, when no program can be in
// it any more.
//
// Owner: the kernel datapath. Control thread.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "datapath/datapath.h"
#include "datapath/kernel/programs.h"

namespace heddle::dp {

class FloodSets {
 public:
  struct Member {
    PortPolicy policy;
    std::vector<hd_target> targets;
  };

  // Takes over what the maps have.
  FloodSets(const Programs& programs, const TimeSource& time);

  // The bridge's members are these, from now on. Errc::limit when a map is full: the bridge then floods as before.
  Result<> update(BridgeId bridge, std::span<const Member> members);
  // Removes what is left of bridges that update() was not called for.
  void drop_others(const std::set<BridgeId>& bridges);
  // Removes sets that nobody has used for kRest. To be called now and then.
  void sweep();

 private:
  using Targets = std::vector<hd_target>;
  using Sets = std::map<__u16, Targets>;  // by VLAN

  static Sets wanted(std::span<const Member> members);
  Result<__u32> set_for(const Targets& targets);
  void erase(__u32 set, std::size_t targets);
  void drop_fresh();
  // Nothing when the set has more to it than this version knows.
  [[nodiscard]] std::optional<Targets> read(__u32 set, __u32 total) const;

  static constexpr auto kRest = std::chrono::seconds(1);

  const TimeSource& time_;
  SealedMap<hd_vlan> vlans_;
  BpfMap<hd_flood_key, hd_flood> sets_;
  std::map<std::pair<std::uint16_t, std::uint16_t>, __u32> now_;  // (bridge, VLAN) -> set
  std::map<Targets, __u32> by_content_;
  std::map<__u32, std::size_t> size_;  // of each set
  std::map<__u32, TimePoint> unused_;  // since when
  std::vector<__u32> fresh_;           // made by the update() that runs
  __u32 next_ = 1;
};

}  // namespace heddle::dp
