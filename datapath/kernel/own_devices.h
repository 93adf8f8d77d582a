// SPDX-License-Identifier: Apache-2.0
// Devices that the kernel datapath makes: whose a device is, and how our devices are kept quiet. A device of ours bears
// the owner's mark as its alias.
//
// Owner: the kernel datapath. Control thread.
#pragma once

#include <set>
#include <string>

#include "base/result.h"
#include "netlink/netlink.h"

namespace heddle::dp {

class OwnDevices {
 public:
  OwnDevices(netlink::Netlink& kernel, std::string owner) : kernel_(kernel), owner_(std::move(owner)) {}

  [[nodiscard]] netlink::Netlink& kernel() const { return kernel_; }
  [[nodiscard]] const std::string& owner() const { return owner_; }
  [[nodiscard]] bool is_ours(const netlink::Link& link) const { return link.alias == owner_; }
  // Ours, or left unfinished by a daemon that was killed while it made the device: then it has no mark yet, and was
  // never up.
  [[nodiscard]] bool may_adopt(const netlink::Link& link) const;
  Result<> mark(const netlink::Link& link) const { return kernel_.set_alias(link.index, owner_); }
  // No neighbour discovery, no multicast listener reports: the device only carries our frames.
  static void disable_ipv6(const std::string& device);
  // A device of ours is about to lose its program: from then on its frames would be the host's.
  void set_link_down(int ifindex) const;
  // Removes the device of that name and kind, if it is ours.
  void remove(const std::string& name, const char* kind) const;
  // Removes our vxlan and veth devices, but for those with these indices or names.
  void remove_others(const std::set<int>& indices, const std::set<std::string>& names) const;
  // Removes unfinished devices that bear names of the form that we give.
  void remove_unfinished() const;

 private:
  netlink::Netlink& kernel_;
  std::string owner_;
};

}  // namespace heddle::dp
