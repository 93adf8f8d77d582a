// SPDX-License-Identifier: Apache-2.0
// Which devices of the network namespace stand on which others: VLAN and macvlan devices on their lower device, bridges
// and bonds on their members. So a port's frames may reach the host by a device of another name.
//
// Owner: a provider's control side, which hands it the kernel's news. Control thread. Nothing fails: without an answer
// from the kernel every device stands alone.
#pragma once

#include <map>
#include <set>

#include "netlink/netlink.h"

namespace heddle::dp {

class DeviceStack {
 public:
  // Before the first question; news come on top.
  void read(netlink::Netlink& kernel);
  void on_link(const netlink::Link& link);
  void on_link_gone(int ifindex) { places_.erase(ifindex); }

  // The devices that get frames from `bases`, those included.
  [[nodiscard]] std::set<int> above(std::set<int> bases) const;
  // The devices that `device` gets frames from, itself included.
  [[nodiscard]] std::set<int> below(int device) const;

 private:
  struct Place {
    int lower = 0;   // that it stands on
    int master = 0;  // that it is a member of
  };
  std::map<int, Place> places_;  // of devices that have either
};

}  // namespace heddle::dp
