// SPDX-License-Identifier: Apache-2.0
// Counters that one worker writes and anybody reads: plain increments in the packet path, no locked instruction.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "base/drop_reason.h"
#include "datapath/datapath.h"

namespace heddle::dp {

// One writer. Readers may lag by an instant but never see a torn value.
class Counter {
 public:
  void add(std::uint64_t n) { value_.store(value_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed); }
  [[nodiscard]] std::uint64_t get() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

// A port's share of one worker.
struct alignas(64) WorkerCounters {
  Counter rx_packets;
  Counter rx_bytes;
  Counter tx_packets;
  Counter tx_bytes;
  Counter learn_dropped;
  Counter icmp_too_big;
  std::array<Counter, kDropCount> drops;

  void drop(Drop why, std::uint64_t n = 1) { drops[static_cast<std::size_t>(why)].add(n); }
  void add_to(PortCounters& sum) const {
    sum.rx_packets += rx_packets.get();
    sum.rx_bytes += rx_bytes.get();
    sum.tx_packets += tx_packets.get();
    sum.tx_bytes += tx_bytes.get();
    sum.learn_dropped += learn_dropped.get();
    sum.icmp_too_big += icmp_too_big.get();
    for (std::size_t i = 0; i < kDropCount; ++i) sum.drops[i] += drops[i].get();
  }
};

}  // namespace heddle::dp
