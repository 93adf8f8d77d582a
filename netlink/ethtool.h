// SPDX-License-Identifier: Apache-2.0
// Facts about a device that netlink's link messages do not carry, asked with ioctl(SIOCETHTOOL) or read from /sys (see
// linux/ethtool.h). Any thread may call, in the network namespace that the device is in; nothing is kept. Devices
// differ in what they answer: what one does not know is left at its default rather than reported as an error.
// Errc::not_found when the device does not exist.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"

namespace heddle::netlink {

struct EthtoolInfo {
  std::string driver;           // "veth", "ixgbe", ...; empty = the driver does not say
  std::uint64_t speed_bps = 0;  // bit/s; 0 = not known (virtual devices, no carrier)
  bool full_duplex = false;
  unsigned rx_queues = 1;  // receive queues in use: combined channels plus receive-only ones, at least 1
};

Result<EthtoolInfo> ethtool_info(const std::string& device);

}  // namespace heddle::netlink
