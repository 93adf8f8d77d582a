// SPDX-License-Identifier: Apache-2.0
// Frames that leave by a port with QoS: they pass its shaper on their way to the device, or wait there. Which worker
// has the shaper: see adopt().
#include <array>

#include "datapath/user/forwarder.h"

namespace heddle::dp {

// Shapers whose port and QoS are as before stay; what waits in others goes to what is there now, and is freed when the
// port is gone.
void Forwarder::adopt_shapers() {
  auto before = std::exchange(shapers_, {});
  for (std::uint32_t slot = 0; slot < out_.size(); ++slot) {
    const IoConf* io = config_->ios[slot].get();
    if (io == nullptr || !io->qos || out_[slot].queue < 0) continue;
    const auto old = before.find(slot);
    Shaped& now = shapers_[slot];
    if (old != before.end() && old->second.generation == io->generation && old->second.shaper->conf() == io->qos.get())
      now = std::move(old->second);
    else
      now = {io->generation, std::make_unique<Shaper>(io->qos)};
    out_[slot].shaper = now.shaper.get();
  }
  for (auto& [slot, old] : before) {
    if (!old.shaper) continue;
    const IoConf* io = slot < config_->ios.size() ? config_->ios[slot].get() : nullptr;
    const bool stays = io != nullptr && io->generation == old.generation;
    for (FrameRef f = old.shaper->abandon(); f != kNoFrame; f = old.shaper->abandon()) {
      if (stays) {
        queue(slot, f);
      } else {
        cache_.free_chain(f);
      }
    }
  }
}

void Forwarder::shape(std::uint32_t slot, std::span<const FrameRef> frames) {
  constexpr std::uint32_t kQueue = 0;  // of frames that no policy gave one
  Shaper& shaper = *out_[slot].shaper;
  TxQueue ready;
  for (const FrameRef f : frames) {
    switch (shaper.offer(kQueue, {f, cache_.meta(f).total}, ticks_of_ns(now_ns_))) {
      case Shaper::Verdict::go:
        ready.frames[ready.n++] = f;
        break;
      case Shaper::Verdict::wait:
        break;
      case Shaper::Verdict::full:
        config_->ios[slot]->shared->worker[worker_].counters.drop(Drop::shaped);
        cache_.free_chain(f);
        break;
    }
  }
  transmit(slot, {ready.frames.data(), ready.n});
}

void Forwarder::release() {
  const Ticks now = ticks_of_ns(now_ns_);
  for (const auto& [slot, shaped] : shapers_) {
    TxQueue ready;
    for (FrameRef f = shaped.shaper->next(now); f != kNoFrame; f = shaped.shaper->next(now)) {
      ready.frames[ready.n++] = f;
      if (ready.n < ready.frames.size()) continue;
      transmit(slot, {ready.frames.data(), ready.n});
      ready.n = 0;
    }
    transmit(slot, {ready.frames.data(), ready.n});
  }
}

std::optional<std::chrono::nanoseconds> Forwarder::next_release() const {
  Ticks first = Shaper::kNever;
  for (const auto& [slot, shaped] : shapers_) first = std::min(first, shaped.shaper->due());
  if (first == Shaper::kNever) return std::nullopt;
  constexpr Ticks kPerNs = ticks_of_ns(1);
  return std::chrono::nanoseconds((first + kPerNs - 1) / kPerNs);
}

}  // namespace heddle::dp
