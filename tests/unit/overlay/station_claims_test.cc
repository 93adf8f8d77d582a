// SPDX-License-Identifier: Apache-2.0
#include "overlay/station_claims.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>

namespace heddle::overlay {
namespace {

using Key = StationClaims::Key;
using std::chrono::seconds;

Key key(unsigned n, Vni vni = 10) { return {vni, MacAddr::from_u64(0x020000000000ULL + n)}; }
std::set<Key> keys(const std::vector<StationClaims::Claim>& claims) {
  std::set<Key> out;
  for (const auto& c : claims) out.insert(c.key);
  return out;
}

// The station's whole life: claimed, held, taken by another, claimed again when it sends here again, gone.
TEST(StationClaims, FollowAStation) {
  StationClaims claims;
  TimePoint now{};
  claims.add(key(1), false, now);
  claims.add(key(1), false, now);
  auto batch = claims.next(100);
  EXPECT_EQ(keys(batch.claims), std::set{key(1)});
  claims.add(key(1), false, now);
  EXPECT_TRUE(claims.next(100).empty()) << "it is on its way";
  claims.done(batch, false);
  claims.row_is(key(1), true);
  claims.settle(true);
  EXPECT_TRUE(claims.next(100).empty());
  claims.row_is(key(1), false);
  claims.settle(true);
  EXPECT_TRUE(claims.next(100).empty()) << "another's row is no reason to claim";
  claims.add(key(1), false, now);
  EXPECT_TRUE(claims.next(100).empty()) << "not so soon";
  claims.add(key(1), false, now + StationClaims::kRest);
  batch = claims.next(100);
  EXPECT_EQ(keys(batch.claims), std::set{key(1)});
  claims.done(batch, false);
  claims.row_is(key(1), true);
  claims.settle(true);
  claims.remove(key(1));
  batch = claims.next(100);
  EXPECT_EQ(batch.removals, std::vector{key(1)});
  claims.done(batch, false);
  claims.row_gone(key(1));
  claims.settle(true);
  EXPECT_TRUE(claims.next(100).empty());
}

TEST(StationClaims, ARowThatSomebodyRemovedComesBack) {
  StationClaims claims;
  claims.add(key(1), false, {});
  claims.done(claims.next(9), false);
  claims.row_is(key(1), true);
  claims.settle(false);
  claims.row_gone(key(1));
  claims.settle(false);
  EXPECT_EQ(keys(claims.next(9).claims), std::set{key(1)});
}

TEST(StationClaims, OneThatIsFixedElsewhereDoesNotHoldUpTheOthers) {
  StationClaims claims;
  for (unsigned n = 1; n <= 3; ++n) claims.add(key(n), false, {});
  claims.row_is(key(9), true);
  claims.settle(true);
  const auto all = claims.next(10);
  EXPECT_EQ(all.claims.size(), 3U);
  EXPECT_EQ(all.removals, std::vector{key(9)}) << "a row of a former life";
  claims.done(all, true);
  std::set<Key> alone;
  for (int i = 0; i < 3; ++i) {
    const auto one = claims.next(10);
    ASSERT_EQ(one.claims.size(), 1U);
    ASSERT_TRUE(one.removals.empty());
    alone.insert(one.claims.front().key);
    claims.done(one, one.claims.front().key == key(2));
  }
  EXPECT_EQ(alone, (std::set{key(1), key(2), key(3)}));
  EXPECT_EQ(claims.refused(), 1U);
  EXPECT_EQ(claims.next(10).removals, std::vector{key(9)});
  EXPECT_TRUE(claims.next(10).empty());
}

TEST(StationClaims, ANewDaemonsRowsWaitForItsStations) {
  StationClaims claims;
  claims.row_is(key(1), true);
  claims.row_is(key(2), true);
  claims.settle(false);
  EXPECT_TRUE(claims.next(9).empty());
  claims.add(key(1), false, {});
  claims.done(claims.next(9), false);
  claims.settle(true);
  EXPECT_EQ(claims.next(9).removals, std::vector{key(2)});
}

TEST(StationClaims, AfterALossTheRowsTell) {
  StationClaims claims;
  for (unsigned n = 1; n <= 4; ++n) claims.add(key(n), false, {});
  claims.done(claims.next(3), false);  // 1, 2, 3
  for (unsigned n = 1; n <= 3; ++n) claims.row_is(key(n), true);
  claims.settle(true);
  const auto lost = claims.next(9);
  EXPECT_EQ(keys(lost.claims), std::set{key(4)});
  claims.unknown(lost);
  claims.restart();
  claims.row_is(key(1), true);
  claims.row_is(key(2), false);
  claims.settle(true);
  EXPECT_EQ(keys(claims.next(9).claims), (std::set{key(3), key(4)}));
}

TEST(StationClaims, LeaveWithTheirNetwork) {
  StationClaims claims;
  claims.add(key(1, 10), false, {});
  claims.add(key(1, 11), false, {});
  claims.done(claims.next(9), false);
  claims.row_is(key(1, 10), true);
  claims.row_is(key(1, 11), true);
  claims.settle(true);
  claims.remove_network(10);
  EXPECT_EQ(claims.next(9).removals, (std::vector{key(1, 10)}));
  EXPECT_TRUE(claims.next(9).empty());
}

// Against a table that does what the reflector would: in the end it has our stations, and no other row of ours.
TEST(StationClaims, RandomStoriesEndWithWhatIsWanted) {
  std::mt19937 random(3);
  for (int story = 0; story < 200; ++story) {
    StationClaims claims;
    std::map<Key, bool> table;  // true: ours
    std::set<Key> here;
    TimePoint now{};
    const auto transact = [&] {
      const auto batch = claims.next(1 + random() % 4);
      if (batch.empty()) return false;
      if (random() % 10 == 0) {
        claims.unknown(batch);
        if (random() % 2 == 0) return true;
      } else {
        claims.done(batch, false);
      }
      for (const Key& k : batch.removals)
        if (table.contains(k) && table[k]) table.erase(k), claims.row_gone(k);
      for (const auto& c : batch.claims) table[c.key] = true, claims.row_is(c.key, true);
      claims.settle(true);
      return true;
    };
    for (int step = 0; step < 100; ++step) {
      now += seconds(1);
      const Key k = key(random() % 6);
      switch (random() % 5) {
        case 0:
        case 1:
          here.insert(k);
          claims.add(k, false, now);
          break;
        case 2:
          here.erase(k);
          claims.remove(k);
          break;
        case 3:  // another host takes it: here it is gone
          table[k] = false;
          claims.row_is(k, false);
          claims.settle(true);
          here.erase(k);
          claims.remove(k);
          break;
        default:
          transact();
      }
    }
    claims.settle(true);
    for (int i = 0; i < 100 && transact(); ++i) continue;
    std::set<Key> ours;
    for (const auto& [k, mine] : table)
      if (mine) ours.insert(k);
    EXPECT_EQ(ours, here) << "story " << story;
  }
}

}  // namespace
}  // namespace heddle::overlay
