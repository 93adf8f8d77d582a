// SPDX-License-Identifier: Apache-2.0
// The devices of patch ports: two that name each other are the ends of one veth pair, each end a device like any other
// port's.
//
// An end is called by a hash of (port, peer), the other by that of (peer, port), so whichever port comes first makes
// the pair, and only the port that names the first can take the other end up. An end without a port is down: then the
// other has no carrier, and nothing can reach the host's own stack.
//
// Owner: PortDevices. Control thread. Stateless: the kernel has the pairs.
#pragma once

#include <functional>
#include <string>

#include "base/result.h"
#include "datapath/kernel/own_devices.h"
#include "datapath/port.h"

namespace heddle::dp {

class PatchPairs {
 public:
  explicit PatchPairs(const OwnDevices& own) : own_(own) {}

  // The device of patch port `port` whose other end is patch port `peer`.
  static std::string end_name(const std::string& port, const std::string& peer);
  // Errc::invalid: the spec names no peer, or itself.
  static Result<> check(const PortSpec& spec);
  // Makes the pair, or takes up the one that is there. Half a pair (the other end is in another namespace) goes first,
  // unless `in_use` says that a port has it. The port's own end, which is down: the caller attaches its program first.
  // Errc::exists.
  using InUse = std::function<bool(int ifindex)>;
  Result<netlink::Link> make(const PortSpec& spec, const InUse& in_use) const;
  // Removes the pair unless a port has one of its ends.
  void remove(const PortSpec& spec, const InUse& in_use) const;

 private:
  Result<> make_links(const std::string& near, const std::string& far, const std::string& port,
                      const InUse& in_use) const;

  const OwnDevices& own_;
};

}  // namespace heddle::dp
