// SPDX-License-Identifier: Apache-2.0
#include "ofproto-lite/of_port_numbers.h"

#include <algorithm>

#include "base/limits.h"

namespace heddle::ofproto {

std::optional<OfPort> OfPortNumbers::take(std::optional<OfPort> wish) {
  const auto use = [this](OfPort number) {
    used_.insert(number);
    std::erase(resting_, number);
    return number;
  };
  if (wish && *wish > 0 && *wish <= limits::kOfportMax && !used_.contains(*wish)) return use(*wish);
  const auto rests = [this](OfPort number) { return std::ranges::find(resting_, number) != resting_.end(); };
  while (lowest_ <= limits::kOfportMax && (used_.contains(lowest_) || rests(lowest_))) ++lowest_;
  if (lowest_ <= limits::kOfportMax) return use(lowest_);
  if (resting_.empty()) return std::nullopt;
  return use(resting_.front());
}

void OfPortNumbers::give_back(OfPort number) {
  if (used_.erase(number) == 0) return;
  resting_.push_back(number);
  if (resting_.size() <= limits::kOfportRest) return;
  lowest_ = std::min(lowest_, resting_.front());
  resting_.pop_front();
}

}  // namespace heddle::ofproto
