// SPDX-License-Identifier: Apache-2.0
#include "datapath/user/socket_reaper.h"

#include <pthread.h>

#include <algorithm>
#include <system_error>
#include <utility>

namespace heddle::dp {

SocketReaper::~SocketReaper() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  more_.notify_all();
  for (auto& thread : threads_) thread.join();
}

void SocketReaper::close(Fd socket, int ifindex) {
  const std::lock_guard lock(mutex_);
  if (waiting_.size() >= idle_ && threads_.size() < kThreads) start_thread();
  if (threads_.empty() || waiting_.size() == kWaiting) return;  // closed as it goes out of the caller's scope
  waiting_.push_back({std::move(socket), ifindex});
  open_.insert(ifindex);
  more_.notify_one();
}

void SocketReaper::start_thread() {
  try {
    threads_.emplace_back([this] { run(); });
    pthread_setname_np(threads_.back().native_handle(), "socket-reaper");
  } catch (const std::system_error&) {
    // The threads that run already do it.
  }
}

void SocketReaper::finish(int ifindex) {
  std::unique_lock lock(mutex_);
  std::stable_partition(waiting_.begin(), waiting_.end(), [&](const Item& item) { return item.ifindex == ifindex; });
  done_.wait(lock, [&] { return !open_.contains(ifindex); });
}

void SocketReaper::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    ++idle_;
    more_.wait(lock, [this] { return ending_ || !waiting_.empty(); });
    --idle_;
    if (waiting_.empty()) return;
    Item item = std::move(waiting_.front());
    waiting_.pop_front();
    lock.unlock();
    item.socket.reset();
    lock.lock();
    open_.erase(open_.find(item.ifindex));
    done_.notify_all();
  }
}

}  // namespace heddle::dp
