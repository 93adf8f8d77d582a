// SPDX-License-Identifier: Apache-2.0
// What a port may bring, in bytes and in frames (the ingress_policing columns). The rates are the snapshot's; the state
// is the port's and is shared by all workers that serve its queues.
#pragma once

#include <atomic>

#include "datapath/datapath.h"
#include "datapath/user/gcra.h"

namespace heddle::dp {

// Theoretical arrival times: see gcra.h.
struct alignas(64) PolicerState {
  std::atomic<Ticks> bytes{0};
  std::atomic<Ticks> packets{0};
  // A new rate begins with a full bucket: what a slower one charged is not waited for.
  void reset() {
    bytes.store(0, std::memory_order_relaxed);
    packets.store(0, std::memory_order_relaxed);
  }
};

class Policer {
 public:
  Policer() = default;
  explicit Policer(const Policing& p)
      : bytes_(p.bits_per_second, p.burst_bits / kBits, kBits), packets_(p.packets_per_second, p.burst_packets) {}

  [[nodiscard]] bool limits() const { return bytes_.limits() || packets_.limits(); }
  // Whether the frame passes; then it is charged to both buckets, otherwise to none. Two workers may pass a frame each
  // on the last of the burst; as both are charged, the average holds all the same.
  [[nodiscard]] bool pass(PolicerState& state, Ticks now, std::uint32_t length) const {
    if (bytes_.limits() && !bytes_.conforms(state.bytes.load(std::memory_order_relaxed), now)) return false;
    if (packets_.limits() && !packets_.conforms(state.packets.load(std::memory_order_relaxed), now)) return false;
    if (bytes_.limits()) charge(state.bytes, bytes_, now, length);
    if (packets_.limits()) charge(state.packets, packets_, now, 1);
    return true;
  }

 private:
  static constexpr unsigned kBits = 8;
  static void charge(std::atomic<Ticks>& arrival, const Gcra& rate, Ticks now, std::uint32_t units) {
    Ticks seen = arrival.load(std::memory_order_relaxed);
    while (!arrival.compare_exchange_weak(seen, rate.after(seen, now, units), std::memory_order_relaxed)) {
    }
  }
  Gcra bytes_;
  Gcra packets_;
};

}  // namespace heddle::dp
