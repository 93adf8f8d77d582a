// SPDX-License-Identifier: Apache-2.0
// Read-copy-update over liburcu: readers take no lock; the writer publishes a new object, waits for the readers of the
// old object, and frees it. A reading thread holds an RcuThread for its whole life and an RcuGuard around every use of
// a pointer from RcuPtr::read(). A guard must not be held across a sleep.
#pragma once

#include <atomic>
#include <memory>

namespace heddle {

// Registers the calling thread as a reader until the object goes out of scope.
class RcuThread {
 public:
  RcuThread();
  ~RcuThread();
  RcuThread(const RcuThread&) = delete;
  RcuThread& operator=(const RcuThread&) = delete;
};

// A read-side critical section of the calling thread. Guards may nest.
class RcuGuard {
 public:
  RcuGuard();
  ~RcuGuard();
  RcuGuard(const RcuGuard&) = delete;
  RcuGuard& operator=(const RcuGuard&) = delete;
};

// Blocks until every guard that was held at the call has been released. The caller must hold no guard.
void rcu_synchronize();

// Owns the current version of an object, which may be null. read(): a registered thread under a guard. publish() and
// current(): one writer at a time. Destroy only when no thread reads any more.
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
