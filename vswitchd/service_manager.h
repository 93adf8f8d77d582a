// SPDX-License-Identifier: Apache-2.0
// What the service manager is told (sd_notify(3)), and the sockets that it holds for us while the daemon is restarted
// (sd_pid_notify_with_fds(3), sd_listen_fds(3)). It is systemd, or whoever else sets NOTIFY_SOCKET.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/fd.h"
#include "base/result.h"

namespace heddle::vswitchd {

// One datagram, with a descriptor unless that is -1. Nothing is sent, without an error, where there is no service
// manager. Any thread.
Result<> notify_service_manager(std::string_view message, int fd = -1);

// Sockets that are members of multicast groups. The host stays a member while one daemon ends and the next has not
// joined yet: duplicates of the former daemon's sockets are closed when the new one is ready.
//
// Owner: main. take() before any other thread exists, all else on the control thread. At most kMost are kept.
class KeptSockets {
 public:
  static constexpr std::size_t kMost = 1024;

  // With the sockets of the former daemon, if the service manager had any of ours.
  static KeptSockets take();
  // The service manager gets a duplicate.
  void keep(int socket);
  // The former daemon's are not needed any more.
  void drop_former();

 private:
  std::string name_;  // of this daemon's, with the service manager
  std::vector<Fd> former_;
  std::vector<std::string> former_names_;
  std::size_t kept_ = 0;
};

}  // namespace heddle::vswitchd
