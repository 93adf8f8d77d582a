// SPDX-License-Identifier: Apache-2.0
#include "datapath/user/output_queues.h"

#include <algorithm>
#include <utility>

namespace heddle::dp {

void OutputQueues::adopt() {
  const Config& config = *round_.config;
  version_ = config.version;
  // Queued frames were flushed under the guard of the configuration they belong to, so the queues are empty here.
  queues_.resize(std::max(queues_.size(), config.ios.size()));
  exits_.assign(config.ios.size(), {});
  pending_.clear();
  for (std::uint32_t slot = 0; slot < config.ios.size(); ++slot) {
    const IoConf* conf = io(slot);
    if (conf == nullptr) continue;
    Exit& exit = exits_[slot];
    exit.owner = conf->queue_worker.front();
    const auto q = conf->queue_for(round_.worker);
    if (!q) continue;
    exit.served = static_cast<int>(*q);
    exit.pending = true;  // not known: the next nudge() finds out
    pending_.push_back(slot);
    // With QoS the first queue carries everything, so that the port's rate is one.
    if (!conf->qos || exit.owner == round_.worker) exit.send_queue = exit.served;
  }
  adopt_shapers();
}

// Shapers stay whose port and QoS are as before.
void OutputQueues::adopt_shapers() {
  auto before = std::exchange(shapers_, {});
  for (std::uint32_t slot = 0; slot < exits_.size(); ++slot) {
    const IoConf* conf = io(slot);
    if (conf == nullptr || !conf->qos || exits_[slot].send_queue < 0) continue;
    const auto old = before.find(slot);
    ShaperOfSlot& now = shapers_[slot];
    if (old != before.end() && old->second.generation == conf->generation &&
        old->second.shaper->conf() == conf->qos.get())
      now = std::move(old->second);
    else
      now = {conf->generation, std::make_unique<Shaper>(conf->qos)};
    exits_[slot].shaper = now.shaper.get();
  }
  for (auto& [slot, old] : before)
    if (old.shaper) move_waiting(old, slot);
}

// Frames that wait in a former shaper of the slot leave by the slot, or are freed when their port is gone.
void OutputQueues::move_waiting(ShaperOfSlot& from, std::uint32_t slot) {
  const IoConf* conf = io(slot);
  const bool stays = conf != nullptr && conf->generation == from.generation;
  for (FrameRef f = from.shaper->abandon(); f != kNoFrame; f = from.shaper->abandon()) {
    if (stays) {
      put(slot, f);
    } else {
      cache_.free_chain(f);
    }
  }
}

void OutputQueues::resume(const Handover& item) {
  const IoConf* conf = io(item.io);
  if (conf == nullptr || conf->generation != item.generation || exits_[item.io].send_queue < 0) {
    cache_.free_chain(item.frame);
    if (conf != nullptr) round_.counters(*conf->shared).drop(Drop::port_down);
    return;
  }
  put(item.io, item.frame);
}

void OutputQueues::send(std::uint32_t slot) {
  Queue& q = queues_[slot];
  const std::span<const FrameRef> frames(q.frames.data(), std::exchange(q.n, 0));
  if (io(slot) == nullptr) {
    for (const FrameRef f : frames) cache_.free_chain(f);
    return;
  }
  const Exit& exit = exits_[slot];
  if (exit.shaper != nullptr) return shape(slot, frames);
  if (exit.send_queue >= 0) return transmit(slot, frames);
  hand_over(slot, frames);
}

void OutputQueues::hand_over(std::uint32_t slot, std::span<const FrameRef> frames) {
  const IoConf& conf = *io(slot);
  WorkerCounters& c = round_.counters(*conf.shared);
  for (const FrameRef f : frames) {
    if (mail_.put(round_.worker, exits_[slot].owner, {slot, f, conf.generation})) continue;
    c.drop(Drop::mailbox_full);
    cache_.free_chain(f);
  }
}

void OutputQueues::transmit(std::uint32_t slot, std::span<const FrameRef> frames) {
  if (frames.empty()) return;
  const IoConf& conf = *round_.config->ios[slot];
  Exit& exit = exits_[slot];
  const auto q = static_cast<unsigned>(exit.send_queue);
  conf.io->send(q, cache_, frames, round_.counters(*conf.shared));
  if (exit.pending || !conf.io->pending(q)) return;
  exit.pending = true;
  pending_.push_back(slot);
}

void OutputQueues::shape(std::uint32_t slot, std::span<const FrameRef> frames) {
  constexpr std::uint32_t kQueue = 0;  // of frames that no policy gave one
  Shaper& shaper = *exits_[slot].shaper;
  Queue ready;
  for (const FrameRef f : frames) {
    switch (shaper.offer(kQueue, {f, cache_.meta(f).total}, ticks_of_ns(round_.nanoseconds))) {
      case Shaper::Verdict::go:
        ready.frames[ready.n++] = f;
        break;
      case Shaper::Verdict::wait:
        break;
      case Shaper::Verdict::full:
        round_.counters(*io(slot)->shared).drop(Drop::shaped);
        cache_.free_chain(f);
        break;
    }
  }
  transmit(slot, {ready.frames.data(), ready.n});
}

void OutputQueues::release() {
  const Ticks now = ticks_of_ns(round_.nanoseconds);
  for (const auto& [slot, of_slot] : shapers_) {
    Queue ready;
    for (FrameRef f = of_slot.shaper->next(now); f != kNoFrame; f = of_slot.shaper->next(now)) {
      ready.frames[ready.n++] = f;
      if (ready.n < ready.frames.size()) continue;
      transmit(slot, {ready.frames.data(), ready.n});
      ready.n = 0;
    }
    transmit(slot, {ready.frames.data(), ready.n});
  }
}

void OutputQueues::flush() {
  for (const std::uint32_t slot : filled_) {
    if (queues_[slot].n > 0) send(slot);
  }
  filled_.clear();
  if (!shapers_.empty()) release();
}

std::optional<std::chrono::nanoseconds> OutputQueues::next_release() const {
  Ticks first = Shaper::kNever;
  for (const auto& [slot, of_slot] : shapers_) first = std::min(first, of_slot.shaper->due());
  if (first == Shaper::kNever) return std::nullopt;
  constexpr Ticks kPerNs = ticks_of_ns(1);
  return std::chrono::nanoseconds((first + kPerNs - 1) / kPerNs);
}

bool OutputQueues::nudge() {
  std::erase_if(pending_, [&](std::uint32_t slot) {
    const auto q = static_cast<unsigned>(exits_[slot].served);
    PortIo& device = *round_.config->ios[slot]->io;
    device.nudge(q, cache_);
    exits_[slot].pending = device.pending(q);
    return !exits_[slot].pending;
  });
  return !pending_.empty();
}

}  // namespace heddle::dp
