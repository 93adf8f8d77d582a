// SPDX-License-Identifier: Apache-2.0
// The forwarding database's table against a naive one, and under readers that take no lock.
#include "datapath/user/fdb_table.h"

#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <random>
#include <thread>
#include <vector>

#include "base/rcu.h"

namespace heddle::dp {
namespace {

std::uint64_t key(std::uint64_t n, VlanId vlan = 0) { return fdb_key(vlan, MacAddr::from_u64(0x020000000000ULL + n)); }
FdbValue value(unsigned port, std::uint32_t path = 0) { return fdb_value(static_cast<PortNo>(port), path); }

// As the packet path does for a frame's source: an entry is used by the port and path that it leads to.
FdbValue use_source(FdbTable& table, std::uint64_t key, FdbValue expected, std::uint32_t now) {
  const FdbTable::Entry entry = table.find_entry(key);
  if (entry.value != 0 && entry.value == expected) FdbTable::mark_used(*entry.use, now);
  return entry.value;
}

struct Entry {
  FdbValue value;
  std::uint32_t used;
};
using Oracle = std::map<std::uint64_t, Entry>;

void expect_same(const FdbTable& table, const Oracle& oracle, std::uint64_t keys) {
  EXPECT_EQ(table.size(), oracle.size());
  for (std::uint64_t n = 0; n < keys; ++n) {
    const auto want = oracle.find(key(n));
    ASSERT_EQ(table.find(key(n)), want == oracle.end() ? 0 : want->second.value) << "key " << n;
    std::uint32_t when = 0xabcd;
    ASSERT_EQ(table.used_at(key(n), when), want != oracle.end()) << "key " << n;
    ASSERT_EQ(when, want == oracle.end() ? 0xabcd : want->second.used) << "key " << n;
  }
}

// One life of a table: random operations, moved to a fresh table whenever it is worn, as the writer does.
void live(std::size_t capacity, std::uint64_t keys, unsigned seed) {
  std::mt19937 random(seed);
  auto table = std::make_unique<FdbTable>(capacity);
  Oracle oracle;
  for (std::uint32_t now = 1; now <= 20000; ++now) {
    const std::uint64_t k = key(random() % keys);
    const FdbValue v = value(1 + random() % 5, random() % 3);
    const auto had = oracle.find(k);
    const FdbValue before = had == oracle.end() ? 0 : had->second.value;
    const unsigned what = random() % 100;
    if (what < 50) {
      const auto got = table->put(k, v, now);
      if (before == 0 && oracle.size() >= capacity) {
        ASSERT_FALSE(got);
        EXPECT_EQ(got.error().code, Errc::limit);
        EXPECT_NE(got.error().text.find(std::to_string(capacity)), std::string::npos) << got.error().text;
      } else {
        ASSERT_TRUE(got);
        EXPECT_EQ(*got, before);
        oracle[k] = {v, now};
      }
    } else if (what < 80) {
      EXPECT_EQ(table->remove(k), before);
      oracle.erase(k);
    } else if (what < 99) {
      EXPECT_EQ(use_source(*table, k, v, now), before);
      if (before == v) oracle[k].used = now;
    } else {
      const auto port = static_cast<PortNo>(1 + random() % 5);
      table->remove_port(port);
      std::erase_if(oracle, [&](const auto& e) { return fdb_port(e.second.value) == port; });
    }
    if (table->worn()) {
      table = table->rebuilt(capacity);
      EXPECT_FALSE(table->worn());
      expect_same(*table, oracle, keys);
    }
  }
  expect_same(*table, oracle, keys);
}

TEST(FdbTable, AgreesWithANaiveTable) {
  live(1000, 800, 1);    // never full
  live(50, 400, 2);      // nearly always full
  live(1, 40, 3);        // the smallest
  live(300, 100000, 4);  // keys seldom come again: removed ones pile up
}

TEST(FdbTable, FullTableStillTakesWhatItHas) {
  FdbTable table(2);
  ASSERT_TRUE(table.put(key(1), value(1), 1));
  ASSERT_TRUE(table.put(key(2), value(1), 1));
  EXPECT_FALSE(table.put(key(3), value(1), 1));
  EXPECT_EQ(*table.put(key(2), value(7), 2), value(1));
  EXPECT_EQ(table.find(key(2)), value(7));
  table.remove(key(1));
  EXPECT_TRUE(table.put(key(3), value(1), 3));
}

TEST(FdbTable, NoCapacityHoldsNothing) {
  FdbTable table(0);
  EXPECT_FALSE(table.put(key(1), value(1), 1));
  EXPECT_EQ(table.find(key(1)), 0U);
}

TEST(FdbTable, VlansAreSeparate) {
  FdbTable table(10);
  ASSERT_TRUE(table.put(key(1, 10), value(1), 1));
  ASSERT_TRUE(table.put(key(1, 20), value(2), 1));
  EXPECT_EQ(table.find(key(1, 10)), value(1));
  EXPECT_EQ(table.find(key(1, 20)), value(2));
  EXPECT_EQ(table.find(key(1, 0)), 0U);
  EXPECT_NE(fdb_key(0, MacAddr{}), 0U);
}

TEST(FdbTable, SmallerCapacityKeepsEntries) {
  FdbTable table(100);
  for (unsigned n = 0; n < 100; ++n) ASSERT_TRUE(table.put(key(n), value(1), n));
  auto small = table.rebuilt(10);
  EXPECT_EQ(small->capacity(), 10U);
  EXPECT_EQ(small->size(), 100U);
  std::uint32_t when = 0;
  for (unsigned n = 0; n < 100; ++n) {
    ASSERT_EQ(small->find(key(n)), value(1));
    ASSERT_TRUE(small->used_at(key(n), when));
    ASSERT_EQ(when, n);
  }
  EXPECT_FALSE(small->put(key(100), value(1), 1));
  for (unsigned n = 0; n < 91; ++n) small->remove(key(n));
  EXPECT_TRUE(small->put(key(100), value(1), 1));
}

// A frame refreshes only an entry that leads where the frame came from.
TEST(FdbTable, ForeignPortDoesNotKeepAnEntryAlive) {
  FdbTable table(10);
  ASSERT_TRUE(table.put(key(1), value(1), 5));
  EXPECT_EQ(use_source(table, key(1), value(2), 9), value(1));
  std::uint32_t when = 0;
  ASSERT_TRUE(table.used_at(key(1), when));
  EXPECT_EQ(when, 5U);
  EXPECT_EQ(use_source(table, key(1), value(1), 9), value(1));
  ASSERT_TRUE(table.used_at(key(1), when));
  EXPECT_EQ(when, 9U);
}

// The value says which key it was stored for, so a reader that sees one key's slot with another's value notices. Many
// keys that come and go wear the table out, and the writer replaces it under the readers.
TEST(FdbTable, ReadersNeverSeeAnotherKeysValue) {
  constexpr std::uint64_t kKeys = 500;
  constexpr std::uint64_t kAlways = 7;  // a key that is never removed
  struct {
    std::atomic<FdbTable*> table{new FdbTable(64)};
    std::atomic<bool> stop{false};
    std::atomic<std::uint64_t> wrong{0}, lost{0}, hits{0};
  } shared;
  ASSERT_TRUE(shared.table.load()->put(key(kAlways), value(1, kAlways), 0));
  std::vector<std::thread> readers;
  for (unsigned r = 0; r < 2; ++r) {
    readers.emplace_back([&, r] {
      const RcuThread registered;
      std::mt19937 random(r);
      while (!shared.stop.load()) {
        const RcuGuard guard;
        FdbTable& t = *shared.table.load(std::memory_order_acquire);
        for (int i = 0; i < 64; ++i) {
          const auto n = static_cast<std::uint32_t>(random() % kKeys);
          const FdbValue v = i % 2 == 0 ? t.find(key(n)) : use_source(t, key(n), value(1, n), 1 + random() % 9);
          if (v != 0 && fdb_path(v) != n) ++shared.wrong;
          if (v != 0) ++shared.hits;
        }
        if (t.find(key(kAlways)) == 0) ++shared.lost;
      }
    });
  }
  std::mt19937 random(99);
  unsigned replaced = 0;
  for (unsigned i = 0; replaced < 100 || shared.hits.load() < 1000; ++i) {
    FdbTable* t = shared.table.load(std::memory_order_relaxed);
    const auto n = static_cast<std::uint32_t>(random() % kKeys);
    if (n != kAlways && !t->put(key(n), value(1 + random() % 3, n), i)) {
      for (std::uint32_t k = 0; k < kKeys; k += 1 + random() % 3)
        if (k != kAlways) t->remove(key(k));
    }
    if (i % 1000 == 999) t->remove_port(static_cast<PortNo>(3));
    if (!t->worn()) continue;
    const std::unique_ptr<FdbTable> old(t);
    shared.table.store(t->rebuilt(64).release(), std::memory_order_release);
    rcu_synchronize();
    ++replaced;
  }
  shared.stop = true;
  for (auto& r : readers) r.join();
  delete shared.table.load();
  EXPECT_EQ(shared.wrong, 0U);
  EXPECT_EQ(shared.lost, 0U);
}

}  // namespace
}  // namespace heddle::dp
