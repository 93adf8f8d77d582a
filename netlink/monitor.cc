// SPDX-License-Identifier: Apache-2.0
#include "netlink/monitor.h"

#include <linux/rtnetlink.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <span>
#include <vector>

#include "base/fd.h"
#include "base/limits.h"
#include "netlink/wire.h"

namespace heddle::netlink {
namespace {

constexpr int kRouteBuffer = 64 << 10;

// A non-blocking socket in the multicast groups `groups`, with room for `buffer` bytes of notifications.
Result<Fd> subscribe(std::span<const int> groups, int buffer) {
  Fd fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE));
  if (!fd) return fail_errno(errno, "opening a netlink socket");
  // SO_RCVBUFFORCE exceeds net.core.rmem_max with CAP_NET_ADMIN; a smaller buffer only overruns sooner.
  if (::setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof buffer) != 0)
    ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUF, &buffer, sizeof buffer);
  sockaddr_nl any{};
  any.nl_family = AF_NETLINK;
  if (::bind(fd.get(), reinterpret_cast<sockaddr*>(&any), sizeof any) != 0)
    return fail_errno(errno, "binding a netlink socket");
  for (const int group : groups)
    if (::setsockopt(fd.get(), SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group) != 0)
      return fail_errno(errno, "joining netlink group " + std::to_string(group));
  return fd;
}

}  // namespace

// Two sockets behind one epoll descriptor. Routes have a socket of their own with a small buffer, so that many route
// changes cost little and never displace notifications of devices and neighbours. An overrun of the route socket loses
// nothing, since a route event only says that some routes changed.
class Monitor::Impl {
 public:
  Impl(Fd poll, Fd news, Fd routes)
      : poll_(std::move(poll)), news_(std::move(news)), routes_(std::move(routes)), buffer_(65536) {}

  [[nodiscard]] int fd() const { return poll_.get(); }
  [[nodiscard]] std::uint64_t overruns() const { return overruns_; }

  void drain(const std::function<void(const Event&)>& receive) {
    bool empty = false;
    for (std::size_t i = 0; i < limits::kNetlinkDrain && !empty; ++i) {
      switch (take(news_)) {
        case Took::nothing:
          empty = true;
          break;
        case Took::loss:
          lost();
          break;
        // After a loss, waiting notifications are older than the tables that the receiver will read.
        case Took::some:
          if (!lost_) digest(receive);
          break;
      }
    }
    // Only with an empty queue: until then the kernel may discard more notifications without another ENOBUFS.
    if (lost_ && empty) {
      lost_ = false;
      receive(Event{Event::Kind::overrun, {}, {}, 0});
    }
    if (drain_routes()) receive(Event{Event::Kind::route, {}, {}, 0});
  }

 private:
  enum class Took { nothing, some, loss };

  Took take(const Fd& from) {
    for (;;) {
      sockaddr_nl who{};
      iovec iov{buffer_.data(), buffer_.size()};
      msghdr m{};
      m.msg_name = &who;
      m.msg_namelen = sizeof who;
      m.msg_iov = &iov;
      m.msg_iovlen = 1;
      const auto size = ::recvmsg(from.get(), &m, 0);
      if (size < 0 && errno == EINTR) continue;
      if (size < 0) return errno == EAGAIN ? Took::nothing : Took::loss;
      if (who.nl_pid != 0) continue;  // not from the kernel
      if ((m.msg_flags & MSG_TRUNC) != 0) return Took::loss;
      size_ = static_cast<int>(size);
      return Took::some;
    }
  }

  void lost() {
    if (!lost_) ++overruns_;
    lost_ = true;
  }

  bool drain_routes() {
    bool any = false;
    for (std::size_t i = 0; i < limits::kNetlinkDrain; ++i) {
      if (take(routes_) == Took::nothing) break;
      any = true;
    }
    return any;
  }

  void digest(const std::function<void(const Event&)>& receive) {
    int left = size_;
    for (auto* h = reinterpret_cast<nlmsghdr*>(buffer_.data()); nlmsg_ok(h, left) != 0; h = nlmsg_next(h, &left)) {
      Event e;
      switch (h->nlmsg_type) {
        case RTM_NEWLINK:
        case RTM_DELLINK:
          if (auto l = wire::link(h)) {
            e.kind = h->nlmsg_type == RTM_NEWLINK ? Event::Kind::link_new : Event::Kind::link_gone;
            e.ifindex = l->index;
            e.link = std::move(*l);
            receive(e);
          }
          break;
        case RTM_NEWADDR:
        case RTM_DELADDR:
          if (auto a = wire::address(h)) {
            e.kind = Event::Kind::address;
            e.ifindex = a->ifindex;
            receive(e);
          }
          break;
        case RTM_NEWNEIGH:
        case RTM_DELNEIGH:
          if (auto n = wire::neighbour(h)) {
            e.kind = Event::Kind::neighbour;
            e.ifindex = n->ifindex;
            e.neighbour = *n;
            receive(e);
          }
          break;
        case RTM_NEWQDISC:
        case RTM_DELQDISC:
        case RTM_NEWTFILTER:
        case RTM_DELTFILTER:
          if (nlmsg_valid_hdr(h, sizeof(tcmsg)) != 0) {
            e.kind = Event::Kind::traffic;
            e.ifindex = static_cast<const tcmsg*>(nlmsg_data(h))->tcm_ifindex;
            receive(e);
          }
          break;
        default:
          break;
      }
    }
  }

  Fd poll_;
  Fd news_;
  Fd routes_;
  std::vector<char> buffer_;
  int size_ = 0;
  bool lost_ = false;
  std::uint64_t overruns_ = 0;
};

Monitor::Monitor(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Monitor::~Monitor() = default;
int Monitor::fd() const { return impl_->fd(); }
std::uint64_t Monitor::overruns() const { return impl_->overruns(); }
void Monitor::drain(const std::function<void(const Event&)>& receive) { impl_->drain(receive); }

Result<std::unique_ptr<Monitor>> Monitor::open(int buffer) {
  constexpr std::array kNews{RTNLGRP_LINK, RTNLGRP_NEIGH, RTNLGRP_TC, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR};
  constexpr std::array kRoutes{RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE, RTNLGRP_IPV4_RULE, RTNLGRP_IPV6_RULE,
                               RTNLGRP_NEXTHOP};
  const std::vector<int> news_groups(kNews.begin(), kNews.end());
  const std::vector<int> route_groups(kRoutes.begin(), kRoutes.end());
  auto news = subscribe(news_groups, buffer);
  if (!news) return std::unexpected(news.error());
  auto routes = subscribe(route_groups, kRouteBuffer);
  if (!routes) return std::unexpected(routes.error());
  Fd poll(::epoll_create1(EPOLL_CLOEXEC));
  if (!poll) return fail_errno(errno, "epoll_create1");
  for (const int fd : {news->get(), routes->get()}) {
    epoll_event want{};
    want.events = EPOLLIN;
    if (::epoll_ctl(poll.get(), EPOLL_CTL_ADD, fd, &want) != 0) return fail_errno(errno, "epoll_ctl");
  }
  return std::unique_ptr<Monitor>(
      new Monitor(std::make_unique<Impl>(std::move(poll), std::move(*news), std::move(*routes))));
}

}  // namespace heddle::netlink
