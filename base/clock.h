// SPDX-License-Identifier: Apache-2.0
// Time as a parameter: the daemon passes SteadyTime, tests of aging and rate limits pass FakeTime.
#pragma once

#include <chrono>

namespace heddle {

using Clock = std::chrono::steady_clock;
using TimePoint = Clock::time_point;
using Duration = Clock::duration;

class TimeSource {
 public:
  virtual ~TimeSource() = default;
  [[nodiscard]] virtual TimePoint now() const = 0;
};

class SteadyTime final : public TimeSource {
 public:
  [[nodiscard]] TimePoint now() const override { return Clock::now(); }
};

// Stands still until advance() is called. For tests; not thread safe.
class FakeTime final : public TimeSource {
 public:
  [[nodiscard]] TimePoint now() const override { return now_; }
  void advance(Duration by) { now_ += by; }

 private:
  TimePoint now_{std::chrono::hours(1000)};
};

}  // namespace heddle
