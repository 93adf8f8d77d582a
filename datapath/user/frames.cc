// SPDX-License-Identifier: Apache-2.0
#include "datapath/user/frames.h"

#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>

namespace heddle::dp {

Result<> FramePool::check(std::size_t frames) {
  if (frames < 2 * limits::kRing || frames > std::size_t{1} << 24)
    return fail(Errc::invalid, "packet memory of " + std::to_string(frames) + " frames: must be " +
                                   std::to_string(2 * limits::kRing) + " to " + std::to_string(1 << 24));
  return {};
}

Result<std::unique_ptr<FramePool>> FramePool::create(std::size_t frames) {
  if (auto ok = check(frames); !ok) return std::unexpected(ok.error());
  const std::size_t bundles = std::bit_ceil((frames + kBundle - 1) / kBundle);
  std::unique_ptr<FramePool> pool(new FramePool);
  pool->count_ = bundles * kBundle;
  void* memory = mmap(nullptr, pool->memory_size(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED)
    return fail_errno(errno, "packet memory of " + std::to_string(pool->memory_size()) + " bytes");
  pool->memory_ = static_cast<std::uint8_t*>(memory);
  pool->meta_ = std::make_unique<FrameMeta[]>(pool->count_);
  pool->owners_ = std::make_unique<std::atomic<std::uint16_t>[]>(pool->count_);
  pool->cells_ = std::make_unique<Cell[]>(bundles);
  pool->mask_ = bundles - 1;
  for (std::size_t i = 0; i < bundles; ++i) {
    for (std::size_t k = 0; k < kBundle; ++k) pool->cells_[i].bundle[k] = static_cast<FrameRef>(i * kBundle + k);
    pool->cells_[i].sequence.store(i + 1, std::memory_order_relaxed);  // full
  }
  pool->tail_.store(bundles, std::memory_order_release);
  return pool;
}

FramePool::~FramePool() {
  if (memory_ != nullptr) munmap(memory_, memory_size());
}

bool FramePool::take(Bundle& out) {
  std::size_t at = head_.load(std::memory_order_relaxed);
  for (;;) {
    Cell& cell = cells_[at & mask_];
    const auto ahead = static_cast<std::ptrdiff_t>(cell.sequence.load(std::memory_order_acquire) - (at + 1));
    if (ahead < 0) return false;
    if (ahead == 0 && head_.compare_exchange_weak(at, at + 1, std::memory_order_relaxed)) {
      out = cell.bundle;
      cell.sequence.store(at + mask_ + 1, std::memory_order_release);
      return true;
    }
    if (ahead > 0) at = head_.load(std::memory_order_relaxed);
  }
}

void FramePool::give(const Bundle& in) {
  std::size_t at = tail_.load(std::memory_order_relaxed);
  for (;;) {
    Cell& cell = cells_[at & mask_];
    const auto ahead = static_cast<std::ptrdiff_t>(cell.sequence.load(std::memory_order_acquire) - at);
    if (ahead == 0 && tail_.compare_exchange_weak(at, at + 1, std::memory_order_relaxed)) {
      cell.bundle = in;
      cell.sequence.store(at + 1, std::memory_order_release);
      return;
    }
    // There is a cell for every bundle that exists, so a cell that is still occupied is just being emptied.
    if (ahead != 0) at = tail_.load(std::memory_order_relaxed);
  }
}

void FramePool::reclaim(std::uint16_t owner) {
  for (std::size_t f = 0; f < count_; ++f) {
    if (owners_[f].load(std::memory_order_relaxed) != owner) continue;
    owners_[f].store(0, std::memory_order_relaxed);
    leftover_.push_back(static_cast<FrameRef>(f));
    if (leftover_.size() < kBundle) continue;
    Bundle bundle;
    std::copy(leftover_.begin(), leftover_.end(), bundle.begin());
    leftover_.clear();
    give(bundle);
  }
}

FrameRef FrameCache::alloc_raw() {
  if (stack_.empty()) {
    FramePool::Bundle bundle;
    if (!pool_.take(bundle)) return kNoFrame;
    stack_.insert(stack_.end(), bundle.begin(), bundle.end());
  }
  const FrameRef f = stack_.back();
  stack_.pop_back();
  return f;
}

FrameRef FrameCache::alloc() {
  const FrameRef f = alloc_raw();
  if (f != kNoFrame) {
    FrameMeta& m = meta(f);
    m = FrameMeta{};
    m.offset = limits::kFrameHeadroom;
  }
  return f;
}

void FrameCache::free_one(FrameRef f) {
  stack_.push_back(f);
  if (stack_.size() < 3 * FramePool::kBundle) return;
  // The oldest go back to the pool; the youngest, still in the CPU's cache, stay.
  FramePool::Bundle bundle;
  std::copy_n(stack_.begin(), bundle.size(), bundle.begin());
  stack_.erase(stack_.begin(), stack_.begin() + static_cast<std::ptrdiff_t>(bundle.size()));
  pool_.give(bundle);
}

void FrameCache::free_chain(FrameRef f) {
  while (f != kNoFrame) {
    const FrameRef next = meta(f).next;
    free_one(f);
    f = next;
  }
}

FrameRef FrameCache::copy(FrameRef f) {
  FrameRef first = kNoFrame;
  FrameRef last = kNoFrame;
  for (FrameRef from = f; from != kNoFrame; from = meta(from).next) {
    const FrameRef to = alloc_raw();
    if (to == kNoFrame) {
      free_chain(first);
      return kNoFrame;
    }
    meta(to) = meta(from);
    meta(to).next = kNoFrame;
    meta(to).offset = limits::kFrameHeadroom;
    // A buffer whose headroom was used can hold more than fits behind a whole headroom.
    if (meta(to).offset + meta(to).len > limits::kFrameSize) meta(to).offset = meta(from).offset;
    std::memcpy(data(to), data(from), meta(from).len);
    if (first == kNoFrame) first = to;
    if (last != kNoFrame) meta(last).next = to;
    last = to;
  }
  return first;
}

}  // namespace heddle::dp
