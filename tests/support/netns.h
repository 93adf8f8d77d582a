// SPDX-License-Identifier: Apache-2.0
// Network namespaces for tests that need a real kernel network. A Netns owns a new, nameless namespace with lo up; the
// kernel removes the namespace and its virtual devices when the object closes the descriptor. A PrivateNetns is a
// namespace in which the calling thread stays for the object's life. The machine's own network is not changed. Needs
// root, see HEDDLE_NEEDS_NETNS(); errors throw std::runtime_error.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <string>
#include <utility>

#include "base/fd.h"

namespace heddle::test {

// The reason why network namespaces cannot be created; empty when they can.
inline std::string no_netns_because() {
  if (::geteuid() != 0) return "needs root to make network namespaces (run it with sudo)";
  return {};
}

#define HEDDLE_NEEDS_NETNS() \
  if (const std::string why = heddle::test::no_netns_because(); !why.empty()) GTEST_SKIP() << why

// Runs a shell command in the calling thread's namespace; a failure throws with the command in the message.
inline void sh(const std::string& command) {
  if (const int status = std::system(command.c_str()); status != 0)  // NOLINT(cert-env33-c)
    throw std::runtime_error("`" + command + "` failed with status " + std::to_string(status));
}

class Netns {
 public:
  Netns() {
    const Fd home = here();
    if (::unshare(CLONE_NEWNET) != 0)
      throw std::runtime_error(std::string("unshare(CLONE_NEWNET): ") + std::strerror(errno));
    fd_ = here();
    sh("ip link set lo up");
    enter(home.get());
  }

  [[nodiscard]] int fd() const { return fd_.get(); }
  // For `ip link set X netns PATH`.
  [[nodiscard]] std::string path() const {
    return "/proc/" + std::to_string(::getpid()) + "/fd/" + std::to_string(fd_.get());
  }

  // Runs `what` in this namespace on the calling thread, which then returns to its own namespace.
  template <typename F>
  auto in(F&& what) const {
    struct Back {
      Fd home = here();
      ~Back() { ::setns(home.get(), CLONE_NEWNET); }
    } back;
    enter(fd_.get());
    return std::forward<F>(what)();
  }

  static Fd here() {
    Fd fd(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
    if (!fd) throw std::runtime_error(std::string("/proc/thread-self/ns/net: ") + std::strerror(errno));
    return fd;
  }
  static void enter(int ns) {
    if (::setns(ns, CLONE_NEWNET) != 0) throw std::runtime_error(std::string("setns: ") + std::strerror(errno));
  }

 private:
  Fd fd_;
};

class PrivateNetns {
 public:
  PrivateNetns() { Netns::enter(ns_.fd()); }
  ~PrivateNetns() { ::setns(home_.get(), CLONE_NEWNET); }
  PrivateNetns(const PrivateNetns&) = delete;
  PrivateNetns& operator=(const PrivateNetns&) = delete;

  [[nodiscard]] const Netns& ns() const { return ns_; }

 private:
  Fd home_ = Netns::here();
  Netns ns_;
};

// Until the kernel has seen the carrier of a device that is up: only then it makes the routes of its IPv6 addresses.
inline void await_carrier(const std::string& device) {
  sh("timeout 20 sh -c 'until ip -o link show dev " + device + " | grep -q \"state UP\"; do sleep 0.01; done'");
}

// Until the host takes packets to its IPv6 address: the kernel makes that route some time after the address, also
// without duplicate address detection.
inline void await_address(const std::string& address) {
  sh("timeout 20 sh -c 'until ip -6 route show table local | grep -q \"^local " + address +
     " \"; do sleep 0.01; done'");
}

// A veth pair, both ends up, IPv6 duplicate address detection off: `here` in the calling thread's namespace, `there` in
// `peer`.
inline void veth(const std::string& here, const Netns& peer, const std::string& there, unsigned mtu = 1500) {
  const std::string size = " mtu " + std::to_string(mtu);
  sh("ip link add " + here + size + " type veth peer name " + there + size + " netns " + peer.path());
  const auto up = [](const std::string& name) {
    return "echo 0 > /proc/sys/net/ipv6/conf/" + name + "/accept_dad && ip link set " + name + " up";
  };
  sh(up(here));
  peer.in([&] { sh(up(there)), await_carrier(there); });
  await_carrier(here);
}

// A veth pair with both ends in the calling thread's namespace, both up.
inline void veth(const std::string& a, const std::string& b, unsigned mtu = 1500) {
  const std::string size = " mtu " + std::to_string(mtu);
  sh("ip link add " + a + size + " type veth peer name " + b + size);
  sh("ip link set " + a + " up && ip link set " + b + " up");
  await_carrier(a);
  await_carrier(b);
}

}  // namespace heddle::test
