// SPDX-License-Identifier: Apache-2.0
// A bounded queue between one producer thread and one consumer thread, without locks.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>

namespace heddle::dp {

template <typename T, std::size_t N>
class Spsc {
  static_assert((N & (N - 1)) == 0);

 public:
  bool push(const T& item) {
    const std::size_t at = tail_.load(std::memory_order_relaxed);
    if (at - head_.load(std::memory_order_acquire) == N) return false;
    items_[at & (N - 1)] = item;
    tail_.store(at + 1, std::memory_order_release);
    return true;
  }
  bool pop(T& item) {
    const std::size_t at = head_.load(std::memory_order_relaxed);
    if (at == tail_.load(std::memory_order_acquire)) return false;
    item = items_[at & (N - 1)];
    head_.store(at + 1, std::memory_order_release);
    return true;
  }
  [[nodiscard]] bool empty() const {
    return head_.load(std::memory_order_acquire) == tail_.load(std::memory_order_acquire);
  }

 private:
  alignas(64) std::atomic<std::size_t> head_{0};
  alignas(64) std::atomic<std::size_t> tail_{0};
  alignas(64) std::array<T, N> items_{};
};

}  // namespace heddle::dp
