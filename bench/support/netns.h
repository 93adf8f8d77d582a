// SPDX-License-Identifier: Apache-2.0
// Work in a network namespace other than the process's. A thread stays in the namespace that it has entered, so run()
// uses a new thread for each call.
#pragma once

#include <functional>
#include <string>

#include "base/result.h"

namespace heddle::bench {

// A device in a named namespace (ip-netns(8)), written NAMESPACE:DEVICE. An empty namespace is the caller's.
struct NetDevice {
  std::string netns;
  std::string name;
};
Result<NetDevice> parse_net_device(const std::string& text);

// Moves the calling thread into `netns`. Needs CAP_SYS_ADMIN.
Result<> enter_netns(const std::string& netns);

// Runs `work` in a new thread inside `netns` and returns its result.
Result<> run_in_netns(const std::string& netns, const std::function<Result<>()>& work);

// Binds the calling thread to one CPU; does nothing for a negative number.
Result<> pin_thread(int cpu);

}  // namespace heddle::bench
