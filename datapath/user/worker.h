// SPDX-License-Identifier: Apache-2.0
// One worker thread: polls its queues while there is work, sleeps on their descriptors when there is none.
#pragma once

#include <poll.h>

#include <atomic>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/fd.h"
#include "base/rcu.h"
#include "datapath/user/forwarder.h"

namespace heddle::dp {

class Worker {
 public:
  Worker(unsigned index, FramePool& pool, const RcuPtr<Config>& config, const TunnelPaths& paths, Mailboxes& mail,
         Signal& learned, TimePoint start);
  ~Worker();  // stops the thread
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  Result<> start();
  // Control thread: waits on a queue that is not cheap_to_poll() too. Closing the descriptor ends it.
  Result<> watch(int fd, std::uint32_t io);
  // Control thread, after publishing: returns when the worker has left every earlier configuration, its descriptors
  // too. At once when the thread does not run.
  void take_up(std::uint64_t version);

 private:
  void run();
  bool round(bool& pending);
  void adopt(const Config& config);
  bool wait_for_many(const std::vector<Config::RxQueue>& queues);
  void see_ready();
  void sleep(bool pending);

  unsigned index_;
  const RcuPtr<Config>& config_;
  Mailboxes& mail_;
  Forwarder forwarder_;
  TimePoint start_;
  Fd slow_;  // epoll: descriptors whose state cannot be told without asking
  // What a sleeping worker waits for. A socket in an epoll set costs a call-back for every frame that it sends, awake
  // or asleep; poll(2) costs nothing while awake, but time for each descriptor when falling asleep. So: poll for few,
  // epoll for many.
  std::vector<pollfd> few_;
  Fd many_;
  bool use_many_ = false;
  std::uint64_t newest_ = 0;  // generation of the last descriptor in many_
  std::uint64_t version_ = 0;
  std::atomic<std::uint64_t> taken_up_{0};
  std::vector<bool> ready_;  // by slot: a slow one has input
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

}  // namespace heddle::dp
