// SPDX-License-Identifier: Apache-2.0
// Threads that work in a network namespace other than their process's. A thread that has entered stays there until it
// ends: run() therefore gives every piece of work a thread of its own.
#pragma once

#include <functional>
#include <string>

#include "base/result.h"

namespace heddle::bench {

// A device in a named namespace (ip-netns(8)), written NAMESPACE:DEVICE. An empty namespace is the caller's own.
struct NetDevice {
  std::string netns;
  std::string name;
};
Result<NetDevice> parse_net_device(const std::string& text);

// Moves the calling thread into `netns`. Needs CAP_SYS_ADMIN.
Result<> enter_netns(const std::string& netns);

// Runs `work` in a fresh thread inside `netns` and returns what it returned.
Result<> run_in_netns(const std::string& netns, const std::function<Result<>()>& work);

// Binds the calling thread to one CPU; does nothing for a negative number.
Result<> pin_thread(int cpu);

}  // namespace heddle::bench
