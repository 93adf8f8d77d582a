// SPDX-License-Identifier: Apache-2.0
// The user-space datapath: AF_XDP and tap ports, worker threads, one packet memory. See datapath/datapath.h for the
// contract.
#pragma once

#include <memory>
#include <string>

#include "base/clock.h"
#include "datapath/control/group_memberships.h"
#include "datapath/datapath.h"

namespace heddle::dp {

struct UserDatapathOptions {
  unsigned workers = 1;                  // 1 to limits::kWorkers
  std::size_t frames = limits::kFrames;  // packet buffers, shared by all ports
  const TimeSource* time = nullptr;      // must outlive the datapath
  // Alias of the devices that outlive the datapath, so that `vswitchd --cleanup` and a datapath of another kind know
  // whose they are; at most 255 bytes, none when empty.
  std::string owner = {};
  GroupMemberships::Keep keep_socket = {};  // of multicast groups; none: they go with the daemon
};

// Packet memory is taken, and the workers start, with the first bridge: that add_bridge() fails when they cannot be
// had. Fails at once for options that can never work.
Result<std::unique_ptr<Datapath>> make_user_datapath(const UserDatapathOptions& options);

}  // namespace heddle::dp
