// SPDX-License-Identifier: Apache-2.0
// The ICMP errors that come to this host for packets of its tunnels that were too big on their way. The kernel gives
// such an error to the socket that has the packet's source port; a tunnel's packets have another one for each flow, and
// no socket has any of those.
//
// Owner: KernelNews. Control thread; nothing blocks. open() fails without the right to raw sockets; a host without IPv6
// has none of its errors either.
#pragma once

#include <array>
#include <functional>
#include <memory>

#include "base/fd.h"
#include "base/result.h"
#include "packet/too_big.h"

namespace heddle::dp {

class PathErrors {
 public:
  static Result<std::unique_ptr<PathErrors>> open();
  // Readable when take() has work; a closed one for a family that the host does not have.
  [[nodiscard]] const std::array<Fd, 2>& fds() const { return sockets_; }
  // A bounded number at a time; the others stay for the next call.
  void take(const std::function<void(const packet::TooBig&)>& each);

 private:
  PathErrors() = default;
  std::array<Fd, 2> sockets_;  // IPv4, IPv6
};

}  // namespace heddle::dp
