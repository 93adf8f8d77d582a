// SPDX-License-Identifier: Apache-2.0
// The devices by which zebra and we talk: for each network a vxlan device in a bridge, and a bridge port that stands
// for this host's stations. They carry no traffic. Where the kernel knows VLANs in bridges, all networks share one
// bridge and one port; else each has its own (three devices, some 200 kB of kernel memory).
//
// Owner: EvpnSource. Threads: control; calls block for the kernel, a millisecond for a network. Devices outlive the
// object, so that a restart of the daemon withdraws nothing; open() takes over what an earlier one left.
// Errors: as of Netlink; Errc::exists: somebody else's device has the network.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/addr.h"
#include "base/result.h"
#include "netlink/bridge_links.h"
#include "netlink/netlink.h"
#include "overlay/vtep_set.h"

namespace heddle::overlay::evpn {

class ShadowDevices {
 public:
  struct Shadow {
    int bridge = 0;
    int vxlan = 0;
    int port = 0;
    std::uint16_t vlan = 0;  // of the network in the shared bridge; 0: it has a bridge of its own
    IpAddr local{};
  };

  // In the namespace of the calling thread. `udp_port`: of the vxlan devices; it does not appear in BGP.
  static Result<std::unique_ptr<ShadowDevices>> open(std::uint16_t udp_port);

  // Reads whose vxlan devices there are. Others' devices make put() fail, and ours of the same network go: with two,
  // zebra forgets the network when one of them goes.
  Result<> look();

  // Makes what is missing; another address makes the vxlan device anew.
  Result<> put(Vni vni, const IpAddr& local);
  void remove(Vni vni);
  void remove_all();

  [[nodiscard]] const Shadow* find(Vni vni) const;
  [[nodiscard]] std::optional<Vni> network_of_vxlan(int ifindex) const;
  [[nodiscard]] std::optional<Vni> network_of_port(int ifindex, std::uint16_t vlan) const;
  [[nodiscard]] std::vector<Vni> networks() const;
  [[nodiscard]] bool shared() const { return shared_.has_value(); }

 private:
  struct Shared {
    int bridge = 0;
    int port = 0;
  };
  ShadowDevices(std::unique_ptr<netlink::Netlink> nl, std::uint16_t udp_port);
  Result<> take_over();
  Result<> make_shared();
  Result<Shadow> make_own(Vni vni);
  Result<Shadow> make_in_shared(Vni vni);
  Result<> make_vxlan(Vni vni, Shadow& shadow);
  void enter(Vni vni, const Shadow& shadow);

  std::unique_ptr<netlink::Netlink> nl_;
  netlink::BridgeLinks links_;
  std::uint16_t udp_port_;
  std::optional<Shared> shared_;
  std::map<Vni, Shadow> shadows_;
  std::map<int, Vni> by_vxlan_;
  std::map<std::pair<int, std::uint16_t>, Vni> by_port_;
  std::map<Vni, std::string> others_;  // names of devices
};

}  // namespace heddle::overlay::evpn
