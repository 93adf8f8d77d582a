// SPDX-License-Identifier: Apache-2.0
#include "datapath/user/worker.h"

#include <pthread.h>
#include <sys/epoll.h>

#include <algorithm>
#include <cerrno>

namespace heddle::dp {
namespace {

// Descriptors that need a system call are asked once in so many rounds while others keep the worker busy.
constexpr unsigned kRoundsPerLook = 8;
constexpr std::chrono::milliseconds kPendingRetry{1};
// Descriptors up to which a sleeping worker uses poll(2).
constexpr std::size_t kFew = 64;
// What woke the worker.
constexpr std::uint32_t kWakeup = 0xffffffff;
constexpr std::uint32_t kSlow = 0xfffffffe;
constexpr std::uint32_t kPort = 0;  // any

timespec to_timespec(std::chrono::nanoseconds t) {
  const auto whole = std::chrono::duration_cast<std::chrono::seconds>(t);
  return {whole.count(), (t - whole).count()};
}

}  // namespace

Worker::Worker(unsigned index, FramePool& pool, const RcuPtr<Config>& config, const TunnelPaths& paths, Mailboxes& mail,
               Signal& learned, TimePoint start)
    : index_(index),
      config_(config),
      mail_(mail),
      forwarder_(index, pool, paths, mail, learned),
      start_(start),
      slow_(epoll_create1(EPOLL_CLOEXEC)),
      ready_(2 * limits::kPorts) {}

Worker::~Worker() {
  stop_.store(true, std::memory_order_release);
  mail_.wakeup(index_).raise();
  if (thread_.joinable()) thread_.join();
}

Result<> Worker::start() {
  if (!slow_) return fail_errno(errno, "epoll");
  thread_ = std::thread([this] { run(); });
  pthread_setname_np(thread_.native_handle(), ("worker" + std::to_string(index_)).c_str());
  return {};
}

Result<> Worker::watch(int fd, std::uint32_t io) {
  epoll_event e{};
  e.events = EPOLLIN;
  e.data.u32 = io;
  if (epoll_ctl(slow_.get(), EPOLL_CTL_ADD, fd, &e) != 0) return fail_errno(errno, "epoll");
  return {};
}

void Worker::take_up(std::uint64_t version) {
  if (!thread_.joinable()) return;
  mail_.wakeup(index_).raise();
  for (std::uint64_t seen = taken_up_.load(std::memory_order_acquire); seen < version;
       seen = taken_up_.load(std::memory_order_acquire))
    taken_up_.wait(seen, std::memory_order_acquire);
}

// A descriptor that is polled keeps its socket alive, so the control thread waits for this before it closes one.
void Worker::adopt(const Config& config) {
  version_ = config.version;
  few_ = {{mail_.wakeup(index_).fd(), POLLIN, 0}, {slow_.get(), POLLIN, 0}};
  const auto& queues = config.rx[index_];
  for (const Config::RxQueue& rx : queues) {
    if (rx.cheap) few_.push_back({rx.fd, POLLIN, 0});
  }
  if (few_.size() > kFew) {
    use_many_ = wait_for_many(queues);
  } else {
    if (use_many_) many_.reset();  // empties it; made again when it is needed
    use_many_ = false;
  }
  taken_up_.store(version_, std::memory_order_release);
  taken_up_.notify_all();
}

// Adds to the epoll set what it does not have; those that are closed leave it by themselves. When that fails poll(2)
// serves, if slower.
bool Worker::wait_for_many(const std::vector<Config::RxQueue>& queues) {
  const auto add = [this](int fd, std::uint32_t what) {
    epoll_event e{};
    e.events = EPOLLIN;
    e.data.u32 = what;
    return epoll_ctl(many_.get(), EPOLL_CTL_ADD, fd, &e) == 0;
  };
  bool good = true;
  if (!use_many_) {
    many_.reset(epoll_create1(EPOLL_CLOEXEC));
    newest_ = 0;
    good = many_ && add(few_[0].fd, kWakeup) && add(few_[1].fd, kSlow);
  }
  const auto is_new = [this](const Config::RxQueue& rx) { return rx.generation > newest_; };
  for (auto rx = std::find_if(queues.begin(), queues.end(), is_new); good && rx != queues.end(); ++rx)
    good = !rx->cheap || add(rx->fd, kPort);
  newest_ = queues.back().generation;
  if (!good) many_.reset();
  return good;
}

// A worker that finds nothing sleeps at once: on a host whose cores are shared with guests, spinning takes from them
// what it hopes to gain (docs/performance.md). Under load there is always something, and it does not sleep.
void Worker::run() {
  const RcuThread registered;
  unsigned rounds = 0;
  while (!stop_.load(std::memory_order_acquire)) {
    bool pending = false;
    if (round(pending)) {
      if (++rounds % kRoundsPerLook == 0) see_ready();
    } else {
      sleep(pending);
    }
  }
}

// Takes one batch from every queue, so that a busy port cannot hold up the others. True when there was any.
bool Worker::round(bool& pending) {
  const RcuGuard guard;
  const Config& config = *config_.read();
  if (version_ != config.version) adopt(config);
  forwarder_.begin(config, Clock::now() - start_);
  bool worked = false;
  for (const Config::RxQueue& rx : config.rx[index_]) {
    if (!rx.cheap && !ready_[rx.io]) continue;
    const IoConf& io = *config.ios[rx.io];
    Batch batch;
    io.io->receive(rx.queue, forwarder_.cache(), batch, io.shared->worker[index_].counters);
    if (!rx.cheap) ready_[rx.io] = batch.n > 0;
    if (batch.n == 0) continue;
    worked = true;
    forwarder_.input(rx.io, batch);
  }
  for (unsigned from = 0; from < mail_.workers(); ++from) {
    Handover item;
    for (std::size_t n = 0; n < 2 * limits::kBatch && mail_.take(from, index_, item); ++n) {
      forwarder_.resume(item);
      worked = true;
    }
  }
  forwarder_.flush();
  pending = forwarder_.nudge();
  return worked;
}

void Worker::see_ready() {
  std::array<epoll_event, 64> events;
  const int n = epoll_wait(slow_.get(), events.data(), static_cast<int>(events.size()), 0);
  for (int i = 0; i < n; ++i) ready_[events[static_cast<std::size_t>(i)].data.u32] = true;
}

// The wakeup is cleared only after waking and before the next round, so a hand-over put in between raises it again.
void Worker::sleep(bool pending) {
  std::optional<std::chrono::nanoseconds> limit;
  if (pending) limit = kPendingRetry;
  if (const auto due = forwarder_.next_release()) {
    const auto wait = std::max(*due - (Clock::now() - start_), std::chrono::nanoseconds(0));
    limit = std::min(limit.value_or(wait), wait);
  }
  if (!use_many_) {
    const timespec time = to_timespec(limit.value_or(std::chrono::nanoseconds(0)));
    if (ppoll(few_.data(), few_.size(), limit ? &time : nullptr, nullptr) <= 0) return;
    if (few_[0].revents != 0) mail_.wakeup(index_).clear();
    if (few_[1].revents != 0) see_ready();
    return;
  }
  const int timeout = limit ? static_cast<int>(std::chrono::ceil<std::chrono::milliseconds>(*limit).count()) : -1;
  std::array<epoll_event, 8> events;
  const int n = epoll_wait(many_.get(), events.data(), static_cast<int>(events.size()), timeout);
  for (int i = 0; i < n; ++i) {
    const std::uint32_t what = events[static_cast<std::size_t>(i)].data.u32;
    if (what == kWakeup) mail_.wakeup(index_).clear();
    if (what == kSlow) see_ready();
  }
}

}  // namespace heddle::dp
