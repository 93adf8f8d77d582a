// SPDX-License-Identifier: Apache-2.0
// Syncs SQLite's log to the disk in a background thread: writes without a sync are on disk kSyncWithin later, plus the
// time of the disk, and the writing thread does not wait.
//
// Owned by the Store. Threads: written(), synced(), sync() and reach_ahead() on the Store's thread. LogSync has its own
// descriptor of the log, so that its fdatasync(2) does not interfere with SQLite; a sync covers all earlier writes by
// any descriptor. Errors: a failed sync of the background thread is logged. The kernel reports the error once on each
// descriptor, so the next durable transaction, which SQLite syncs, fails too.
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

// Transactions of the last second that were not durable may be lost in a power failure.
inline constexpr std::chrono::seconds kSyncWithin{1};

class LogSync {
 public:
  // `path`: the log file, which must exist.
  static Result<std::unique_ptr<LogSync>> start(const std::string& path);
  ~LogSync();  // syncs the last writes
  LogSync(const LogSync&) = delete;
  LogSync& operator=(const LogSync&) = delete;

  void written();  // the log was written without a sync
  void synced();   // SQLite has synced the log
  // Syncs on the caller's thread, if anything is unsynced.
  Result<> sync();
  // Extends the log file by zeros, which SQLite takes for the log's end. A sync of overwritten blocks does not wait for
  // the file system's journal, unlike a sync of a grown file (ext4, xfs). The caller must hold SQLite's write lock, so
  // that no other process writes to the log meanwhile. On a full disk the log stays as it is.
  void reach_ahead();
  static constexpr std::size_t kAhead = 256U << 10U;  // bytes per extension: about fifty commits

 private:
  LogSync(Fd fd, std::string path);
  void run(const std::stop_token& stop);
  Result<> sync_file();

  Fd fd_;
  std::string path_;
  off_t reached_ = -1;  // size of the log after the last reach_ahead()
  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::optional<TimePoint> unsynced_;  // time of the oldest unsynced write, if not covered by the running sync
  bool syncing_ = false;               // the background thread is syncing
  std::jthread thread_;
};

}  // namespace heddle::ovsdb
