// SPDX-License-Identifier: Apache-2.0
#include "datapath/kernel/pins.h"

#include <bpf/bpf.h>
#include <linux/magic.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <functional>

#include "base/log.h"

namespace heddle::dp {
namespace {

namespace fs = std::filesystem;

bool is_bpffs(const std::string& dir) {
  struct statfs s {};
  return statfs(dir.c_str(), &s) == 0 && static_cast<unsigned long>(s.f_type) == BPF_FS_MAGIC;
}

// What is mounted in another one than the first process's ends with those who live in it.
bool in_first_mount_namespace() {
  struct stat ours {};
  struct stat first {};
  if (stat("/proc/self/ns/mnt", &ours) != 0 || stat("/proc/1/ns/mnt", &first) != 0) return true;
  return ours.st_ino == first.st_ino && ours.st_dev == first.st_dev;
}

std::uint32_t hash(const std::string& text) {  // FNV-1a
  std::uint32_t h = 2166136261U;
  for (const char c : text) h = (h ^ static_cast<unsigned char>(c)) * 16777619U;
  return h;
}

// No dots: a BPF file system refuses them. The hash keeps owners apart that look alike afterwards.
std::string file_name(const std::string& owner) {
  std::string name = owner;
  for (char& c : name)
    if (std::isalnum(static_cast<unsigned char>(c)) == 0) c = '-';
  constexpr std::size_t kReadable = 100;
  return fmt::format("{}-{:08x}", name.substr(name.size() > kReadable ? name.size() - kReadable : 0), hash(owner));
}

void remove_dir(const std::string& dir) {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(dir, error)) ::unlink(entry.path().c_str());
  if (::rmdir(dir.c_str()) != 0 && errno != ENOENT) spdlog::warn("cannot remove {}: {}", dir, std::strerror(errno));
}

}  // namespace

bool Pins::exist(const std::string& bpffs, const std::string& owner) {
  std::error_code error;
  return is_bpffs(bpffs) && fs::exists(fs::path(bpffs) / file_name(owner), error);
}

Pins::Pins(const std::string& bpffs, const std::string& owner, unsigned layout) : mark_(std::max(hash(owner), 1U)) {
  std::error_code error;
  if (!is_bpffs(bpffs)) {
    fs::create_directories(bpffs, error);
    if (mount("bpf", bpffs.c_str(), "bpf", 0, "mode=0700") != 0) {
      why_ = fmt::format("no BPF file system at {} and none can be mounted there ({})", bpffs, std::strerror(errno));
      return;
    }
    spdlog::info("mounted a BPF file system at {}", bpffs);
    if (!in_first_mount_namespace())
      spdlog::warn(
          "{} is mounted for this process alone (ip netns exec, a container): what is kept there goes with it, so "
          "forwarding will stop when the daemon ends; give --bpffs one that was mounted before",
          bpffs);
  }
  owner_dir_ = bpffs + "/" + file_name(owner);
  const std::string dir = owner_dir_ + "/layout-" + std::to_string(layout);
  fs::create_directories(dir, error);
  if (error)
    why_ = fmt::format("cannot make {}: {}", dir, error.message());
  else
    dir_ = dir;
}

Fd Pins::open(const std::string& name) const {
  if (dir_.empty()) return {};
  return Fd(bpf_obj_get((dir_ + "/" + name).c_str()));
}

std::vector<Fd> Pins::open_in_other_layouts(const std::string& name) const {
  std::vector<Fd> out;
  for (const std::string& dir : other_layouts())
    if (Fd fd(bpf_obj_get(fmt::format("{}/{}", dir, name).c_str())); fd) out.push_back(std::move(fd));
  return out;
}

Result<> Pins::pin(int fd, const std::string& name) const {
  if (dir_.empty()) return {};
  const std::string at = dir_ + "/" + name;
  if (bpf_obj_pin(fd, at.c_str()) == 0) return {};
  if (errno != EEXIST) return fail_errno(errno, "pinning " + at);
  const std::string beside = at + "-new";
  ::unlink(beside.c_str());
  if (bpf_obj_pin(fd, beside.c_str()) != 0) return fail_errno(errno, "pinning " + beside);
  if (std::rename(beside.c_str(), at.c_str()) != 0) return fail_errno(errno, "pinning " + at);
  return {};
}

void Pins::unpin(const std::string& name) const {
  if (!dir_.empty()) ::unlink((dir_ + "/" + name).c_str());
}

std::vector<std::string> Pins::names() const {
  std::vector<std::string> out;
  std::error_code error;
  if (dir_.empty()) return out;
  for (const auto& entry : fs::directory_iterator(dir_, error)) out.push_back(entry.path().filename().string());
  std::ranges::sort(out);
  return out;
}

std::vector<std::string> Pins::other_layouts() const {
  std::vector<std::string> out;
  std::error_code error;
  if (dir_.empty()) return out;
  for (const auto& entry : fs::directory_iterator(owner_dir_, error))
    if (entry.path() != dir_) out.push_back(entry.path().string());
  return out;
}

Result<> Pins::set_aside() const {
  if (dir_.empty()) return {};
  std::error_code error;
  int number = 1;
  while (fs::exists(fmt::format("{}-aside-{}", dir_, number), error)) ++number;
  const std::string aside = fmt::format("{}-aside-{}", dir_, number);
  if (std::rename(dir_.c_str(), aside.c_str()) != 0) return fail_errno(errno, "renaming " + dir_ + " to " + aside);
  if (::mkdir(dir_.c_str(), 0777) != 0) return fail_errno(errno, "making " + dir_);
  return {};
}

void Pins::remove_other_layouts() const {
  for (const std::string& dir : other_layouts()) remove_dir(dir);
}

void Pins::remove_all() const {
  if (dir_.empty()) return;
  remove_dir(dir_);
  ::rmdir(owner_dir_.c_str());  // fails while another layout is there
}

}  // namespace heddle::dp
