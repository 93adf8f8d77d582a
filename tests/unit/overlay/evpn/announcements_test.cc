// SPDX-License-Identifier: Apache-2.0
#include "overlay/evpn/announcements.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <string>

namespace heddle::overlay::evpn {
namespace {

using Key = Announcements::Key;
using std::chrono::seconds;

Key key(unsigned n, Vni vni = 10) { return {vni, MacAddr::from_u64(0x020000000000ULL + n)}; }

std::string text(const std::vector<Announcements::Write>& writes) {
  std::string out;
  for (const auto& w : writes)
    out += std::to_string(w.key.second.to_u64() & 0xff) + (w.gone ? "-" : w.fixed ? "!" : "+") + " ";
  return out;
}

TEST(Announcements, FollowAStation) {
  Announcements a;
  TimePoint now = TimePoint{} + seconds(100);
  a.add(key(1), false);
  a.add(key(1), false);
  EXPECT_EQ(text(a.next(9, now)), "1+ ");
  a.add(key(1), false);
  EXPECT_EQ(text(a.next(9, now)), "") << "it has been told";
  now += seconds(1);
  a.add(key(1), true);
  EXPECT_EQ(text(a.next(9, now)), "1! ");
  // Another host takes it, and the FDB says that it is not here.
  a.taken(key(1));
  EXPECT_TRUE(a.is_here(key(1)));
  a.remove(key(1));
  EXPECT_FALSE(a.is_here(key(1)));
  EXPECT_EQ(text(a.next(9, now)), "") << "what is another's is not removed";
  now += seconds(1);
  a.add(key(1), false);
  EXPECT_EQ(text(a.next(9, now)), "1+ ") << "claimed back";
  a.remove(key(1));
  EXPECT_EQ(text(a.next(9, now)), "1- ");
  EXPECT_TRUE(a.empty());
}

// Two hosts that both hear a station do not keep zebra busy; a removal does not wait.
TEST(Announcements, AClaimRests) {
  Announcements a;
  TimePoint now = TimePoint{} + seconds(100);
  a.add(key(1), false);
  a.add(key(2), false);
  EXPECT_EQ(text(a.next(9, now)), "1+ 2+ ");
  a.taken(key(1));
  a.add(key(1), false);
  a.remove(key(2));
  EXPECT_EQ(text(a.next(9, now)), "2- ");
  EXPECT_FALSE(a.empty());
  now += Announcements::kRest;
  EXPECT_EQ(text(a.next(9, now)), "1+ ");
  a.taken(key(1));
  a.add(key(1), false);
  EXPECT_EQ(text(a.next(9, now)), "");
  a.remove(key(1));
  EXPECT_EQ(text(a.next(9, now + Announcements::kRest)), "") << "it was another's, and is gone from here";
  EXPECT_TRUE(a.empty());
}

TEST(Announcements, ANewZebraIsToldAll) {
  Announcements a;
  const TimePoint now = TimePoint{} + seconds(100);
  for (unsigned n = 1; n <= 3; ++n) a.add(key(n), n == 3);
  a.add(key(4, 11), false);
  EXPECT_EQ(text(a.next(3, now)), "1+ 2+ 3! ");
  EXPECT_EQ(text(a.next(3, now)), "4+ ");
  a.remove(key(2));
  a.restart(10);
  EXPECT_EQ(text(a.next(9, now)), "1+ 3! ") << "what it was never told is not taken back";
  a.restart();
  EXPECT_EQ(text(a.next(9, now)), "1+ 3! 4+ ");
}

TEST(Announcements, WhatAnEarlierDaemonToldGoesWhenItIsTime) {
  Announcements a;
  const TimePoint now = TimePoint{} + seconds(100);
  for (unsigned n = 1; n <= 3; ++n) a.found(key(n), false);
  a.add(key(1), false);
  a.add(key(2), true);
  EXPECT_EQ(text(a.next(9, now)), "2! ");
  a.settle();
  EXPECT_EQ(text(a.next(9, now)), "3- ");
  EXPECT_EQ(text(a.forget_network(10)), "1- 2- ");
  EXPECT_EQ(text(a.next(9, now)), "");
}

// However stations come, go and are taken, in the end just those that are here have been told.
TEST(Announcements, EndsWhereItShould) {
  std::mt19937 random(3);
  const auto pick = [&random](unsigned n) { return static_cast<unsigned>(random() % n); };
  Announcements a;
  TimePoint now = TimePoint{} + seconds(100);
  std::map<Key, bool> want;
  std::map<Key, bool> told;
  const auto write = [&](std::size_t most) {
    const auto writes = a.next(most, now);
    EXPECT_LE(writes.size(), most);
    for (const auto& w : writes) {
      if (w.gone)
        told.erase(w.key);
      else
        told[w.key] = w.fixed;
    }
  };
  for (int round = 0; round < 20'000; ++round) {
    const Key k = key(pick(6));
    now += std::chrono::milliseconds(pick(100));
    switch (pick(5)) {
      case 0:
      case 1: {
        const bool fixed = pick(4) == 0;
        a.add(k, fixed);
        want[k] = fixed;
        break;
      }
      case 2:
        a.remove(k);
        want.erase(k);
        break;
      case 3:
        if (!told.contains(k)) break;
        a.taken(k);
        told.erase(k);
        a.remove(k);
        want.erase(k);
        break;
      default:
        write(pick(3));
    }
    if (round % 500 != 499) continue;
    for (int i = 0; i < 10; ++i) {
      now += seconds(1);
      write(100);
    }
    EXPECT_TRUE(a.empty());
    EXPECT_EQ(told, want);
  }
}

}  // namespace
}  // namespace heddle::overlay::evpn
