// SPDX-License-Identifier: Apache-2.0
#include "bench/support/netns.h"

#include <fcntl.h>
#include <sched.h>

#include <cerrno>
#include <thread>

#include "base/fd.h"

namespace heddle::bench {

Result<NetDevice> parse_net_device(const std::string& text) {
  const auto colon = text.find(':');
  NetDevice device;
  if (colon != std::string::npos) device.netns = text.substr(0, colon);
  device.name = colon == std::string::npos ? text : text.substr(colon + 1);
  if (device.name.empty()) return fail(Errc::invalid, "'" + text + "' names no device; write NAMESPACE:DEVICE");
  return device;
}

Result<> enter_netns(const std::string& netns) {
  if (netns.empty()) return {};
  const std::string path = "/run/netns/" + netns;
  const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return fail_errno(errno, "network namespace " + netns + " (make it with ip netns add)");
  if (::setns(fd.get(), CLONE_NEWNET) != 0) return fail_errno(errno, "entering network namespace " + netns);
  return {};
}

Result<> run_in_netns(const std::string& netns, const std::function<Result<>()>& work) {
  Result<> result;
  std::thread thread([&] {
    result = enter_netns(netns);
    if (result) result = work();
  });
  thread.join();
  return result;
}

Result<> pin_thread(int cpu) {
  if (cpu < 0) return {};
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<unsigned>(cpu), &set);
  if (::sched_setaffinity(0, sizeof set, &set) != 0) return fail_errno(errno, "binding to CPU " + std::to_string(cpu));
  return {};
}

}  // namespace heddle::bench
