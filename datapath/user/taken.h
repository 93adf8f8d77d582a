// SPDX-License-Identifier: Apache-2.0
// Devices that somebody else holds at the moment: another program, or the kernel itself, which lets go of an AF_XDP
// queue some time after its socket was closed (net/xdp/xsk_buff_pool.c, xp_put_pool(): a work queue does it). Nobody
// tells when they are free, so they are tried again after 20 ms, and then less and less often, every 5 s at the latest.
// Thread: control.
#pragma once

#include <functional>
#include <set>

#include "base/fd.h"
#include "base/result.h"
#include "datapath/datapath.h"

namespace heddle::dp {

class Taken {
 public:
  Result<> open();
  // Becomes readable when it is time for retry().
  [[nodiscard]] int fd() const { return timer_.get(); }
  void add_port(PortNo no);
  void add_underlay(int ifindex);
  // Forgets all of them and calls the function with each; those that are still taken are to be added again by it.
  // Does nothing before it is time.
  void retry(const std::function<void(PortNo)>& port, const std::function<void(int)>& underlay);

 private:
  void arm();

  Fd timer_;
  std::set<PortNo> ports_;
  std::set<int> underlays_;
  unsigned delay_ms_ = 0;  // 0: nothing was tried in vain
};

}  // namespace heddle::dp
