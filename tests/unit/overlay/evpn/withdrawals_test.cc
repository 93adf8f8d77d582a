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
