// SPDX-License-Identifier: Apache-2.0
#include "netlink/namespace.h"

#include <fcntl.h>
#include <sched.h>

#include <cerrno>
#include <string>
#include <thread>

namespace heddle::netlink {
namespace {

Result<Fd> open_namespace(const std::string& path) {
  Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return fail_errno(errno, "network namespace " + path);
  return fd;
}

}  // namespace

Result<> in_namespace(int netns, const std::function<Result<>()>& work) {
  Result<> done;
  std::thread([&] {
    if (::setns(netns, CLONE_NEWNET) != 0)
      done = fail_errno(errno, "entering a network namespace");
    else
      done = work();
  }).join();
  return done;
}

Result<Fd> own_namespace() { return open_namespace("/proc/thread-self/ns/net"); }
Result<Fd> namespace_of(int pid) { return open_namespace("/proc/" + std::to_string(pid) + "/ns/net"); }

}  // namespace heddle::netlink
