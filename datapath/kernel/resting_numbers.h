// SPDX-License-Identifier: Apache-2.0
// Numbers of ports that are gone. A program that has read such a number must not take the next port of that number for
// the former one, so the number waits for a grace period before it is given again.
//
// Owner: KernelPorts. Control thread.
#pragma once

#include <set>

#include "datapath/kernel/grace_period.h"
#include "datapath/port.h"

namespace heddle::dp {

class RestingNumbers {
 public:
  explicit RestingNumbers(const GracePeriod& grace) : grace_(grace) {}
  void add(PortNo no) { freed_.insert(no); }
  // To be called before the number is given to a port. May wait.
  void wait_for(PortNo no) {
    if (!freed_.contains(no)) return;
    grace_.wait();
    freed_.clear();
  }

 private:
  const GracePeriod& grace_;
  std::set<PortNo> freed_;  // since the last grace period that was waited for
};

}  // namespace heddle::dp
