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
 private:
  template <typename F>
  Result<> change(PortNo no, F&& edit) {
    PortConfig next = configs_.at(no);
    edit(next);
    const auto ok = dp_->ports().apply(next);
    if (!ok) return std::unexpected(ok.error());
    configs_[no] = next;
    return {};
  }

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
      const PortState s = dp_->ports().state(no);
      return s.present && s.link_up;
    });
  }

  // The tests change one aspect of a port at a time; the seam takes whole configurations.
  Result<PortNo> add_port(const PortSpec& spec, const PortPolicy& policy = {}) {
    PortConfig config;
    config.spec = spec;
    config.policy = policy;
    const auto no = dp_->ports().apply(config);
    if (no) configs_[*no] = config;
    return no;
  }
  Result<> set_port(PortNo no, const PortPolicy& policy) {
    return change(no, [&](PortConfig& c) { c.policy = policy; });
  }
  Result<> set_flood(PortNo no, const std::vector<IpAddr>& remotes) {
    return change(no, [&](PortConfig& c) { c.flood = remotes; });
  }
  // Fails with the reason why the QoS is not in force.
  Result<> set_qos(PortNo no, const std::optional<QosSpec>& qos) {
    if (auto ok = change(no, [&](PortConfig& c) { c.qos = qos; }); !ok) return ok;
    const std::string error = dp_->ports().state(no).qos_error;
    if (error.empty()) return {};
    return fail(Errc::system, error);
  }

  std::unique_ptr<Datapath> dp_;
  std::map<PortNo, PortConfig> configs_;
  std::map<PortNo, int> changes_;
};

}  // namespace heddle::dp::test
