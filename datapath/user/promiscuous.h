// SPDX-License-Identifier: Apache-2.0
// Devices that are to take frames for other stations, by one packet socket (packet(7), PACKET_MR_PROMISC): nothing of
// it is left on a device when the process ends, however it does. One socket for all, as the kernel waits for a grace
// period of RCU, some 12 ms, when one is closed. Thread: control.
#pragma once

#include <string>

#include "base/fd.h"
#include "base/result.h"

namespace heddle::dp {

class Promiscuous {
 public:
  Result<> add(int ifindex, const std::string& device);
  // Once for each add(). The device may be gone, and its membership with it.
  void drop(int ifindex);

 private:
  Fd socket_;
};

}  // namespace heddle::dp
