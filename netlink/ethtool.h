// SPDX-License-Identifier: Apache-2.0
// Properties of a device that netlink's link messages do not carry, read by ioctl(SIOCETHTOOL) (linux/ethtool.h) or
// from /sys. Stateless: any thread in the device's network namespace may call. A property that the driver does not
// report keeps its default; that is no error. Errc::not_found when the device does not exist.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"

namespace heddle::netlink {

struct EthtoolInfo {
  std::string driver;           // "veth", "ixgbe", ...; empty = not reported
  std::uint64_t speed_bps = 0;  // bit/s; 0 = not known (virtual devices, no carrier)
  bool full_duplex = false;
  unsigned rx_queues = 1;  // receive queues in use: combined channels plus receive-only ones, at least 1
};

Result<EthtoolInfo> ethtool_info(const std::string& device);

}  // namespace heddle::netlink
