// SPDX-License-Identifier: Apache-2.0
// QoS of the kernel datapath: a hierarchical token bucket (HTB) at the device by which a port's frames leave.
//
//   4844:          the major number by which we know our discipline
//   4844:fffe      the port: nothing exceeds its max_rate
//   4844:<n+1>     queue n; 4844:1 is there always, for frames without a queue
//
// Owner: PortDevices. Control thread. The disciplines are the kernel's; ShapingState is the port's.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "base/result.h"
#include "datapath/kernel/port_entry.h"
#include "netlink/netlink.h"

namespace heddle::dp {

class EgressShapers {
 public:
  explicit EgressShapers(netlink::Netlink& kernel) : kernel_(kernel) {}

  // Puts the port's QoS in force at its way out. Classes that stay are changed in place: the frames in them go on
  // waiting. Errc::exists: the device has a queueing discipline of somebody else.
  Result<> shape(PortEntry& p) const;
  // Takes our discipline off the way out. The number of frames that its queues have dropped is kept.
  void lift(PortEntry& p) const;
  // Whether our discipline is at the device's root.
  [[nodiscard]] bool has_ours(int ifindex) const;
  // Takes off a discipline that an earlier daemon left.
  void remove_ours(int ifindex) const;

  // Frames that queues have dropped since the port was made.
  [[nodiscard]] std::uint64_t drops(const PortEntry& p) const;
  [[nodiscard]] std::map<std::uint32_t, QueueCounters> counters(const PortEntry& p) const;

 private:
  Result<> add_discipline(const PortEntry& p) const;

  netlink::Netlink& kernel_;
};

}  // namespace heddle::dp
