// SPDX-License-Identifier: Apache-2.0
// A datapath whose control side runs when the test waits: base of the fixtures with real devices. Waits are on
// conditions, with a bound.
#pragma once

#include <gtest/gtest.h>
#include <poll.h>

#include <map>
#include <memory>

#include "base/clock.h"
#include "datapath/datapath.h"

namespace heddle::dp::test {

inline constexpr auto kPatience = std::chrono::seconds(30);

class ControlledTest : public ::testing::Test {
 protected:
  // Runs the control side until it is so.
  template <typename F>
  bool settles(F&& is_so) {
    const auto deadline = Clock::now() + kPatience;
    while (!is_so()) {
      if (Clock::now() > deadline) return false;
      pollfd p{dp_->control_fd(), POLLIN, 0};
      ::poll(&p, 1, 100);
      dp_->run_control([&](PortNo no) { ++changes_[no]; });
    }
    return true;
  }
  bool comes_up(PortNo no) {
    return settles([&] {
      const PortState s = dp_->port_state(no);
      return s.present && s.link_up;
    });
  }

  std::unique_ptr<Datapath> dp_;
  std::map<PortNo, int> changes_;
};

}  // namespace heddle::dp::test
