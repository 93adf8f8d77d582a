// SPDX-License-Identifier: Apache-2.0
#include "ovsdb/log_sync.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>
#include <vector>

#include "base/log.h"

namespace heddle::ovsdb {

Result<std::unique_ptr<LogSync>> LogSync::start(const std::string& path) {
  Fd fd(::open(path.c_str(), O_RDWR | O_CLOEXEC));
  if (!fd) return fail_errno(errno, "database log " + path);
  return std::unique_ptr<LogSync>(new LogSync(std::move(fd), path));
}

LogSync::LogSync(Fd fd, std::string path)
    : fd_(std::move(fd)), path_(std::move(path)), thread_([this](const std::stop_token& stop) { run(stop); }) {}

LogSync::~LogSync() {
  thread_.request_stop();
  thread_.join();
}

void LogSync::written() {
  const std::lock_guard lock(mutex_);
  if (unsynced_) return;
  unsynced_ = Clock::now();
  changed_.notify_one();
}

void LogSync::synced() {
  const std::lock_guard lock(mutex_);
  unsynced_.reset();
}

Result<> LogSync::sync() {
  {
    const std::lock_guard lock(mutex_);
    if (!unsynced_ && !syncing_) return {};
  }
  auto done = sync_file();
  if (done) synced();
  return done;
}

Result<> LogSync::sync_file() {
  if (::fdatasync(fd_.get()) == 0) return {};
  return fail_errno(errno, "database log " + path_ + ": sync");
}

void LogSync::reach_ahead() {
  struct stat log {};
  if (::fstat(fd_.get(), &log) < 0 || log.st_size == reached_) return;
  const std::vector<char> zeros(kAhead);
  const auto written = ::pwrite(fd_.get(), zeros.data(), zeros.size(), log.st_size);
  reached_ = log.st_size;
  if (written == static_cast<ssize_t>(zeros.size()))
    reached_ += written;
  else if (::ftruncate(fd_.get(), log.st_size) < 0)  // leaves the last free blocks to SQLite
    reached_ = -1;
}

void LogSync::run(const std::stop_token& stop) {
  pthread_setname_np(pthread_self(), "db-sync");
  std::unique_lock lock(mutex_);
  while (changed_.wait(lock, stop, [this] { return unsynced_.has_value(); })) {
    changed_.wait_until(lock, stop, *unsynced_ + kSyncWithin, [this] { return !unsynced_; });
    // Reset before the sync starts: writes during the sync belong to the next one.
    if (!std::exchange(unsynced_, std::nullopt)) continue;
    syncing_ = true;
    lock.unlock();
    if (auto done = sync_file(); !done)
      spdlog::error("{}; a power failure may take back what was changed last (look at the disk)", done.error().text);
    lock.lock();
    syncing_ = false;
  }
}

}  // namespace heddle::ovsdb
