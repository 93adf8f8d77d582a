// SPDX-License-Identifier: Apache-2.0
#include "overlay/evpn/shadow_fdb.h"

#include <utility>

#include "base/limits.h"

namespace heddle::overlay::evpn {

template <typename Change>
void ShadowFdb::change(Vni vni, const MacAddr& mac, Change&& what) {
  auto& macs = networks_[vni].macs;
  auto it = macs.find(mac);
  if (it == macs.end()) {
    if (macs.size() >= limits::kOverlayMacs) {
      ++refused_;
      return;
    }
    it = macs.try_emplace(mac).first;
  }
  const std::optional<IpAddr> before = it->second.valid();
  what(it->second);
  const std::optional<IpAddr> now = it->second.valid();
  if (!it->second.to_tunnel && !it->second.vtep) macs.erase(it);
  if (before != now) listener_.remote_mac(vni, mac, now);
}

const ShadowFdb::Half* ShadowFdb::find(Vni vni, const MacAddr& mac) const {
  const auto network = networks_.find(vni);
  if (network == networks_.end()) return nullptr;
  const auto it = network->second.macs.find(mac);
  return it == network->second.macs.end() ? nullptr : &it->second;
}

// --- news ---

void ShadowFdb::to_tunnel(Vni vni, const MacAddr& mac, bool sticky) {
  change(vni, mac, [sticky](Half& half) {
    half.to_tunnel = true;
    half.sticky = sticky;
  });
}

void ShadowFdb::not_to_tunnel(Vni vni, const MacAddr& mac) {
  if (find(vni, mac) != nullptr) change(vni, mac, [](Half& half) { half.to_tunnel = false; });
}

void ShadowFdb::at_vtep(Vni vni, const MacAddr& mac, const IpAddr& vtep) {
  change(vni, mac, [&vtep](Half& half) { half.vtep = vtep; });
}

// An entry that has another VTEP meanwhile stays: the kernel tells of the new one first.
void ShadowFdb::not_at_vtep(Vni vni, const MacAddr& mac, const IpAddr& vtep) {
  const Half* half = find(vni, mac);
  if (half != nullptr && half->vtep == vtep) change(vni, mac, [](Half& h) { h.vtep.reset(); });
}

void ShadowFdb::member(Vni vni, const IpAddr& vtep) {
  auto& members = networks_[vni].members;
  if (members.size() >= limits::kOverlayMembers && !members.contains(vtep)) {
    ++refused_;
    return;
  }
  if (members.insert(vtep).second) listener_.remote_member(vni, vtep, true);
}

void ShadowFdb::no_member(Vni vni, const IpAddr& vtep) {
  const auto network = networks_.find(vni);
  if (network != networks_.end() && network->second.members.erase(vtep) > 0) listener_.remote_member(vni, vtep, false);
}

void ShadowFdb::become(ShadowFdb&& other) {
  std::map<Vni, Network> before = std::exchange(networks_, std::move(other.networks_));
  for (const auto& [vni, network] : networks_) {
    const Network& old = before[vni];
    for (const IpAddr& vtep : network.members)
      if (!old.members.contains(vtep)) listener_.remote_member(vni, vtep, true);
    for (const auto& [mac, half] : network.macs) {
      const auto it = old.macs.find(mac);
      if (half.valid() && (it == old.macs.end() || it->second.valid() != half.valid()))
        listener_.remote_mac(vni, mac, half.valid());
    }
  }
  for (const auto& [vni, old] : before) {
    for (const IpAddr& vtep : old.members)
      if (!is_member(vni, vtep)) listener_.remote_member(vni, vtep, false);
    for (const auto& [mac, half] : old.macs)
      if (half.valid() && !vtep_of(vni, mac)) listener_.remote_mac(vni, mac, std::nullopt);
  }
}

// --- what is so ---

std::optional<IpAddr> ShadowFdb::vtep_of(Vni vni, const MacAddr& mac) const {
  const Half* half = find(vni, mac);
  return half == nullptr ? std::nullopt : half->valid();
}

bool ShadowFdb::is_member(Vni vni, const IpAddr& vtep) const {
  const auto network = networks_.find(vni);
  return network != networks_.end() && network->second.members.contains(vtep);
}

bool ShadowFdb::is_fixed(Vni vni, const MacAddr& mac) const {
  const Half* half = find(vni, mac);
  return half != nullptr && half->valid() && half->sticky;
}

std::optional<IpAddr> ShadowFdb::device_entry(Vni vni, const MacAddr& mac) const {
  const Half* half = find(vni, mac);
  return half == nullptr ? std::nullopt : half->vtep;
}

std::vector<MacAddr> ShadowFdb::valid(Vni vni) const {
  std::vector<MacAddr> out;
  const auto network = networks_.find(vni);
  if (network == networks_.end()) return out;
  for (const auto& [mac, half] : network->second.macs)
    if (half.valid()) out.push_back(mac);
  return out;
}

}  // namespace heddle::overlay::evpn
