// SPDX-License-Identifier: Apache-2.0
#include "vswitchd/daemon.h"

#include <cap-ng.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <thread>

#include "base/log.h"
#include "ovsdb/client.h"
#include "vswitchd/service_manager.h"

namespace heddle::vswitchd {
namespace {

Result<> write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = ::write(fd, text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno(errno, "write");
    text.remove_prefix(static_cast<std::size_t>(n));
  }
  return {};
}

std::string read_all(int fd) {
  std::string text;
  std::array<char, 512> buffer;
  for (;;) {
    const ssize_t n = ::read(fd, buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return text;
    text.append(buffer.data(), static_cast<std::size_t>(n));
  }
}

// Whether a daemon answers there. That it can be connected to says little: a process that was killed accepts until the
// kernel has come to closing its sockets.
bool somebody_serves(const std::string& rundir, std::chrono::steady_clock::time_point until) {
  auto client = ovsdb::Client::connect(rundir + "/db.sock", until);
  return client && client->call("echo", ovsdb::Json::array(), until);
}

// Standard streams to /dev/null: nobody reads them in the background.
void leave_terminal() {
  const Fd null(open("/dev/null", O_RDWR | O_CLOEXEC));
  if (!null) return;
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) dup2(null.get(), fd);
}

}  // namespace

Result<> make_directory(const std::string& path, mode_t mode) {
  std::error_code error;
  if (std::filesystem::is_directory(path, error)) return {};
  const auto parent = std::filesystem::path(path).parent_path();
  if (!parent.empty()) std::filesystem::create_directories(parent, error);
  if (mkdir(path.c_str(), mode) != 0 && errno != EEXIST) return fail_errno(errno, "cannot create directory " + path);
  // The umask may have taken bits away that others need to reach the sockets.
  if (chmod(path.c_str(), mode) != 0) return fail_errno(errno, "directory " + path);
  return {};
}

Result<RunLock> RunLock::take(const std::string& rundir, std::chrono::milliseconds patience) {
  const auto until = std::chrono::steady_clock::now() + patience;
  const std::string path = rundir + "/vswitchd.lock";
  Fd fd(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
  if (!fd) return fail_errno(errno, "cannot open " + path);
  while (flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return fail_errno(errno, "cannot lock " + path);
    if (!somebody_serves(rundir, until) && std::chrono::steady_clock::now() < until) {
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
      continue;
    }
    std::string pid = read_all(fd.get());
    pid.erase(pid.find_last_not_of('\n') + 1);
    return fail(Errc::exists, fmt::format("already running on {} (pid {})", rundir, pid.empty() ? "unknown" : pid));
  }
  if (ftruncate(fd.get(), 0) != 0) return fail_errno(errno, "cannot write " + path);
  if (auto r = write_all(fd.get(), fmt::format("{}\n", getpid())); !r)
    return fail(Errc::system, path + ": " + r.error().text);
  return RunLock(std::move(fd));
}

void remove_stale_sockets(const RunLock& /*proof*/, const std::string& rundir) {
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(rundir, error)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with("vswitchd.") && name.ends_with(".ctl")) unlink(entry.path().c_str());
  }
}

