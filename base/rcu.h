// SPDX-License-Identifier: Apache-2.0
// Read-copy-update over liburcu: readers take no lock; one writer publishes a new object, waits for the readers of the
// old one, and frees it. A thread that reads must hold an RcuThread for its life and an RcuGuard around every use of a
// pointer that it got from RcuPtr::read(). The guard must not be held across a sleep.
#pragma once

#include <atomic>
#include <memory>

namespace heddle {

// Registers the calling thread as a reader for its scope.
class RcuThread {
 public:
  RcuThread();
  ~RcuThread();
  RcuThread(const RcuThread&) = delete;
  RcuThread& operator=(const RcuThread&) = delete;
};

class RcuGuard {
 public:
  RcuGuard();
  ~RcuGuard();
  RcuGuard(const RcuGuard&) = delete;
  RcuGuard& operator=(const RcuGuard&) = delete;
};

// Waits until every guard that was held at the call has been released. Never call it with a guard held.
void rcu_synchronize();

// Owns the current version. read(): any registered thread under a guard. publish() and current(): one writer at a time.
template <typename T>
class RcuPtr {
 public:
  RcuPtr() = default;
  explicit RcuPtr(std::unique_ptr<const T> first) : ptr_(first.release()) {}
  ~RcuPtr() { delete ptr_.load(std::memory_order_relaxed); }
  RcuPtr(const RcuPtr&) = delete;
  RcuPtr& operator=(const RcuPtr&) = delete;

  [[nodiscard]] const T* read() const { return ptr_.load(std::memory_order_acquire); }
  [[nodiscard]] const T* current() const { return ptr_.load(std::memory_order_relaxed); }
  // Blocks for a grace period, then frees the old version.
  void publish(std::unique_ptr<const T> next) {
    std::unique_ptr<const T> old(ptr_.exchange(next.release(), std::memory_order_acq_rel));
    if (old) rcu_synchronize();
  }

 private:
  std::atomic<const T*> ptr_{nullptr};
};

}  // namespace heddle
