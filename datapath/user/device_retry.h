// SPDX-License-Identifier: Apache-2.0
// Another try for devices that could not be had because another program holds them, or the kernel itself, which lets go
// of an AF_XDP queue some time after its socket was closed (net/xdp/xsk_buff_pool.c, xp_put_pool(): a work queue does
// it). No news tell when such a device is free: it is tried after 20 ms, and then less and less often, every 5 s at the
// latest.
//
// Owner: UserDatapath. Control thread. open() fails without descriptors left.
#pragma once

#include <functional>
#include <set>

#include "base/fd.h"
#include "base/result.h"
#include "datapath/datapath.h"

namespace heddle::dp {

class DeviceRetry {
 public:
  Result<> open();
  // Becomes readable when retry() is due.
  [[nodiscard]] int fd() const { return timer_.get(); }
  // A device to try again, as that of a port or as one that tunnels leave by.
  void add_port(PortNo no);
  void add_underlay(int ifindex);
  // When it is due: forgets all devices, and calls the function of each. The function adds a device once more that is
  // still held.
  void retry(const std::function<void(PortNo)>& port, const std::function<void(int)>& underlay);

 private:
  void arm();

  Fd timer_;
  std::set<PortNo> ports_;
  std::set<int> underlays_;
  unsigned delay_ms_ = 0;  // 0: no try has been in vain since the last success
};

}  // namespace heddle::dp
