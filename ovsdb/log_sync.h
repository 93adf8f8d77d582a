// SPDX-License-Identifier: Apache-2.0
// Brings SQLite's log onto the disk in a thread of its own: what was written without a sync is there no later than
// kSyncWithin after it was written, plus the time the disk takes, and the thread that writes never waits for it.
//
// Owned by the Store. Threads: written(), synced(), sync() and reach_ahead() on the Store's thread; the descriptor is
// the LogSync's own, so that fdatasync(2) and SQLite's writes do not meet in SQLite. A sync takes in everything that
// was written before it began, by whichever descriptor. Errors: a sync of the thread's that fails is logged. The kernel
// reports it on each descriptor once, so the next durable transaction, which SQLite syncs, fails as well.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "base/clock.h"
#include "base/fd.h"
#include "base/result.h"

namespace heddle::ovsdb {

// What a power failure may take back of transactions that did not ask to be durable.
inline constexpr std::chrono::seconds kSyncWithin{1};

class LogSync {
 public:
  // `path`: the log file, which exists.
  static Result<std::unique_ptr<LogSync>> start(const std::string& path);
  ~LogSync();  // syncs what is left
  LogSync(const LogSync&) = delete;
  LogSync& operator=(const LogSync&) = delete;

  void written();  // something was, without a sync
  void synced();   // somebody else has synced the log
  // Now, on the caller's thread, if there is anything to sync.
  Result<> sync();
  // Makes the log longer than what is in it, by zeros, which SQLite takes for its end. A sync of what overwrites them
  // does not wait for the file system's own journal, as one of a file that has grown does (ext4, xfs). To be called by
  // who holds SQLite's lock for writing: nobody else may write to the log meanwhile. Without room the log stays as it
  // is.
  void reach_ahead();
  static constexpr std::size_t kAhead = 256U << 10U;  // bytes at a time: fifty commits or so

 private:
  LogSync(Fd fd, std::string path);
  void run(const std::stop_token& stop);
  Result<> sync_file();

  Fd fd_;
  std::string path_;
  off_t reached_ = -1;  // the log's size as reach_ahead() left it
  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::optional<TimePoint> unsynced_;  // since when; none: everything is on disk, or will be after `syncing_`
  bool syncing_ = false;               // the thread is at it
  std::jthread thread_;
};

}  // namespace heddle::ovsdb
