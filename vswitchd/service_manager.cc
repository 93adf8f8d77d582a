// SPDX-License-Identifier: Apache-2.0
#include "vswitchd/service_manager.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <cstring>

#include "base/log.h"
#include "vswitchd/text.h"

namespace heddle::vswitchd {
namespace {

constexpr std::string_view kPrefix = "groups-";
constexpr int kFirst = 3;  // SD_LISTEN_FDS_START

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

}  // namespace

Result<> notify_service_manager(std::string_view message, int fd) {
  const std::string path = environment("NOTIFY_SOCKET");
  sockaddr_un address{};
  // '@' stands for the abstract name space.
  if (path.empty() || (path[0] != '/' && path[0] != '@') || path.size() >= sizeof address.sun_path) return {};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), path.size());
  if (path[0] == '@') address.sun_path[0] = 0;
  const Fd socket_fd(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!socket_fd) return fail_errno(errno, "a socket to the service manager");
  iovec text{const_cast<char*>(message.data()), message.size()};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof fd)> control{};
  msghdr datagram{};
  datagram.msg_name = &address;
  datagram.msg_namelen = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size());
  datagram.msg_iov = &text;
  datagram.msg_iovlen = 1;
  if (fd >= 0) {
    datagram.msg_control = control.data();
    datagram.msg_controllen = control.size();
    cmsghdr* rights = CMSG_FIRSTHDR(&datagram);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(sizeof fd);
    std::memcpy(CMSG_DATA(rights), &fd, sizeof fd);
  }
  if (sendmsg(socket_fd.get(), &datagram, MSG_NOSIGNAL) < 0) return fail_errno(errno, "the service manager");
  return {};
}

// Descriptors of other names are not ours to use: they are closed all the same, since nobody else in this process takes
// them.
KeptSockets KeptSockets::take() {
  KeptSockets kept;
  kept.name_ = fmt::format("{}{}", kPrefix, getpid());
  const auto pid = parse_number(environment("LISTEN_PID"));
  const auto count = parse_number(environment("LISTEN_FDS"));
  const std::string all_names = environment("LISTEN_FDNAMES");
  for (const char* name : {"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"}) unsetenv(name);
  if (!pid || !count || *pid != static_cast<std::uint64_t>(getpid()) || *count > 2 * kMost) return kept;
  std::string_view rest = all_names;
  for (int fd = kFirst; fd < kFirst + static_cast<int>(*count); ++fd) {
    Fd owned(fd);
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    const std::string name(rest.substr(0, rest.find(':')));
    rest.remove_prefix(std::min(rest.size(), name.size() + 1));
    if (!name.starts_with(kPrefix)) continue;
    kept.former_.push_back(std::move(owned));
    if (std::ranges::find(kept.former_names_, name) == kept.former_names_.end()) kept.former_names_.push_back(name);
  }
  return kept;
}

void KeptSockets::keep(int socket) {
  if (kept_ == kMost) return;
  ++kept_;
  if (auto ok = notify_service_manager(fmt::format("FDSTORE=1\nFDNAME={}\nFDPOLL=0", name_), socket); !ok)
    spdlog::warn("multicast groups are left while the daemon is restarted: {}", ok.error().text);
}

void KeptSockets::drop_former() {
  for (const std::string& name : former_names_)
    if (auto ok = notify_service_manager(fmt::format("FDSTOREREMOVE=1\nFDNAME={}", name)); !ok)
      spdlog::warn("{}", ok.error().text);
  former_names_.clear();
  former_.clear();
}

}  // namespace heddle::vswitchd
