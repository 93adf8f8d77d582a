// SPDX-License-Identifier: Apache-2.0
#include "datapath/user/device_retry.h"

#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <utility>

namespace heddle::dp {
namespace {

constexpr unsigned kFirstMs = 20;
constexpr unsigned kMostMs = 5000;

}  // namespace

Result<> DeviceRetry::open() {
  timer_.reset(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC));
  if (!timer_) return fail_errno(errno, "timerfd");
  return {};
}

void DeviceRetry::arm() {
  if (delay_ms_ == 0) delay_ms_ = kFirstMs;
  itimerspec when{};
  when.it_value = {delay_ms_ / 1000, static_cast<long>(delay_ms_ % 1000) * 1'000'000};
  timerfd_settime(timer_.get(), 0, &when, nullptr);
}

void DeviceRetry::add_port(PortNo no) {
  ports_.insert(no);
  arm();
}

void DeviceRetry::add_underlay(int ifindex) {
  underlays_.insert(ifindex);
  arm();
}

void DeviceRetry::retry(const std::function<void(PortNo)>& port, const std::function<void(int)>& underlay) {
  std::uint64_t expired = 0;
  if (read(timer_.get(), &expired, sizeof expired) != sizeof expired) return;
  delay_ms_ = std::min(2 * delay_ms_, kMostMs);
  for (const PortNo no : std::exchange(ports_, {})) port(no);
  for (const int ifindex : std::exchange(underlays_, {})) underlay(ifindex);
  if (ports_.empty() && underlays_.empty()) delay_ms_ = 0;
}

}  // namespace heddle::dp
