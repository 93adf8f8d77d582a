// SPDX-License-Identifier: Apache-2.0
// Packet memory: every buffer has one owner, whoever takes and gives.
#include "datapath/user/frames.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cstring>
#include <latch>
#include <memory>
#include <mutex>
#include <random>
#include <set>
#include <stdexcept>
#include <thread>
#include <vector>

namespace heddle::dp {
namespace {

constexpr std::size_t kFew = 2 * limits::kRing;  // the smallest pool

std::unique_ptr<FramePool> small_pool(std::size_t frames = kFew) {
  auto pool = FramePool::create(frames);
  if (!pool) throw std::runtime_error(pool.error().text);
  return std::move(*pool);
}

// Everything the pool has, each buffer once.
std::set<FrameRef> drain(FramePool& pool) {
  std::set<FrameRef> out;
  FramePool::Bundle bundle;
  while (pool.take(bundle)) {
    for (const FrameRef f : bundle) EXPECT_TRUE(out.insert(f).second) << "buffer " << f << " twice";
  }
  return out;
}

FrameRef chain(FrameCache& cache, const std::vector<std::size_t>& sizes, std::uint8_t fill) {
  FrameRef first = kNoFrame;
  FrameRef last = kNoFrame;
  std::uint32_t total = 0;
  for (const std::size_t size : sizes) {
    const FrameRef f = cache.alloc();
    cache.meta(f).len = static_cast<std::uint16_t>(size);
    for (std::size_t i = 0; i < size; ++i) cache.data(f)[i] = static_cast<std::uint8_t>(fill + total + i);
    total += static_cast<std::uint32_t>(size);
    if (first == kNoFrame) first = f;
    if (last != kNoFrame) cache.meta(last).next = f;
    last = f;
  }
  cache.meta(first).total = total;
  return first;
}

std::vector<std::uint8_t> content(FrameCache& cache, FrameRef f) {
  std::vector<std::uint8_t> out;
  for (; f != kNoFrame; f = cache.meta(f).next) out.insert(out.end(), cache.data(f), cache.data(f) + cache.meta(f).len);
  return out;
}

TEST(FramePool, RefusesSenselessSizes) {
  for (const std::size_t frames : {std::size_t{0}, kFew - 1, (std::size_t{1} << 24) + 1}) {
    const auto pool = FramePool::create(frames);
    ASSERT_FALSE(pool) << frames;
    EXPECT_EQ(pool.error().code, Errc::invalid);
    EXPECT_NE(pool.error().text.find(std::to_string(frames)), std::string::npos) << pool.error().text;
  }
}

TEST(FramePool, StartsWithEveryBufferOnce) {
  const auto pool = small_pool(5000);
  EXPECT_GE(pool->count(), 5000U);
  EXPECT_EQ(drain(*pool).size(), pool->count());
  FramePool::Bundle none;
  EXPECT_FALSE(pool->take(none));
}

TEST(FrameCache, GivesOutAllAndThenSaysSo) {
  const auto pool = small_pool();
  FrameCache cache(*pool);
  std::set<FrameRef> held;
  for (FrameRef f = cache.alloc(); f != kNoFrame; f = cache.alloc()) {
    EXPECT_TRUE(held.insert(f).second);
    EXPECT_EQ(cache.meta(f).offset, limits::kFrameHeadroom);
    EXPECT_EQ(cache.meta(f).next, kNoFrame);
  }
  EXPECT_EQ(held.size(), pool->count());
  EXPECT_EQ(cache.alloc_raw(), kNoFrame);
  EXPECT_EQ(cache.copy(*held.begin()), kNoFrame);
  for (const FrameRef f : held) cache.free_one(f);
  std::set<FrameRef> again;
  for (FrameRef f = cache.alloc_raw(); f != kNoFrame; f = cache.alloc_raw()) again.insert(f);
  EXPECT_EQ(again, held);
}

TEST(FrameCache, CopyThatFailsHalfwayGivesBackItsHalf) {
  const auto pool = small_pool();
  FrameCache cache(*pool);
  const FrameRef jumbo = chain(cache, {100, 100, 100}, 1);
  std::vector<FrameRef> rest;
  for (FrameRef f = cache.alloc(); f != kNoFrame; f = cache.alloc()) rest.push_back(f);
  for (int i = 0; i < 2; ++i, rest.pop_back()) cache.free_one(rest.back());
  EXPECT_EQ(cache.copy(jumbo), kNoFrame);  // wants three, there are two
  std::size_t left = 0;
  while (cache.alloc_raw() != kNoFrame) ++left;
  EXPECT_EQ(left, 2U);
}

TEST(FrameCache, CopiesChains) {
  const auto pool = small_pool();
  FrameCache cache(*pool);
  const std::size_t full = limits::kFrameSize - limits::kFrameHeadroom;
  for (const auto& sizes : std::vector<std::vector<std::size_t>>{{14}, {full}, {full, full, 1}, {1, full, 700}}) {
    const FrameRef f = chain(cache, sizes, 7);
    cache.meta(f).maybe_partial = true;
    const auto before = content(cache, f);
    const FrameRef copy = cache.copy(f);
    ASSERT_NE(copy, kNoFrame);
    EXPECT_EQ(content(cache, copy), before);
    EXPECT_EQ(cache.meta(copy).total, before.size());
    EXPECT_TRUE(cache.meta(copy).maybe_partial);
    EXPECT_EQ(cache.meta(copy).offset, limits::kFrameHeadroom);
    std::memset(cache.data(copy), 0xee, cache.meta(copy).len);  // no byte is shared
    EXPECT_EQ(content(cache, f), before);
    cache.free_chain(f);
    cache.free_chain(copy);
  }
}

// A buffer that holds more than fits behind a whole headroom, because part of its headroom holds data.
TEST(FrameCache, CopiesWhatLiesInTheHeadroom) {
  const auto pool = small_pool();
  FrameCache cache(*pool);
  for (const std::uint16_t offset : {0, 100, 252, 256, 300}) {
    const FrameRef f = cache.alloc();
    FrameMeta& m = cache.meta(f);
    m.offset = offset;
    m.len = static_cast<std::uint16_t>(limits::kFrameSize - offset);
    m.total = m.len;
    for (std::size_t i = 0; i < m.len; ++i) cache.data(f)[i] = static_cast<std::uint8_t>(i * 7);
    const FrameRef copy = cache.copy(f);
    EXPECT_EQ(content(cache, copy), content(cache, f)) << offset;
    EXPECT_LE(cache.meta(copy).offset + cache.meta(copy).len, limits::kFrameSize) << offset;
    cache.free_chain(f);
    cache.free_chain(copy);
  }
}

TEST(FramePool, ReclaimsWhatOneSocketHeld) {
  const auto pool = small_pool();
  std::vector<FramePool::Bundle> taken(4);
  for (auto& bundle : taken) ASSERT_TRUE(pool->take(bundle));
  for (const FrameRef f : taken[0]) pool->set_owner(f, 1);
  for (const FrameRef f : taken[1]) pool->set_owner(f, 2);
  pool->set_owner(taken[2][0], 2);  // 33 of them: no whole number of bundles
  pool->reclaim(2);
  EXPECT_EQ(pool->owner(taken[1][5]), 0);
  EXPECT_EQ(pool->owner(taken[0][5]), 1);
  // The 31 that belong to a worker come back too; the odd one waits until it has company.
  for (std::size_t i = 1; i < taken[2].size(); ++i) pool->set_owner(taken[2][i], 3);
  pool->reclaim(3);
  pool->give(taken[3]);
  const auto all = drain(*pool);
  EXPECT_EQ(all.size(), pool->count() - taken[0].size());
  for (const FrameRef f : taken[0]) EXPECT_FALSE(all.contains(f));
}

// Threads that allocate, copy, hand to each other and free. A mark says who holds a buffer: taking one that is marked,
// or freeing one that is another's, is the error. At the end the pool has every buffer, once.
TEST(FrameCache, NoBufferIsLostOrDoubledAmongThreads) {
  constexpr unsigned kThreads = 3;
  const auto pool = small_pool();
  std::vector<std::atomic<unsigned>> holder(pool->count());
  std::atomic<std::uint64_t> errors{0};
  std::mutex mutex;
  std::vector<FrameRef> table;  // handed over, holder kThreads + 1
  std::latch together(kThreads);
  const auto work = [&](unsigned me) {
    together.arrive_and_wait();
    FrameCache cache(*pool);
    std::mt19937 random(me);
    std::vector<FrameRef> mine;
    const auto mark = [&](FrameRef f, unsigned from, unsigned to) {
      for (; f != kNoFrame; f = cache.meta(f).next)
        if (holder[f].exchange(to) != from) ++errors;
    };
    for (int i = 0; i < 60000; ++i) {
      const unsigned what = random() % 10;
      if (what < 4) {
        FrameRef f = cache.alloc();
        if (f != kNoFrame && what == 0) {
          cache.meta(f).next = cache.alloc();
          cache.meta(f).len = 20;
        }
        if (f != kNoFrame) mine.push_back(f);
        mark(f, 0, me);
      } else if (what == 4 && !mine.empty()) {
        const FrameRef f = cache.copy(mine[random() % mine.size()]);
        mark(f, 0, me);
        if (f != kNoFrame) mine.push_back(f);
      } else if (what == 5 && !mine.empty()) {
        const std::lock_guard lock(mutex);
        mark(mine.back(), me, kThreads + 1);
        table.push_back(mine.back());
        mine.pop_back();
      } else if (what == 6) {
        const std::lock_guard lock(mutex);
        if (table.empty()) continue;
        mark(table.back(), kThreads + 1, me);
        mine.push_back(table.back());
        table.pop_back();
      } else if (!mine.empty() && (what > 7 || mine.size() > 1200)) {
        std::swap(mine[random() % mine.size()], mine.back());
        mark(mine.back(), me, 0);
        cache.free_chain(mine.back());
        mine.pop_back();
      }
    }
    for (const FrameRef f : mine) {
      mark(f, me, 0);
      cache.free_chain(f);
    }
    // Take all there is, so that every buffer is in some hand at the end.
    std::vector<FrameRef> rest;
    for (FrameRef f = cache.alloc_raw(); f != kNoFrame; f = cache.alloc_raw()) rest.push_back(f);
    for (const FrameRef f : rest) {
      if (holder[f].exchange(100 + me) != 0) ++errors;
    }
  };
  std::vector<std::thread> threads;
  for (unsigned t = 1; t <= kThreads; ++t) threads.emplace_back(work, t);
  for (auto& t : threads) t.join();
  for (FrameRef f : table) {
    for (; f != kNoFrame; f = pool->meta(f).next) {
      if (holder[f].exchange(100) != kThreads + 1) ++errors;
    }
  }
  std::size_t missing = 0;
  for (const auto& h : holder) missing += h.load() >= 100 ? 0 : 1;
  EXPECT_EQ(errors, 0U);
  EXPECT_EQ(missing, 0U);
}

}  // namespace
}  // namespace heddle::dp
