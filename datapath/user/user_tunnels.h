// SPDX-License-Identifier: Apache-2.0
// Tunnel ports of the user datapath: the paths that each one leads to, and the kernel's routes behind them.
//
// Owner: UserDatapath. Control thread, with the workers running.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <span>
#include <vector>

#include "datapath/control/group_memberships.h"
#include "datapath/control/kernel_news.h"
#include "datapath/port.h"
#include "datapath/user/ingress_trust.h"
#include "datapath/user/path_resolver.h"
#include "datapath/user/underlay_devices.h"

namespace heddle::dp {

class UserTunnels {
 public:
  UserTunnels(netlink::Netlink& kernel, KernelNews& news, PathResolver& paths, UnderlayDevices& underlays,
              IngressTrust& trust)
      : kernel_(kernel), news_(news), paths_(paths), underlays_(underlays), trust_(trust) {}

  struct Tunnel {
    PortSpec spec;
    std::uint32_t path = 0;            // point-to-point: to its remote
    std::vector<std::uint32_t> flood;  // multipoint: to the remotes of the flood list
  };

  // Fails, and changes nothing, as UnderlayDevices::add_user() and PathResolver::acquire() do.
  Result<> add(PortNo no, const PortSpec& spec);
  // No worker and no FDB entry leads to the port any more.
  void remove(PortNo no);
  // The result is the former list's paths: they are for release() when no worker has them any more. Errc::invalid: not
  // a multipoint tunnel. Errc::limit.
  Result<std::vector<std::uint32_t>> set_flood(PortNo no, std::span<const IpAddr> remotes);
  void release(const std::vector<std::uint32_t>& paths);

  // Null: not a tunnel port.
  [[nodiscard]] const Tunnel* find(PortNo no) const;
  // Adds the tunnel's part; nothing for other ports.
  void add_state(PortNo no, PortState& state) const;

  // Routes, addresses or devices are others: asks about every path, and adds the ports to `changed` if any is another.
  void refresh(std::set<PortNo>& changed);
  // Another try to join groups.
  void try_again() { underlays_.groups().retry(); }
  void on_link_gone(int ifindex) { underlays_.groups().on_link_gone(ifindex); }

 private:
  void follow_group(PortNo no, const Tunnel& tunnel);
  netlink::Netlink& kernel_;
  KernelNews& news_;
  PathResolver& paths_;
  UnderlayDevices& underlays_;
  IngressTrust& trust_;
  std::map<PortNo, Tunnel> tunnels_;
};

}  // namespace heddle::dp
