// SPDX-License-Identifier: Apache-2.0
#include "ofproto-lite/aging_wheel.h"

#include <algorithm>
#include <chrono>

namespace heddle::ofproto {

AgingWheel::AgingWheel(const TimeSource& time) : time_(time), epoch_(time.now()), buckets_(kBuckets) {}

std::int64_t AgingWheel::now() const {
  return std::chrono::duration_cast<std::chrono::seconds>(time_.now() - epoch_).count();
}

void AgingWheel::schedule(FdbEntry& entry, std::int64_t due) {
  if (entry.of_wheel.is_linked()) entry.of_wheel.unlink();
  entry.due = std::max(due, cursor_);
  buckets_[static_cast<std::size_t>(entry.due % kBuckets)].push_back(entry);
}

std::vector<FdbEntry*> AgingWheel::take_due(std::size_t budget) {
  std::vector<FdbEntry*> out;
  const std::int64_t second = now();
  for (const auto end = std::min(second, cursor_ + kBuckets); cursor_ <= end; ++cursor_) {
    auto& bucket = buckets_[static_cast<std::size_t>(cursor_ % kBuckets)];
    for (auto it = bucket.begin(); it != bucket.end();) {
      FdbEntry& entry = *it++;
      if (entry.due > second) continue;  // a later round of the wheel
      if (out.size() == budget) return out;
      entry.of_wheel.unlink();
      out.push_back(&entry);
    }
  }
  cursor_ = second + 1;
  return out;
}

std::optional<TimePoint> AgingWheel::next_due() const {
  for (std::int64_t s = cursor_; s < cursor_ + kBuckets; ++s)
    if (!buckets_[static_cast<std::size_t>(s % kBuckets)].empty()) return epoch_ + std::chrono::seconds(s);
  return std::nullopt;
}

}  // namespace heddle::ofproto
