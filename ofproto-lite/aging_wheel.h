// SPDX-License-Identifier: Apache-2.0
// When entries of the FDB may have expired. Due times lie in a wheel of one-second buckets, so that scheduling and
// finding an entry cost the same at ten entries and at a million.
//
// Owner: the Fdb, which owns the entries too. Handler thread; no errors.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/clock.h"
#include "base/limits.h"
#include "ofproto-lite/fdb_entry.h"

namespace heddle::ofproto {

class AgingWheel {
 public:
  explicit AgingWheel(const TimeSource& time);

  // Seconds since the wheel was made.
  [[nodiscard]] std::int64_t now() const;
  // Puts the entry under `due`, in place of where it was.
  void schedule(FdbEntry& entry, std::int64_t due);
  // Takes out entries that are due by now, at most `budget`.
  std::vector<FdbEntry*> take_due(std::size_t budget);
  // The earliest time at which take_due() may find an entry; none when the wheel is empty.
  [[nodiscard]] std::optional<TimePoint> next_due() const;

 private:
  static constexpr std::int64_t kBuckets = 4096;
  static_assert(kBuckets > limits::kAgingMax);

  const TimeSource& time_;
  TimePoint epoch_;
  std::vector<FdbList<&FdbEntry::of_wheel>> buckets_;
  std::int64_t cursor_ = 0;  // every bucket before this second has been looked at
};

}  // namespace heddle::ofproto
