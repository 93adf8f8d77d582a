// SPDX-License-Identifier: Apache-2.0
// The arithmetic of every rate in the datapath: the generic cell rate algorithm in its virtual scheduling form (ITU-T
// I.371 annex A), which is a token bucket kept in one number. That number is the theoretical arrival time: when the
// bucket would be full again. A bucket that holds a burst of T seconds' worth is not empty while the theoretical
// arrival time is at most T ahead; then a frame passes, whatever its length, and puts the time off by its cost. So a
// frame longer than the burst passes too, and the average holds.
//
// A Gcra is the constants of one rate, without state: any thread. Ticks are 1/64 ns since the datapath's start, 9 years
// of which fit. Nothing fails; a burst of more than half a year is taken as that.
#pragma once

#include <algorithm>
#include <cstdint>

namespace heddle::dp {

using Ticks = std::uint64_t;
inline constexpr Ticks kTicksPerSecond = 64'000'000'000;
constexpr Ticks ticks_of_ns(std::uint64_t ns) { return ns * (kTicksPerSecond / 1'000'000'000); }

class Gcra {
 public:
  Gcra() = default;  // no limit
  // `rate` units in `seconds`, `burst` units at once; a unit is a byte or a frame. 0: no limit.
  Gcra(std::uint64_t rate, std::uint64_t burst, unsigned seconds = 1) {
    if (rate == 0) return;
    cost_ = static_cast<double>(kTicksPerSecond) * seconds / static_cast<double>(rate);
    burst_ = static_cast<Ticks>(std::min(cost_ * static_cast<double>(burst), kMostBurst));
  }

  [[nodiscard]] bool limits() const { return cost_ != 0; }
  [[nodiscard]] bool conforms(Ticks arrival, Ticks now) const { return arrival <= now + burst_; }
  // The theoretical arrival time after a frame of `units` that passed now.
  [[nodiscard]] Ticks after(Ticks arrival, Ticks now, std::uint32_t units) const {
    return std::max(arrival, now) + static_cast<Ticks>(cost_ * units + 0.5);
  }
  // The earliest time that conforms.
  [[nodiscard]] Ticks due(Ticks arrival) const { return arrival > burst_ ? arrival - burst_ : 0; }

 private:
  static constexpr double kMostBurst = 1ULL << 60;  // half a year
  double cost_ = 0;                                 // ticks a unit: exact for every rate, which fixed point is not
  Ticks burst_ = 0;
};

}  // namespace heddle::dp
