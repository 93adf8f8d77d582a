// SPDX-License-Identifier: Apache-2.0
// Closes AF_XDP sockets in the background: close(2) of one that is bound waits until the kernel's RCU has let go of the
// device, some 14 ms (net/xdp/xsk.c, xsk_unbind_dev()), and the control thread would wait as long for each of a
// thousand ports. Several threads do it, since those that wait at the same time wait for the same grace period.
//
// Threads: close() and finish() on control. Threads are started as they are needed and stay; the destructor returns
// when everything is closed. Bounded: when kWaiting sockets wait, or no thread can be had, close() does it itself.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

#include "base/fd.h"
#include "base/limits.h"

namespace heddle::dp {

class Closer {
 public:
  static constexpr std::size_t kThreads = 16;
  static constexpr std::size_t kWaiting = limits::kPorts;

  Closer() = default;
  ~Closer();
  Closer(const Closer&) = delete;
  Closer& operator=(const Closer&) = delete;

  // The socket is of this device.
  void close(Fd socket, int ifindex);
  // Returns when no socket of the device is left: before it is bound to again. These go before all others.
  void finish(int ifindex);

 private:
  struct Item {
    Fd socket;
    int ifindex;
  };
  void start_thread();
  void run();

  std::mutex mutex_;
  std::condition_variable more_;  // an item waits, or it is time to end
  std::condition_variable done_;  // one was closed
  std::deque<Item> waiting_;
  std::multiset<int> open_;  // devices of those that wait and those that are being closed
  std::size_t idle_ = 0;     // threads that wait for an item
  bool ending_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace heddle::dp
