// SPDX-License-Identifier: Apache-2.0
#include "datapath/control/kernel_news.h"

#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <cerrno>
#include <set>
#include <utility>

namespace heddle::dp {
namespace {

// Routes may change thousands of times a second (a full Internet table): they are asked for again at most this often.
constexpr auto kRouteDelay = std::chrono::milliseconds(50);

timespec to_timespec(std::chrono::milliseconds t) { return {t.count() / 1000, t.count() % 1000 * 1'000'000}; }

}  // namespace

Result<std::unique_ptr<KernelNews>> KernelNews::open(std::chrono::milliseconds check) {
  std::unique_ptr<KernelNews> news(new KernelNews());
  auto monitor = netlink::Monitor::open();
  if (!monitor) return std::unexpected(monitor.error());
  news->monitor_ = std::move(*monitor);
  auto errors = PathErrors::open();
  if (!errors) return std::unexpected(errors.error());
  news->path_errors_ = std::move(*errors);
  news->check_ = check;
  news->epoll_.reset(epoll_create1(EPOLL_CLOEXEC));
  if (!news->epoll_) return fail_errno(errno, "epoll");
  news->timer_.reset(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC));
  if (!news->timer_) return fail_errno(errno, "timerfd");
  for (const int fd : {news->monitor_->fd(), news->timer_.get()})
    if (auto ok = news->add(fd); !ok) return std::unexpected(ok.error());
  for (const Fd& fd : news->path_errors_->fds())
    if (fd)
      if (auto ok = news->add(fd.get()); !ok) return std::unexpected(ok.error());
  return news;
}

Result<> KernelNews::add(int fd) {
  epoll_event e{};
  e.events = EPOLLIN;
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &e) != 0) return fail_errno(errno, "epoll");
  return {};
}

void KernelNews::start_checks() {
  if (!checking_) arm(true);
}

void KernelNews::arm(bool checks) {
  itimerspec when{};
  if (routes_changed_)
    when.it_value = to_timespec(kRouteDelay);
  else if (checks)
    when.it_value = to_timespec(check_);
  checking_ = routes_changed_ || checks;
  timerfd_settime(timer_.get(), 0, &when, nullptr);
}

// After news were lost.
void KernelNews::reread(netlink::Netlink& kernel, NewsListener& listener) {
  const auto links = kernel.links();
  if (!links) return;
  std::set<int> there;
  for (const auto& link : *links) there.insert(link.index);
  for (const auto& link : listener.held_links())
    if (!there.contains(link.index)) listener.on_link_gone(link);
  for (const auto& link : *links) listener.on_link(link);
}

KernelNews::Due KernelNews::take(netlink::Netlink& kernel, NewsListener& listener, bool follows_routes, bool checks) {
  using Kind = netlink::Monitor::Event::Kind;
  bool routes = false;
  monitor_->drain([&](const netlink::Monitor::Event& e) {
    switch (e.kind) {
      case Kind::link_new:
        listener.on_link(e.link);
        routes = true;
        break;
      case Kind::link_gone:
        listener.on_link_gone(e.link);
        routes = true;
        break;
      case Kind::neighbour:
        routes |= listener.on_neighbour(e.neighbour);
        break;
      case Kind::traffic:
        listener.on_traffic(e.ifindex);
        break;
      case Kind::address:
      case Kind::route:
        routes = true;
        break;
      case Kind::overrun:
        reread(kernel, listener);
        routes = true;
        break;
    }
  });
  path_errors_->take([&](const packet::TooBig& error) { routes |= listener.on_too_big(error); });
  Due due;
  std::uint64_t expired = 0;
  if (read(timer_.get(), &expired, sizeof expired) == sizeof expired) {
    due.routes = std::exchange(routes_changed_, false);
    due.check = !due.routes;
    checking_ = false;
  }
  if (routes && !routes_changed_ && follows_routes) {
    routes_changed_ = true;
    checking_ = false;
  }
  if (!checking_) arm(checks);
  return due;
}

}  // namespace heddle::dp
