// SPDX-License-Identifier: Apache-2.0
// Closes AF_XDP sockets in the background: close(2) of one that is bound waits until the kernel's RCU has let go of the
// device, some 14 ms (net/xdp/xsk.c, xsk_unbind_dev()), and the control thread would wait as long for each of a
// thousand ports. Several threads do it, since those that wait at the same time wait for the same grace period.
//
// Owner: XskFactory. Threads: close() and finish() on control. Its own threads are started as they are needed and stay;
// the destructor returns when every socket is closed. Nothing fails: when kWaiting sockets wait, or no thread can be
// had, close() closes the socket itself.
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

class SocketReaper {
 public:
  static constexpr std::size_t kThreads = 16;
  static constexpr std::size_t kWaiting = limits::kPorts;

  SocketReaper() = default;
  ~SocketReaper();
  SocketReaper(const SocketReaper&) = delete;
  SocketReaper& operator=(const SocketReaper&) = delete;

  // `ifindex`: the device that the socket is bound to.
  void close(Fd socket, int ifindex);
  // Returns when no socket of the device is left, so that it can be bound to again. Its sockets go before all others.
  void finish(int ifindex);

 private:
  struct Item {
    Fd socket;
    int ifindex;
  };
  void start_thread();
  void run();

  std::mutex mutex_;
  std::condition_variable more_;  // an item waits, or the threads are to end
  std::condition_variable done_;  // a socket was closed
  std::deque<Item> waiting_;
  std::multiset<int> open_;  // devices of the sockets that wait or are being closed
  std::size_t idle_ = 0;     // threads that wait for an item
  bool ending_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace heddle::dp
