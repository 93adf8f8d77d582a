// SPDX-License-Identifier: Apache-2.0
#include "ofproto-lite/handler.h"

#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace heddle::ofproto {

Handler::Handler(dp::Stations& stations, const TimeSource& time)
    : stations_(stations), time_(time), fdb_(stations, time) {}

Handler::~Handler() { stop(); }

Result<> Handler::start() {
  epoll_.reset(epoll_create1(EPOLL_CLOEXEC));
  if (!epoll_) return fail_errno(errno, "handler: epoll_create1");
  wake_.reset(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wake_) return fail_errno(errno, "handler: eventfd");
  for (const int fd : {wake_.get(), stations_.event_fd()}) {
    epoll_event interest{};
    interest.events = EPOLLIN;
    interest.data.fd = fd;
    if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &interest) != 0) return fail_errno(errno, "handler: epoll_ctl");
  }
  stopping_ = false;
  thread_ = std::thread([this] { run(); });
  return {};
}

void Handler::stop() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  eventfd_write(wake_.get(), 1);
  thread_.join();
}

void Handler::enqueue(Command command) {
  {
    const std::lock_guard lock(mutex_);
    commands_.push_back(std::move(command));
  }
  eventfd_write(wake_.get(), 1);
}

void Handler::run_commands() {
  std::deque<Command> batch;
  {
    const std::lock_guard lock(mutex_);
    batch.swap(commands_);
  }
  for (const Command& command : batch) command(fdb_);
}

bool Handler::work() {
  run_commands();
  const std::size_t n = stations_.poll(events_);
  for (std::size_t i = 0; i < n; ++i) fdb_.learn(events_[i]);
  fdb_.tick();
  return n == events_.size();
}

int Handler::timeout_ms() const {
  const auto due = fdb_.next_due();
  if (!due) return -1;
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(*due - time_.now()).count();
  return static_cast<int>(std::clamp<std::int64_t>(left, 0, 3'600'000));
}

void Handler::run() {
  pthread_setname_np(pthread_self(), "handler");
  bool more = false;
  for (;;) {
    std::array<epoll_event, 2> ready{};
    const int n = epoll_wait(epoll_.get(), ready.data(), static_cast<int>(ready.size()), more ? 0 : timeout_ms());
    if (n < 0 && errno != EINTR) {
      spdlog::critical("handler: epoll_wait: {}", strerror(errno));
      std::abort();  // cannot happen with valid descriptors; learning would silently end
    }
    wakeups_.fetch_add(1, std::memory_order_relaxed);
    eventfd_t ignored = 0;
    eventfd_read(wake_.get(), &ignored);
    more = work();
    const std::lock_guard lock(mutex_);
    if (stopping_ && commands_.empty()) return;
  }
}

}  // namespace heddle::ofproto
