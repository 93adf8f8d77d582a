// SPDX-License-Identifier: Apache-2.0
#include "overlay/evpn/station_writer.h"

#include <fmt/format.h>

#include <chrono>
#include <utility>

#include "base/limits.h"

namespace heddle::overlay::evpn {
namespace {

constexpr Duration kPace = std::chrono::milliseconds(20);

}  // namespace

void StationWriter::use(ShadowKernel* kernel) {
  kernel_ = kernel;
  announcements_.restart();
  write_soon({});
}

void StationWriter::add(const Announcements::Key& key, bool fixed) {
  announcements_.add(key, fixed);
  write_soon({});
}

void StationWriter::remove(const Announcements::Key& key) {
  announcements_.remove(key);
  write_soon({});
}

void StationWriter::restart(Vni vni) {
  announcements_.restart(vni);
  write_soon({});
}

// With its own bridge a network's entries go with that.
void StationWriter::forget_network(Vni vni) {
  const auto told = announcements_.forget_network(vni);
  if (kernel_ != nullptr && kernel_->devices().shared()) (void)kernel_->write(told);
}

void StationWriter::settle() {
  announcements_.settle();
  write_soon({});
}

void StationWriter::write_soon(Duration pause) {
  if (kernel_ == nullptr || std::exchange(waiting_, true)) return;
  timer_.expires_after(pause);
  timer_.async_wait([this, alive = std::weak_ptr(alive_)](const boost::system::error_code& stopped) {
    if (stopped || alive.expired()) return;
    waiting_ = false;
    write();
  });
}

void StationWriter::write() {
  if (kernel_ == nullptr) return;
  const auto writes = announcements_.next(limits::kEvpnWrites, Clock::now());
  const auto done = kernel_->write(writes);
  std::string problem;
  if (!done)
    problem = done.error().text;
  else if (*done > 0)
    problem = fmt::format("the kernel refused {} of {} stations", *done, writes.size());
  unsigned held_back = 0;
  if (!problem.empty() && complaints_.allow(held_back)) spdlog::warn("evpn: {}", problem);
  if (!announcements_.empty()) write_soon(kPace);
}

}  // namespace heddle::overlay::evpn
