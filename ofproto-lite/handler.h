// SPDX-License-Identifier: Apache-2.0
// The handler thread: takes learn events from the datapath, ages the FDB and runs what control asks of it. It is the
// only thread that touches the Fdb, so the Fdb needs no lock.
//
// Owner: main. start(), stop() and call() belong to the control thread; the datapath must outlive the handler. While
// the thread does not run (before start(), after stop()) call() runs its function in the caller, so that set-up,
// take-down and tests need no thread. Observers of the FDB are called on the thread that runs the change.
//
// Entries that a datapath kept from a former life come as learn events like any other. What the Fdb accepts it installs
// with Stations::put() before the next poll(), as the seam demands of those who want to keep them: work() learns a
// whole batch before it polls again. What it does not accept goes from the datapath too.
//
// The thread sleeps on three things: events, commands, and the earliest time at which an entry may expire. With nothing
// to age it sleeps without a timer. Events and aging go in bounded batches, so a command waits for one batch at most.
#pragma once

#include <array>
#include <atomic>
#include <deque>
#include <functional>
#include <future>
#include <mutex>
#include <thread>
#include <type_traits>

#include "base/clock.h"
#include "base/fd.h"
#include "base/result.h"
#include "datapath/datapath.h"
#include "ofproto-lite/fdb.h"

namespace heddle::ofproto {

class Handler {
 public:
  Handler(dp::Stations& stations, const TimeSource& time);
  ~Handler();
  Handler(const Handler&) = delete;
  Handler& operator=(const Handler&) = delete;

  // See fdb_observer.h. To be called before start() and before the first bridge.
  void add_observer(FdbObserver& observer) { fdb_.add_observer(observer); }

  Result<> start();
  // Runs the commands that wait, then ends the thread. May be called twice.
  void stop();

  // Runs fn(Fdb&) on the handler thread and returns what it returns. Never call it from the handler thread.
  template <typename Fn>
  std::invoke_result_t<Fn, Fdb&> call(Fn fn) {
    if (!thread_.joinable()) return fn(fdb_);
    std::packaged_task<std::invoke_result_t<Fn, Fdb&>(Fdb&)> task(std::move(fn));
    auto answer = task.get_future();
    enqueue([&task](Fdb& fdb) { task(fdb); });
    return answer.get();
  }

  // What one wake-up does; returns true when events may be left. The thread's loop, and tests without a thread.
  bool work();
  // Times the thread has woken up since start(): at rest it stands still.
  [[nodiscard]] std::uint64_t wakeups() const { return wakeups_.load(std::memory_order_relaxed); }

 private:
  using Command = std::function<void(Fdb&)>;

  void enqueue(Command command);
  void run_commands();
  void run();
  [[nodiscard]] int timeout_ms() const;

  dp::Stations& stations_;
  const TimeSource& time_;
  Fdb fdb_;
  Fd epoll_;
  Fd wake_;
  std::mutex mutex_;
  std::deque<Command> commands_;  // under mutex_; each caller waits for its own, so never more than callers
  bool stopping_ = false;         // under mutex_
  std::atomic<std::uint64_t> wakeups_{0};
  std::array<dp::LearnEvent, limits::kEventBatch> events_;
  std::thread thread_;
};

}  // namespace heddle::ofproto
