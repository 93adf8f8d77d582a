// SPDX-License-Identifier: Apache-2.0
// A BridgePolicy in the form in which the packet path asks for it: part of the snapshot, immutable but for the mirrors'
// counters. A bridge with nothing but BridgePolicy{} has none, so that its frames do not pay for it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "datapath/datapath.h"
#include "datapath/user/counters.h"

namespace heddle::dp {

struct MirrorShared {
  struct alignas(64) PerWorker {
    Counter packets;
    Counter bytes;
  };
  explicit MirrorShared(unsigned workers) : worker(workers) {}
  std::vector<PerWorker> worker;
};

struct MirrorRule {
  unsigned slot = 0;
  MirrorSpec spec;
  std::shared_ptr<MirrorShared> shared;

  [[nodiscard]] bool wants(VlanId vlan) const {
    return (spec.vlans.none() || spec.vlans.test(vlan)) && spec.output_vlan != vlan;
  }
};

struct BridgeRules {
  bool secure = false;
  bool flood_unknown = true;
  VlanSet flood_vlans;
  std::vector<MirrorRule> mirrors;

  // Null for BridgePolicy{}. A mirror that is in `before` as it was keeps its counters.
  static std::shared_ptr<const BridgeRules> make(const BridgePolicy& policy, const BridgeRules* before,
                                                 unsigned workers) {
    if (policy == BridgePolicy{}) return nullptr;
    auto rules = std::make_shared<BridgeRules>();
    rules->secure = policy.secure;
    rules->flood_unknown = policy.flood_unknown;
    rules->flood_vlans = policy.flood_vlans;
    for (const auto& [slot, spec] : policy.mirrors) {
      const MirrorRule* old = before == nullptr ? nullptr : before->mirror(slot);
      const bool same = old != nullptr && old->spec == spec;
      rules->mirrors.push_back({slot, spec, same ? old->shared : std::make_shared<MirrorShared>(workers)});
    }
    return rules;
  }

  [[nodiscard]] const MirrorRule* mirror(unsigned slot) const {
    const auto it = std::find_if(mirrors.begin(), mirrors.end(), [&](const MirrorRule& m) { return m.slot == slot; });
    return it == mirrors.end() ? nullptr : &*it;
  }
  [[nodiscard]] bool reserves(PortNo port) const {
    return std::any_of(mirrors.begin(), mirrors.end(), [&](const MirrorRule& m) { return m.spec.output == port; });
  }
  // One bit a slot. A frame of a mirror of all is selected by the port it came by.
  [[nodiscard]] std::uint32_t mirrors_from(PortNo port) const {
    return slots([&](const MirrorSpec& m) { return m.all || has(m.from, port); });
  }
  [[nodiscard]] std::uint32_t mirrors_to(PortNo port) const {
    return slots([&](const MirrorSpec& m) { return has(m.to, port); });
  }

 private:
  static bool has(const std::vector<PortNo>& ports, PortNo port) {
    return std::find(ports.begin(), ports.end(), port) != ports.end();
  }
  template <typename Selects>
  [[nodiscard]] std::uint32_t slots(Selects selects) const {
    static_assert(limits::kMirrors <= 32);
    std::uint32_t bits = 0;
    for (const MirrorRule& m : mirrors)
      if (selects(m.spec)) bits |= 1U << m.slot;
    return bits;
  }
};

}  // namespace heddle::dp
