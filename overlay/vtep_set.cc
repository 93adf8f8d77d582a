// SPDX-License-Identifier: Apache-2.0
#include "overlay/vtep_set.h"

#include <algorithm>

#include "base/limits.h"

namespace heddle::overlay {

// --- the source ---

void VtepSet::for_all(const std::function<void(Known&)>& change) {
  for (auto& [vni, network] : networks_) {
    for (auto& [name, member] : network.members) change(member);
    for (auto& [mac, known] : network.macs) change(known);
  }
}

void VtepSet::sweep_by(TimePoint time) { sweep_at_ = std::min(sweep_at_.value_or(time), time); }

void VtepSet::begin() {
  for_all([](Known& known) { known.until = TimePoint::max(); });
  sweep_at_.reset();
}

void VtepSet::lost(TimePoint now) {
  for_all([until = now + hold_](Known& known) { known.until = std::min(known.until.value_or(until), until); });
  sweep_by(now + hold_);
}

// Others may still be on their way to a server that has begun anew.
void VtepSet::in_step(TimePoint now) {
  for_all([until = now + hold_](Known& known) {
    if (known.until) known.until = until;
  });
  sweep_at_ = now + hold_;
}

bool VtepSet::put_member(Vni vni, const std::string& vtep, const IpAddr& address) {
  auto& members = networks_[vni].members;
  if (members.size() >= limits::kOverlayMembers && !members.contains(vtep)) {
    ++refused_;
    return false;
  }
  Known& known = members[vtep];
  known.until.reset();
  if (known.address == address) return true;
  known.address = address;
  sink_.members_changed(vni);
  return true;
}

void VtepSet::remove_member(Vni vni, const std::string& vtep) {
  const auto network = networks_.find(vni);
  if (network != networks_.end() && network->second.members.erase(vtep) > 0) sink_.members_changed(vni);
}

bool VtepSet::put_mac(Vni vni, const MacAddr& mac, const IpAddr& vtep) {
  auto& macs = networks_[vni].macs;
  const auto it = macs.find(mac);
  if (it == macs.end()) {
    if (macs_ >= limits::kOverlayMacs) {
      ++refused_;
      return false;
    }
    ++macs_;
    macs[mac] = {vtep, std::nullopt};
  } else {
    it->second.until.reset();
    if (it->second.address == vtep) return true;
    it->second.address = vtep;
  }
  sink_.mac_changed(vni, mac, vtep);
  return true;
}

void VtepSet::remove_mac(Vni vni, const MacAddr& mac) {
  const auto network = networks_.find(vni);
  if (network == networks_.end() || network->second.macs.erase(mac) == 0) return;
  --macs_;
  sink_.mac_changed(vni, mac, std::nullopt);
}

void VtepSet::hold_member(Vni vni, const std::string& vtep, TimePoint now) {
  if (const auto network = networks_.find(vni); network != networks_.end()) hold(network->second.members, vtep, now);
}

void VtepSet::hold_mac(Vni vni, const MacAddr& mac, TimePoint now) {
  if (const auto network = networks_.find(vni); network != networks_.end()) hold(network->second.macs, mac, now);
}

// What is held already goes at its time.
template <typename Key>
void VtepSet::hold(std::map<Key, Known>& of, const Key& key, TimePoint now) {
  const auto it = of.find(key);
  if (it == of.end() || it->second.stale()) return;
  it->second.until = now + hold_;
  sweep_by(now + hold_);
}

void VtepSet::remove_network(Vni vni) {
  const auto it = networks_.find(vni);
  if (it == networks_.end()) return;
  const Network gone = std::move(it->second);
  networks_.erase(it);
  macs_ -= gone.macs.size();
  for (const auto& [mac, known] : gone.macs) sink_.mac_changed(vni, mac, std::nullopt);
  if (!gone.members.empty()) sink_.members_changed(vni);
}

// --- time ---

void VtepSet::sweep(TimePoint now) {
  const auto keep = [this, now](const Known& known) {
    if (!known.until) return true;
    if (*known.until <= now) return false;
    if (*known.until != TimePoint::max()) sweep_by(*known.until);
    return true;
  };
  for (auto& [vni, network] : networks_) {
    if (std::erase_if(network.members, [&](const auto& m) { return !keep(m.second); }) > 0) sink_.members_changed(vni);
    for (auto it = network.macs.begin(); it != network.macs.end();) {
      if (keep(it->second)) {
        ++it;
        continue;
      }
      const MacAddr mac = it->first;
      it = network.macs.erase(it);
      --macs_;
      sink_.mac_changed(vni, mac, std::nullopt);
    }
  }
}

// Many that are held go at many times: a sweep looks at all, so there is one a second at most.
std::optional<TimePoint> VtepSet::tick(TimePoint now) {
  if (sweep_at_ && now >= *sweep_at_) {
    sweep_at_.reset();
    sweep(now);
    if (sweep_at_) sweep_at_ = std::max(*sweep_at_, now + std::chrono::seconds(1));
  }
  return sweep_at_;
}

// --- what is known ---

std::vector<IpAddr> VtepSet::members(Vni vni) const {
  const auto network = networks_.find(vni);
  if (network == networks_.end()) return {};
  std::set<IpAddr> all;
  for (const auto& [name, member] : network->second.members) all.insert(member.address);
  return {all.begin(), all.end()};
}

std::vector<VtepSet::Member> VtepSet::member_list(Vni vni) const {
  std::vector<Member> out;
  const auto network = networks_.find(vni);
  if (network == networks_.end()) return out;
  for (const auto& [name, member] : network->second.members) out.push_back({name, member.address, member.stale()});
  return out;
}

std::vector<VtepSet::Mac> VtepSet::macs(Vni vni) const {
  std::vector<Mac> out;
  const auto network = networks_.find(vni);
  if (network == networks_.end()) return out;
  for (const auto& [mac, known] : network->second.macs) out.push_back({mac, known.address, known.stale()});
  return out;
}

std::optional<VtepSet::Mac> VtepSet::mac(Vni vni, const MacAddr& address) const {
  const auto network = networks_.find(vni);
  if (network == networks_.end()) return std::nullopt;
  const auto it = network->second.macs.find(address);
  if (it == network->second.macs.end()) return std::nullopt;
  return Mac{address, it->second.address, it->second.stale()};
}

}  // namespace heddle::overlay
