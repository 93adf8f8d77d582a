#include "datapath/user/worker.h"

#include <pthread.h>
#include <sys/epoll.h>

#include <cerrno>

namespace heddle::dp {
namespace {

// Descriptors that need a system call are asked once in so many rounds while others keep the worker busy.
constexpr unsigned kRoundsPerLook = 8;
constexpr int kPendingRetryMs = 1;
// What woke the worker, beside slots.
constexpr std::uint32_t kBell = 0xffffffff;
constexpr std::uint32_t kSlow = 0xfffffffe;

}  // namespace

Worker::Worker(unsigned index, FramePool& pool, const RcuPtr<Config>& config, const TunnelPaths& paths, Mailboxes& mail,
               Signal& learned, TimePoint start)
    : index_(index),
      config_(config),
      mail_(mail),
      forwarder_(index, pool, paths, mail, learned),
      start_(start),
      all_(epoll_create1(EPOLL_CLOEXEC)),
      slow_(epoll_create1(EPOLL_CLOEXEC)),
      ready_(2 * limits::kPorts) {}

Worker::~Worker() {
  stop_.store(true, std::memory_order_release);
  wake();
  if (thread_.joinable()) thread_.join();
}

Result<> Worker::start() {
  if (!all_ || !slow_) return fail_errno(errno, "epoll");
  epoll_event bell{};
  bell.events = EPOLLIN;
  bell.data.u32 = kBell;
  epoll_event slow{};
  slow.events = EPOLLIN;
  slow.data.u32 = kSlow;
  if (epoll_ctl(all_.get(), EPOLL_CTL_ADD, mail_.bell(index_).fd(), &bell) != 0 ||
      epoll_ctl(all_.get(), EPOLL_CTL_ADD, slow_.get(), &slow) != 0)
    return fail_errno(errno, "epoll");
  thread_ = std::thread([this] { run(); });
  pthread_setname_np(thread_.native_handle(), ("worker" + std::to_string(index_)).c_str());
  return {};
}

Result<> Worker::watch(int fd, std::uint32_t io, bool cheap) {
  epoll_event e{};
  e.events = EPOLLIN;
  e.data.u32 = io;
  if (epoll_ctl(cheap ? all_.get() : slow_.get(), EPOLL_CTL_ADD, fd, &e) != 0) return fail_errno(errno, "epoll");
  return {};
}

// A worker that finds nothing sleeps at once: on a host whose cores are shared with guests, spinning takes from them what it
// hopes to gain (docs/performance.md). Under load there is always something, and it does not sleep.
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
  const auto now = std::chrono::duration_cast<std::chrono::seconds>(Clock::now() - start_).count();
  forwarder_.begin(config, static_cast<std::uint32_t>(now));
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

// The bell is cleared only after waking and before the next round, so a hand-over put in between rings again.
void Worker::sleep(bool pending) {
  std::array<epoll_event, 8> events;
  const int n = epoll_wait(all_.get(), events.data(), static_cast<int>(events.size()), pending ? kPendingRetryMs : -1);
  for (int i = 0; i < n; ++i) {
    const std::uint32_t what = events[static_cast<std::size_t>(i)].data.u32;
    if (what == kBell) mail_.bell(index_).clear();
    if (what == kSlow) see_ready();
  }
}

}  // namespace heddle::dp
