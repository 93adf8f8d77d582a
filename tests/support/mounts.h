// SPDX-License-Identifier: Apache-2.0
// A mount namespace that the calling thread moves into for the object's life, with an empty directory of its own: what
// is mounted there (a BPF file system, say) is seen by nobody else and goes with it. Needs root.
#pragma once

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <stdexcept>
#include <string>

#include "base/fd.h"

namespace heddle::test {

class PrivateMounts {
 public:
  PrivateMounts() : home_(::open("/proc/thread-self/ns/mnt", O_RDONLY | O_CLOEXEC)) {
    const auto must = [](bool ok, const char* what) {
      if (!ok) throw std::runtime_error(std::string(what) + ": " + std::strerror(errno));
    };
    must(static_cast<bool>(home_), "/proc/thread-self/ns/mnt");
    std::string made = (std::filesystem::temp_directory_path() / "heddle-XXXXXX").string();
    must(::mkdtemp(made.data()) != nullptr, "mkdtemp");
    dir_ = made;
    must(::unshare(CLONE_NEWNS) == 0, "unshare(CLONE_NEWNS)");
    must(::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0, "making mounts private");
    must(::mount("tmpfs", dir_.c_str(), "tmpfs", 0, nullptr) == 0, "mounting a tmpfs");
  }
  ~PrivateMounts() {
    ::setns(home_.get(), CLONE_NEWNS);  // which also goes to "/"
    std::error_code ignored;
    std::filesystem::current_path(cwd_, ignored);
    ::rmdir(dir_.c_str());
  }
  PrivateMounts(const PrivateMounts&) = delete;
  PrivateMounts& operator=(const PrivateMounts&) = delete;

  [[nodiscard]] const std::string& dir() const { return dir_; }

 private:
  std::filesystem::path cwd_ = std::filesystem::current_path();
  Fd home_;
  std::string dir_;
};

}  // namespace heddle::test