Result<PidFile> PidFile::write(const std::string& path) {
  const Fd fd(open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
  if (!fd) return fail_errno(errno, "cannot write pid file " + path);
  if (auto r = write_all(fd.get(), fmt::format("{}\n", getpid())); !r)
    return fail(Errc::system, "pid file " + path + ": " + r.error().text);
  return PidFile(path);
}

PidFile::~PidFile() {
  if (!path_.empty()) unlink(path_.c_str());
}

void Starter::serving() {
  if (auto r = notify_service_manager("READY=1"); !r) spdlog::warn("cannot tell that we serve: {}", r.error().text);
  if (!parent_) return;
  leave_terminal();
  if (auto r = write_all(parent_.get(), "+"); !r) spdlog::debug("the starting process has gone");
  parent_.reset();
}

void Starter::failed(const std::string& why) {
  if (!parent_) {
    fmt::print(stderr, "vswitchd: {}\n", why);
    return;
  }
  if (auto r = write_all(parent_.get(), why); !r) spdlog::error("{}", why);
  parent_.reset();
}

Result<int> detach(const std::function<int(Starter&)>& child) {
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) return fail_errno(errno, "pipe");
  Fd reader(ends[0]);
  Fd writer(ends[1]);
  const pid_t pid = fork();
  if (pid < 0) return fail_errno(errno, "fork");
  if (pid == 0) {
    reader.reset();
    setsid();
    if (chdir("/") != 0) spdlog::warn("chdir /: {}", std::strerror(errno));
    Starter starter;
    starter.parent_ = std::move(writer);
    return child(starter);
  }
  writer.reset();
  const std::string word = read_all(reader.get());
  if (word == "+") return 0;
  int status = 0;
  if (word.empty()) waitpid(pid, &status, 0);
  fmt::print(stderr, "vswitchd: {}\n",
             word.empty() ? fmt::format("the daemon ended before it served (wait status {})", status) : word);
  return 1;
}

namespace {

// Raises a limit to `want`, or as far as this process may.
void raise_limit(int which, const char* name, rlim_t want) {
  rlimit limit{};
  if (getrlimit(static_cast<__rlimit_resource>(which), &limit) != 0 || limit.rlim_cur >= want) return;
  const rlimit wanted{want, std::max(want, limit.rlim_max)};
  if (setrlimit(static_cast<__rlimit_resource>(which), &wanted) == 0) return;
  limit.rlim_cur = limit.rlim_max;
  if (setrlimit(static_cast<__rlimit_resource>(which), &limit) != 0) {
    spdlog::warn("cannot raise {}: {}", name, std::strerror(errno));
  } else {
    spdlog::debug("{} is at its hard limit, {}", name, limit.rlim_max);
  }
}

}  // namespace

void raise_limits() {
  raise_limit(RLIMIT_MEMLOCK, "RLIMIT_MEMLOCK", RLIM_INFINITY);
  raise_limit(RLIMIT_NOFILE, "RLIMIT_NOFILE", 65536);
}

Result<> drop_privileges() {
  // NET_ADMIN, NET_RAW: devices and AF_XDP. BPF, PERFMON: XDP programs. SYS_ADMIN: the same before Linux 5.8.
  // IPC_LOCK: packet memory.
  constexpr std::array keep{CAP_NET_ADMIN, CAP_NET_RAW, CAP_BPF, CAP_PERFMON, CAP_SYS_ADMIN, CAP_IPC_LOCK};
  if (geteuid() != 0)
    return fail(Errc::system, "must be started as root: it needs CAP_NET_ADMIN and CAP_BPF for network devices");
  if (capng_get_caps_process() != 0) return fail(Errc::system, "cannot read the process's capabilities");
  std::array<bool, keep.size()> had{};
  for (std::size_t i = 0; i < keep.size(); ++i)
    had[i] = capng_have_capability(CAPNG_PERMITTED, static_cast<unsigned>(keep[i])) != 0;
  // Without SETPCAP (some containers) the bounding set cannot be reduced; what is not permitted stays out all the same.
  const bool bounds = capng_have_capability(CAPNG_EFFECTIVE, CAP_SETPCAP) != 0;
  capng_clear(CAPNG_SELECT_BOTH);
  for (std::size_t i = 0; i < keep.size(); ++i) {
    if (!had[i]) continue;  // a container may not have it; what fails for want of it says so
    const auto sets = static_cast<capng_type_t>(CAPNG_EFFECTIVE | CAPNG_PERMITTED | CAPNG_BOUNDING_SET);
    if (capng_update(CAPNG_ADD, sets, static_cast<unsigned>(keep[i])) != 0)
      return fail(Errc::system, "cannot choose capabilities");
  }
  if (capng_apply(bounds ? CAPNG_SELECT_BOTH : CAPNG_SELECT_CAPS) != 0)
    return fail(Errc::system, "cannot drop capabilities");
  return {};
}

}  // namespace heddle::vswitchd
