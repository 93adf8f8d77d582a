// SPDX-License-Identifier: Apache-2.0
// A private mount namespace with an empty directory. The calling thread is in the namespace for the object's life;
// mounts below the directory (a BPF file system, for example) are invisible elsewhere and end with the object. Needs
// root; errors throw std::runtime_error.
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
    ::setns(home_.get(), CLONE_NEWNS);  // also changes the working directory to "/"
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
