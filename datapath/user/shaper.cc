// SPDX-License-Identifier: Apache-2.0
#include "datapath/user/shaper.h"

#include <algorithm>
#include <tuple>

namespace heddle::dp {
namespace {

constexpr unsigned kBits = 8;

// A burst that nobody chose: what a worker that was kept off the CPU for a moment must make up for, and not less than
// two of Ethernet's frames.
std::uint64_t burst_for(std::uint64_t bits_per_second) {
  constexpr std::uint64_t kShare = 200;  // of a second: 5 ms
  constexpr std::uint64_t kTwoFrames = std::uint64_t{2} * 1518;
  return std::max(bits_per_second / kBits / kShare, kTwoFrames);
}

Gcra rate(std::uint64_t bits_per_second, std::uint64_t burst) {
  return {bits_per_second, burst != 0 ? burst : burst_for(bits_per_second), kBits};
}

}  // namespace

std::shared_ptr<const QosConf> QosConf::make(const QosSpec& spec, const QosConf* before) {
  auto conf = std::make_shared<QosConf>();
  conf->spec = spec;
  for (const auto& [number, queue] : spec.queues) {
    std::shared_ptr<QueueShared> shared;
    if (before != nullptr && before->queues.contains(number)) shared = before->queues.at(number);
    conf->queues[number] = shared ? std::move(shared) : std::make_shared<QueueShared>();
  }
  return conf;
}

Shaper::Shaper(std::shared_ptr<const QosConf> conf) : conf_(std::move(conf)), port_(rate(conf_->spec.max_rate, 0)) {
  for (const auto& [number, queue] : conf_->spec.queues) {
    Class& c = classes_.emplace_back();
    c.number = number;
    c.priority = queue.priority;
    c.min = rate(queue.min_rate, queue.burst);
    c.max = rate(queue.max_rate, queue.burst);
    c.shared = conf_->queues.at(number).get();
  }
  Class& rest = classes_.emplace_back();
  rest.number = limits::kQueueMax + 1;
}

Shaper::Class& Shaper::class_of(std::uint32_t queue) {
  const auto it = std::find_if(classes_.begin(), classes_.end(), [&](const Class& c) { return c.number == queue; });
  return it == classes_.end() ? classes_.back() : *it;
}

bool Shaper::ready(const Class& c, Ticks now) const {
  return port_.conforms(port_arrival_, now) && c.max.conforms(c.max_arrival, now);
}

// What is borrowed, beyond the class's min_rate, does not use that up.
void Shaper::charge(Class& c, std::uint32_t length, Ticks now) {
  port_arrival_ = port_.after(port_arrival_, now, length);
  c.max_arrival = c.max.after(c.max_arrival, now, length);
  if (c.min.limits() && c.min.conforms(c.min_arrival, now)) c.min_arrival = c.min.after(c.min_arrival, now, length);
  c.turn = ++turn_;
  if (c.shared == nullptr) return;
  c.shared->packets.add(1);
  c.shared->bytes.add(length);
}

Shaper::Verdict Shaper::offer(std::uint32_t queue, const Waiting& frame, Ticks now) {
  Class& c = class_of(queue);
  // While anybody waits, next() decides whose turn it is.
  if (waiting_ == 0 && ready(c, now)) {
    charge(c, frame.length, now);
    return Verdict::go;
  }
  if (c.waiting == limits::kShapedFrames) {
    if (c.shared != nullptr) c.shared->dropped.add(1);
    return Verdict::full;
  }
  if (c.ring.empty()) c.ring.resize(limits::kShapedFrames);
  c.ring[(c.head + c.waiting++) % c.ring.size()] = frame;
  ++waiting_;
  return Verdict::wait;
}

Shaper::Waiting Shaper::pop(Class& c) {
  const Waiting first = c.ring[c.head];
  c.head = (c.head + 1) % c.ring.size();
  --c.waiting;
  return first;
}

FrameRef Shaper::next(Ticks now) {
  const auto rank = [&](const Class& c) {
    const bool owed = c.min.limits() && c.min.conforms(c.min_arrival, now);
    return std::tuple(!owed, c.priority, c.turn);
  };
  Class* best = nullptr;
  for (Class& c : classes_) {
    if (c.waiting == 0 || !ready(c, now)) continue;
    if (best == nullptr || rank(c) < rank(*best)) best = &c;
  }
  if (best == nullptr) return kNoFrame;
  const Waiting first = pop(*best);
  --waiting_;
  charge(*best, first.length, now);
  return first.frame;
}

Ticks Shaper::due() const {
  Ticks first = kNever;
  for (const Class& c : classes_)
    if (c.waiting > 0) first = std::min(first, c.max.due(c.max_arrival));
  return first == kNever ? kNever : std::max(first, port_.due(port_arrival_));
}

FrameRef Shaper::abandon() {
  for (Class& c : classes_) {
    if (c.waiting == 0) continue;
    --waiting_;
    return pop(c).frame;
  }
  return kNoFrame;
}

}  // namespace heddle::dp
