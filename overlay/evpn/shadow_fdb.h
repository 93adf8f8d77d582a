// SPDX-License-Identifier: Apache-2.0
// What zebra has written about other VTEPs, out of the kernel's news: for each network its members, and for each MAC
// the VTEP that holds it. A remote MAC is two entries, and valid only with both: one of the bridge that leads to the
// network's vxlan port, and one of the vxlan device with the VTEP's address. The second stays behind when a station
// moves here, and the kernel tells of the two at different times.
//
// Owner: EvpnSource. Threads: control. Pure; nothing fails. Bounded by limits::kOverlayMacs and kOverlayMembers; what
// is more is dropped and counted.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "base/addr.h"
#include "overlay/vtep_set.h"

namespace heddle::overlay::evpn {

class ShadowFdb {
 public:
  // A change of what is valid; nothing: it is not any more.
  class Listener {
   public:
    virtual ~Listener() = default;
    virtual void remote_mac(Vni vni, const MacAddr& mac, const std::optional<IpAddr>& vtep) = 0;
    virtual void remote_member(Vni vni, const IpAddr& vtep, bool here) = 0;
  };
  explicit ShadowFdb(Listener& listener) : listener_(listener) {}

  // --- news ---
  // The bridge's entry for the address leads to the network's vxlan port; or it leads elsewhere, or is gone.
  void to_tunnel(Vni vni, const MacAddr& mac, bool sticky);
  void not_to_tunnel(Vni vni, const MacAddr& mac);
  // The vxlan device's entry.
  void at_vtep(Vni vni, const MacAddr& mac, const IpAddr& vtep);
  void not_at_vtep(Vni vni, const MacAddr& mac, const IpAddr& vtep);
  void member(Vni vni, const IpAddr& vtep);
  void no_member(Vni vni, const IpAddr& vtep);
  // The network's devices are gone, or all are: tells of nothing.
  void forget(Vni vni) { networks_.erase(vni); }
  void forget() { networks_.clear(); }
  // All has been read anew; tells of what is different.
  void become(ShadowFdb&& other);

  // --- what is so ---
  [[nodiscard]] std::optional<IpAddr> vtep_of(Vni vni, const MacAddr& mac) const;
  [[nodiscard]] bool is_member(Vni vni, const IpAddr& vtep) const;
  // An operator of the other host says that the station is there.
  [[nodiscard]] bool is_fixed(Vni vni, const MacAddr& mac) const;
  // The vxlan device's entry, valid or left behind.
  [[nodiscard]] std::optional<IpAddr> device_entry(Vni vni, const MacAddr& mac) const;
  [[nodiscard]] std::vector<MacAddr> valid(Vni vni) const;
  [[nodiscard]] std::uint64_t refused() const { return refused_; }

 private:
  struct Half {
    bool to_tunnel = false;
    bool sticky = false;
    std::optional<IpAddr> vtep;
    [[nodiscard]] std::optional<IpAddr> valid() const { return to_tunnel ? vtep : std::nullopt; }
  };
  struct Network {
    std::map<MacAddr, Half> macs;
    std::set<IpAddr> members;
  };
  template <typename Change>
  void change(Vni vni, const MacAddr& mac, Change&& what);
  [[nodiscard]] const Half* find(Vni vni, const MacAddr& mac) const;

  Listener& listener_;
  std::map<Vni, Network> networks_;
  std::uint64_t refused_ = 0;
};

}  // namespace heddle::overlay::evpn
