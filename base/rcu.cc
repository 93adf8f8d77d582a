// SPDX-License-Identifier: Apache-2.0
#include "base/rcu.h"

#include <urcu.h>

// ThreadSanitizer does not see how liburcu orders readers before the writer; these two calls declare the same order.
#ifdef __SANITIZE_THREAD__
extern "C" {
void __tsan_acquire(void* address);  // NOLINT(bugprone-reserved-identifier)
void __tsan_release(void* address);  // NOLINT(bugprone-reserved-identifier)
}
namespace {
char tsan_anchor;
void order_release() { __tsan_release(&tsan_anchor); }
void order_acquire() { __tsan_acquire(&tsan_anchor); }
}  // namespace
#else
namespace {
void order_release() {}
void order_acquire() {}
}  // namespace
#endif

namespace heddle {

RcuThread::RcuThread() { rcu_register_thread(); }
RcuThread::~RcuThread() { rcu_unregister_thread(); }

RcuGuard::RcuGuard() { rcu_read_lock(); }
RcuGuard::~RcuGuard() {
  order_release();
  rcu_read_unlock();
}

void rcu_synchronize() {
  synchronize_rcu();
  order_acquire();
}

}  // namespace heddle
