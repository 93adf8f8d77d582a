// SPDX-License-Identifier: Apache-2.0
// What makes a program a daemon: its run directory and lock, the background, privileges, limits, readiness.
// Threads: call before any other thread exists (capabilities and locks are inherited, not shared).
#pragma once

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "base/fd.h"
#include "base/result.h"

namespace heddle::vswitchd {

// Makes the directory and its parents; an existing one stays as it is.
Result<> make_directory(const std::string& path, mode_t mode);

// Holds <rundir>/vswitchd.lock for the life of the object: one daemon for one run directory. The lock goes with the
// process, however it ends.
class RunLock {
 public:
  // Errc::exists when another daemon holds it; the text has its process id. A daemon that was killed may need a second
  // to go, because the kernel takes its devices down first: one that holds the lock but does not serve is waited for.
  static Result<RunLock> take(const std::string& rundir, std::chrono::milliseconds patience);

 private:
  explicit RunLock(Fd fd) : fd_(std::move(fd)) {}
  Fd fd_;
};

// Removes control sockets that daemons which were killed left behind. Whoever holds the lock is the only daemon alive.
void remove_stale_sockets(const RunLock& proof, const std::string& rundir);

// A file with our process id, removed with the object.
class PidFile {
 public:
  static Result<PidFile> write(const std::string& path);
  PidFile(PidFile&& other) noexcept : path_(std::exchange(other.path_, {})) {}
  PidFile& operator=(PidFile&&) = delete;
  ~PidFile();

 private:
  explicit PidFile(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

// Tells whoever started us that we serve, or why we cannot: the parent of --detach, and the service manager.
class Starter {
 public:
  Starter() = default;
  void serving();
  void failed(const std::string& why);

 private:
  friend Result<int> detach(const std::function<int(Starter&)>& child);
  Fd parent_;
};

// Runs `child` in a background process of its own session, and returns its exit status for the caller to end with: 0 as
// soon as it serves, 1 with its message on stderr when it fails. In the child it returns what `child` returns.
Result<int> detach(const std::function<int(Starter&)>& child);

// Locked memory for packet buffers and BPF, descriptors for ports and clients.
void raise_limits();

// Keeps user root but only the capabilities that forwarding needs, and takes the rest out of the bounding set.
Result<> drop_privileges();

}  // namespace heddle::vswitchd
