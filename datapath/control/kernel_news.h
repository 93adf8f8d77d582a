// SPDX-License-Identifier: Apache-2.0
// The kernel's news (devices, addresses, routes, neighbours) and the network's (packets too big for their path) for a
// provider's control side, and the two times at which it asks the kernel again: soon after routes changed, and now and
// then for changes that come without news.
//
// Owner: a Datapath. Control thread; nothing blocks.
#pragma once

#include <chrono>
#include <memory>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "datapath/control/path_errors.h"
#include "netlink/monitor.h"
#include "netlink/netlink.h"

namespace heddle::dp {

// A provider's part. Links are as the news say; the kernel may be further already.
class NewsListener {
 public:
  virtual ~NewsListener() = default;
  // A device came, or something about it changed.
  virtual void on_link(const netlink::Link& link) = 0;
  virtual void on_link_gone(const netlink::Link& link) = 0;
  // Of this and the next, true: Due::routes is to come soon.
  virtual bool on_neighbour(const netlink::Neighbour& /*neighbour*/) { return false; }
  // A router has said that a UDP packet was too big for it. The kernel may not have read that yet.
  virtual bool on_too_big(const packet::TooBig& /*error*/) { return false; }
  // A queueing discipline or filter at the device came or went.
  virtual void on_traffic(int /*ifindex*/) {}
  // The devices that this provider holds: those that are not there any more are reported gone when news were lost.
  [[nodiscard]] virtual std::vector<netlink::Link> held_links() const = 0;
};

class KernelNews {
 public:
  // `check`: the time between two Due::check.
  static Result<std::unique_ptr<KernelNews>> open(std::chrono::milliseconds check);

  // Readable when take() has work.
  [[nodiscard]] int fd() const { return epoll_.get(); }
  // Makes fd() readable when `fd` is, too; whoever waits for it reads it.
  Result<> add(int fd);

  // Due::check comes from now on, also when there is no news until then.
  void start_checks();

  struct Due {
    bool routes = false;  // routes, addresses or devices changed a moment ago: ask about all of them
    bool check = false;   // time has passed: ask for changes without news
  };
  // Hands all news to the listener. `follows_routes`: somebody is interested in routes; `checks`: and in Due::check.
  Due take(netlink::Netlink& kernel, NewsListener& listener, bool follows_routes, bool checks);

 private:
  KernelNews() = default;
  static void reread(netlink::Netlink& kernel, NewsListener& listener);
  void arm(bool checks);

  std::unique_ptr<netlink::Monitor> monitor_;
  std::unique_ptr<PathErrors> path_errors_;
  std::chrono::milliseconds check_{};
  Fd epoll_, timer_;
  bool routes_changed_ = false;  // and the timer runs for it
  bool checking_ = false;        // the timer runs
};

}  // namespace heddle::dp
