// SPDX-License-Identifier: Apache-2.0
#include "vswitchd/loop.h"

#include <malloc.h>
#include <time.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <utility>

namespace heddle::vswitchd {
namespace {

constexpr auto kPiece = std::chrono::milliseconds(5);   // of reconciling, without a look at sockets
constexpr auto kQuick = std::chrono::milliseconds(10);  // a reconcile that nobody need be protected from
constexpr auto kRetry = std::chrono::seconds(2);        // of ports that could not be had
constexpr auto kWork = std::chrono::milliseconds(20);   // of processor time

}  // namespace

Loop::Loop(boost::asio::io_context& io, Reconciler& reconciler, const std::map<std::string, dp::Datapath*>& datapaths)
    : io_(io), reconciler_(reconciler), timer_(io), rest_(io), retry_(io) {
  for (const auto& [type, datapath] : datapaths)
    sources_.push_back({type, *datapath, boost::asio::posix::stream_descriptor(io, datapath->control_fd())});
}

Loop::~Loop() {
  for (Source& source : sources_) source.news.release();  // the datapath owns the descriptor
}

void Loop::start(std::function<void()> applied) {
  applied_ = std::move(applied);
  reconciler_.watch([this] { want(); });
  want();
}

void Loop::end() {
  ended_ = true;
  timer_.cancel();
  rest_.cancel();
  retry_.cancel();
  for (Source& source : sources_) source.news.cancel();
}

// At once when somebody waits for it, or when it is quick. With thousands of ports it is not: then it rests for three
// times as long as it took, so that a client that sends one transaction after the other has its turn.
void Loop::look_again(const std::set<std::string>& ports) {
  reconciler_.look_again(ports);
  want();
}

void Loop::want() {
  if (running_) {
    again_ = true;
    return;
  }
  const bool at_once = took_ < kQuick || reconciler_.awaited();
  if (at_once && !std::exchange(posted_, true)) return boost::asio::post(io_, [this] { reconcile(); });
  if (at_once || std::exchange(resting_, true)) return;
  rest_.expires_after(std::min<Duration>(3 * took_, std::chrono::seconds(1)));
  rest_.async_wait([this](const boost::system::error_code& /*stopped*/) {
    if (std::exchange(resting_, false)) reconcile();
  });
}

void Loop::reconcile() {
  posted_ = resting_ = false;
  rest_.cancel();
  if (ended_ || running_) return;
  const TimePoint begin = Clock::now();
  running_ = true;
  reconciler_.begin();
  took_ = Clock::now() - begin;
  step();
}

void Loop::step() {
  if (ended_) return;
  const TimePoint begin = Clock::now();
  const bool done = reconciler_.step([&] { return Clock::now() - begin > kPiece; });
  took_ += Clock::now() - begin;
  if (!done) return boost::asio::post(io_, [this] { step(); });
  finished();
}

void Loop::finished() {
  running_ = false;
  if (const auto applied = std::exchange(applied_, nullptr)) {
    applied();
    if (ended_) return;
    for (Source& source : sources_) wait_for_devices(source);
    wait_for_causes();
    wait_for_statistics();
  }
  if (std::exchange(again_, false)) want();
}

void Loop::wait_for_devices(Source& source) {
  source.news.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                         [this, &source](const boost::system::error_code& error) {
                           if (error || ended_) return;
                           reconciler_.run_control(source.type, source.datapath);
                           wait_for_devices(source);
                         });
}

void Loop::wait_for_causes() {
  retry_.expires_after(kRetry);
  retry_.async_wait([this](const boost::system::error_code& error) {
    if (error || ended_) return;
    if (!running_ && reconciler_.look_at_failed()) want();
    wait_for_causes();
  });
}

void Loop::wait_for_statistics() {
  timer_.expires_after(reconciler_.statistics_interval());
  timer_.async_wait([this](const boost::system::error_code& error) {
    if (error || ended_) return;
    reconciler_.refresh_statistics();
    give_back_memory();
    wait_for_statistics();
  });
}

// What a large answer or transaction took and left: malloc keeps it. To look for it is work as well, and whoever left
// that much has worked for longer than kWork.
void Loop::give_back_memory() {
  constexpr std::size_t worth = 16U << 20;
  timespec used{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
  const Duration now = std::chrono::seconds(used.tv_sec) + std::chrono::nanoseconds(used.tv_nsec);
  if (now - looked_ < kWork) return;
  looked_ = now;
  const std::size_t free = mallinfo2().fordblks;
  if (free > unused_ + worth) malloc_trim(0);
  unused_ = free > unused_ + worth ? mallinfo2().fordblks : std::min(unused_, free);
}

}  // namespace heddle::vswitchd
