// One worker thread: polls its queues while there is work, sleeps on their descriptors when there is none.
#pragma once

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
  // Control thread: waits on a queue's descriptor too. Closing the descriptor ends it. `cheap` as
  // PortIo::cheap_to_poll().
  Result<> watch(int fd, std::uint32_t io, bool cheap);
  // Any thread: the configuration has changed, look.
  void wake() { mail_.bell(index_).raise(); }

 private:
  void run();
  bool round(bool& pending);
  void see_ready();
  void sleep(bool pending);

  unsigned index_;
  const RcuPtr<Config>& config_;
  Mailboxes& mail_;
  Forwarder forwarder_;
  TimePoint start_;
  Fd all_;                   // epoll: everything this worker waits for
  Fd slow_;                  // epoll, inside all_: descriptors whose state cannot be told without asking
  std::vector<bool> ready_;  // by slot: a slow one has input
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

}  // namespace heddle::dp
