// SPDX-License-Identifier: Apache-2.0
#include "datapath/kernel/flood_sets.h"

#include <algorithm>

namespace heddle::dp {
namespace {

__u32 chunks(std::size_t targets) { return static_cast<__u32>((targets + HD_CHUNK - 1) / HD_CHUNK); }

}  // namespace

FloodSets::FloodSets(const Programs& programs, const TimeSource& time)
    : time_(time), vlans_(programs.vlan_sets), sets_(programs.flood_sets) {
  std::vector<hd_flood_key> others;
  sets_.for_each([&](const hd_flood_key& key, const hd_flood& chunk) {
    if (key.chunk != 0) return others.push_back(key);
    size_[key.set] = chunk.total;
    // Sets in which a newer version used reserved fields serve until they are replaced: no further VLAN gets them.
    if (const auto content = read(key.set, chunk.total)) by_content_[*content] = key.set;
    next_ = std::max(next_, key.set + 1);
  });
  for (const hd_flood_key& key : others)  // of sets that were being written or erased when a daemon was killed
    if (!size_.contains(key.set)) sets_.erase(key);
  vlans_.for_each([this](const hd_vlan& key, __u32 set) { now_[{key.bridge, key.vlan}] = set; });
}

std::optional<FloodSets::Targets> FloodSets::read(__u32 set, __u32 total) const {
  Targets out;
  for (__u32 c = 0; c < chunks(total); ++c) {
    const auto chunk = sets_.get({set, c});
    if (!chunk) break;
    if (!is_unused(chunk->reserved)) return std::nullopt;
    for (std::size_t i = 0; i < HD_CHUNK && out.size() < total; ++i) out.push_back(chunk->target[i]);
  }
  return out;
}

// Members that carry every VLAN are in every set; the others name their VLANs. Those that send untagged come first: the
// programs then change a frame's tag once.
FloodSets::Sets FloodSets::wanted(std::span<const Member> members) {
  Targets common;
  Sets named;
  const auto add = [](Targets& to, const Member& m) { to.insert(to.end(), m.targets.begin(), m.targets.end()); };
  const auto every = [](const PortPolicy& p) { return p.vlan_mode != VlanMode::access && p.trunks.none(); };
  const auto place = [&](const Member& m) {
    const PortPolicy& p = m.policy;
    if (every(p)) {
      add(common, m);
      for (auto& [vlan, targets] : named) add(targets, m);
      return;
    }
    const auto carry = [&](std::size_t vlan) {
      const auto [it, fresh] = named.try_emplace(static_cast<__u16>(vlan));
      if (fresh) it->second = common;
      add(it->second, m);
    };
    if (p.vlan_mode == VlanMode::access) return carry(p.tag);
    for (std::size_t vlan = 0; vlan < p.trunks.size(); ++vlan)
      if (p.carries(static_cast<VlanId>(vlan))) carry(vlan);
  };
  for (const bool access : {true, false})
    for (const Member& m : members)
      if ((m.policy.vlan_mode == VlanMode::access) == access) place(m);
  named[HD_ALL_VLANS] = std::move(common);
  return named;
}

Result<__u32> FloodSets::set_for(const Targets& targets) {
  if (const auto it = by_content_.find(targets); it != by_content_.end()) return it->second;
  while (size_.contains(next_) || next_ == 0) ++next_;
  const __u32 set = next_++;
  for (__u32 c = chunks(targets.size()); c-- > 0;) {
    hd_flood chunk{};
    chunk.total = static_cast<__u32>(targets.size());
    const std::size_t from = std::size_t{c} * HD_CHUNK;
    const std::size_t n = std::min<std::size_t>(HD_CHUNK, targets.size() - from);
    std::copy_n(targets.begin() + static_cast<std::ptrdiff_t>(from), n, chunk.target);
    if (auto ok = sets_.put({set, c}, chunk); !ok) {
      erase(set, targets.size());
      return std::unexpected(ok.error());
    }
  }
  by_content_[targets] = set;
  size_[set] = targets.size();
  fresh_.push_back(set);
  return set;
}

void FloodSets::erase(__u32 set, std::size_t targets) {
  for (__u32 c = 0; c < chunks(targets); ++c) sets_.erase({set, c});
}

// What a change that failed has made goes at once: no program knows it.
void FloodSets::drop_fresh() {
  for (const __u32 set : fresh_) {
    erase(set, size_.at(set));
    size_.erase(set);
    std::erase_if(by_content_, [&](const auto& e) { return e.second == set; });
  }
  fresh_.clear();
}

// No flood takes as long as kRest.
void FloodSets::sweep() {
  std::set<__u32> used;
  for (const auto& [key, set] : now_) used.insert(set);
  const TimePoint now = time_.now();
  std::set<__u32> gone;
  for (const auto& [set, size] : size_) {
    if (used.contains(set)) {
      unused_.erase(set);
    } else if (now - unused_.try_emplace(set, now).first->second >= kRest) {
      erase(set, size);
      gone.insert(set);
    }
  }
  for (const __u32 set : gone) {
    size_.erase(set);
    unused_.erase(set);
  }
  std::erase_if(by_content_, [&](const auto& e) { return gone.contains(e.second); });
}

Result<> FloodSets::update(BridgeId bridge, std::span<const Member> members) {
  const auto number = static_cast<std::uint16_t>(bridge);
  Sets want = wanted(members);
  fresh_.clear();
  std::map<__u16, __u32> next;
  for (const auto& [vlan, targets] : want) {
    if (targets.empty()) continue;
    const auto set = set_for(targets);
    if (!set) {
      drop_fresh();
      return std::unexpected(set.error());
    }
    next[vlan] = *set;
  }
  for (const auto& [vlan, set] : next) {
    const auto it = now_.find({number, vlan});
    if (it != now_.end() && it->second == set) continue;
    if (auto ok = vlans_.put({number, vlan}, set); !ok) return ok;
    now_[{number, vlan}] = set;
  }
  for (auto it = now_.lower_bound({number, 0}); it != now_.end() && it->first.first == number;) {
    if (next.contains(it->first.second)) {
      ++it;
      continue;
    }
    vlans_.erase({number, it->first.second});
    it = now_.erase(it);
  }
  sweep();
  return {};
}

void FloodSets::drop_others(const std::set<BridgeId>& bridges) {
  std::set<BridgeId> stale;
  for (const auto& [key, set] : now_)
    if (const auto b = static_cast<BridgeId>(key.first); !bridges.contains(b)) stale.insert(b);
  for (const BridgeId b : stale) (void)update(b, {});
  sweep();
}

}  // namespace heddle::dp
