// SPDX-License-Identifier: Apache-2.0
// News from the kernel: devices, addresses, routes and neighbours that appear, change or go.
//
// A Monitor owns one netlink socket in the network namespace of the thread that called open(). It holds no copy of the
// tables: read those with Netlink after open(), so that no change falls between. One thread at a time may use it.
//
// Churn is bounded. Routes are never decoded, however many change: a drain() reports at most one `route` event, after
// all others, and the receiver asks again (Netlink::route) for the few destinations it cares about. When the kernel
// had to throw news away (socket buffer full, ENOBUFS, see netlink(7)) there is one `overrun` event: the receiver must
// re-read everything it keeps.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "base/limits.h"
#include "base/result.h"
#include "netlink/types.h"

namespace heddle::netlink {

class Monitor {
 public:
  // `buffer`: bytes of news that may wait, as far as the kernel allows.
  static Result<std::unique_ptr<Monitor>> open(int buffer = limits::kNetlinkBuffer);
  ~Monitor();
  Monitor(const Monitor&) = delete;
  Monitor& operator=(const Monitor&) = delete;

  // Readable when events wait.
  [[nodiscard]] int fd() const;

  struct Event {
    enum class Kind {
      link_new,   // a device appeared or changed: `link` has all of it
      link_gone,  // `link` has at least index and name
      address,    // an address of `ifindex` appeared, changed or went
      route,      // some routes changed
      neighbour,  // `neighbour` changed; state none: it is gone
      traffic,    // a queueing discipline or TC filter of `ifindex` came, changed or went
      overrun,    // news were lost
    };
    Kind kind = Kind::overrun;
    Link link;
    Neighbour neighbour;
    int ifindex = 0;  // of link, address, neighbour and traffic events
  };

  // Calls `receive` for each event that waits, in order, and returns; never blocks. Takes a bounded number of messages
  // (limits::kNetlinkDrain): fd() stays readable if there are more. `receive` must not call drain().
  void drain(const std::function<void(const Event&)>& receive);

  // How often news were lost, since open().
  [[nodiscard]] std::uint64_t overruns() const;

 private:
  class Impl;
  explicit Monitor(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace heddle::netlink
