// SPDX-License-Identifier: Apache-2.0
// Notifications of the kernel about devices, addresses, routes, neighbours and traffic control.
//
// A Monitor owns two netlink sockets in the network namespace of the thread that called open(). It keeps no copy of the
// tables: read them with Netlink after open(), so that no change is missed. One thread at a time may use a Monitor.
// Only open() fails (Errc::system); a later socket error is reported as an `overrun` event.
//
// The work per drain() is bounded. Routes are not decoded: a drain() reports at most one `route` event, after all other
// events, and the receiver looks up its few destinations again (Netlink::route). When the kernel had to discard
// notifications (socket buffer full, ENOBUFS, see netlink(7)), one `overrun` event follows: the receiver must read
// again everything that it keeps.
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
  // `buffer`: bytes of notifications that may wait in the socket, as far as the kernel allows.
  static Result<std::unique_ptr<Monitor>> open(int buffer = limits::kNetlinkBuffer);
  ~Monitor();
  Monitor(const Monitor&) = delete;
  Monitor& operator=(const Monitor&) = delete;

  // Readable when events wait.
  [[nodiscard]] int fd() const;

  struct Event {
    enum class Kind {
      link_new,   // a device was added or changed; `link` is complete
      link_gone,  // a device was removed; `link` has at least index and name
      address,    // an address of `ifindex` was added, changed or removed
      route,      // some routes changed
      neighbour,  // `neighbour` was added or changed; with state `none` it was removed
      traffic,    // a queueing discipline or TC filter of `ifindex` was added, changed or removed
      overrun,    // notifications were lost
    };
    Kind kind = Kind::overrun;
    Link link;
    Neighbour neighbour;
    int ifindex = 0;  // of link, address, neighbour and traffic events
  };

  // Calls `receive` for each waiting event, in order, without blocking. Reads at most limits::kNetlinkDrain datagrams;
  // fd() stays readable while more wait. `receive` must not call drain().
  void drain(const std::function<void(const Event&)>& receive);

  // Number of losses since open().
  [[nodiscard]] std::uint64_t overruns() const;

 private:
  class Impl;
  explicit Monitor(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace heddle::netlink
