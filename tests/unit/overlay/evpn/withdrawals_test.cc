// SPDX-License-Identifier: Apache-2.0
#include "overlay/evpn/withdrawals.h"

#include <gtest/gtest.h>

namespace heddle::overlay::evpn {
namespace {

const MacAddr kMac = MacAddr::from_u64(0x020000000001ULL);
const IpAddr kVtep = *IpAddr::parse("192.0.2.1");

TEST(Withdrawals, WaitUntilItIsClearWhy) {
  Withdrawals w;
  const TimePoint now = TimePoint{} + std::chrono::seconds(100);
  EXPECT_EQ(w.due(), std::nullopt);
  w.mac(10, kMac, now);
  w.member(10, kVtep, now + std::chrono::milliseconds(300));
  w.mac(10, kMac, now + std::chrono::milliseconds(500));
  EXPECT_EQ(w.due(), now + Withdrawals::kDoubt) << "the first word counts";
  EXPECT_TRUE(w.take(now).macs.empty());
  auto due = w.take(now + Withdrawals::kDoubt);
  EXPECT_EQ(due.macs, (std::vector{std::pair(Vni{10}, kMac)}));
  EXPECT_TRUE(due.members.empty());
  EXPECT_FALSE(w.empty());
  due = w.take(now + Withdrawals::kDoubt * 2);
  EXPECT_EQ(due.members, (std::vector{std::pair(Vni{10}, kVtep)}));
  EXPECT_TRUE(w.empty());
}

// 10,000 stations of a VTEP that left: its membership comes last, and says why.
TEST(Withdrawals, OfManyTheEndIsWaitedFor) {
  Withdrawals w;
  TimePoint now = TimePoint{} + std::chrono::seconds(100);
  const TimePoint began = now;
  std::uint64_t n = 0x020000000000ULL;
  while (now < began + std::chrono::seconds(3)) {
    for (int i = 0; i < 100; ++i) w.mac(10, MacAddr::from_u64(n++), now);
    now += std::chrono::milliseconds(100);
    EXPECT_TRUE(w.take(now).macs.empty());
  }
  w.member(10, kVtep, now);
  now += Withdrawals::kDoubt;
  const auto due = w.take(now);
  EXPECT_EQ(due.macs.size(), 3000U);
  EXPECT_EQ(due.members.size(), 1U);
  // Without an end the first have their turn all the same.
  const TimePoint again = now;
  std::size_t taken = 0;
  while (now < again + Withdrawals::kLongest + std::chrono::seconds(3)) {
    for (int i = 0; i < 100; ++i) w.mac(10, MacAddr::from_u64(n++), now);
    now += std::chrono::milliseconds(100);
    taken += w.take(now).macs.size();
  }
  EXPECT_GT(taken, 0U);
}

TEST(Withdrawals, WhatComesBackWasNotWithdrawn) {
  Withdrawals w;
  w.mac(10, kMac, {});
  w.mac(11, kMac, {});
  w.member(10, kVtep, {});
  w.settled(10, kMac);
  w.settled(10, kVtep);
  EXPECT_EQ(w.take(TimePoint::max()).macs, (std::vector{std::pair(Vni{11}, kMac)}));
  w.mac(10, kMac, {});
  w.clear();
  EXPECT_TRUE(w.empty());
}

}  // namespace
}  // namespace heddle::overlay::evpn
