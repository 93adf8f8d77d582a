// SPDX-License-Identifier: Apache-2.0
#include "ofproto-lite/of_port_numbers.h"

#include <gtest/gtest.h>

#include "base/limits.h"

namespace heddle::ofproto {
namespace {

TEST(OfPortNumbers, LowestFreeAndRested) {
  OfPortNumbers numbers;
  EXPECT_EQ(numbers.take({}), 1);
  EXPECT_EQ(numbers.take({}), 2);
  EXPECT_EQ(numbers.take(7), 7);
  EXPECT_EQ(numbers.take(7), 3) << "a wish that is taken gets the lowest";
  numbers.give_back(1);
  EXPECT_EQ(numbers.take({}), 4) << "a freed number rests";
  EXPECT_EQ(numbers.take(1), 1) << "unless it is asked for";
  EXPECT_EQ(numbers.take(0), 5);
  EXPECT_EQ(numbers.take(0xfff0), 6) << "reserved numbers are not given";
}

TEST(OfPortNumbers, RestedNumbersComeBackFirst) {
  OfPortNumbers numbers;
  constexpr auto many = static_cast<OfPort>(limits::kOfportRest + 10);
  for (OfPort n = 1; n <= many; ++n) ASSERT_EQ(numbers.take({}), n);
  for (OfPort n = 2; n <= limits::kOfportRest + 3; ++n) numbers.give_back(n);
  EXPECT_EQ(numbers.take({}), 2) << "it was freed before kOfportRest others";
  EXPECT_EQ(numbers.take({}), 3);
  EXPECT_EQ(numbers.take({}), many + 1) << "the others rest";
}

TEST(OfPortNumbers, RestedNumbersServeWhenAllElseIsUsed) {
  OfPortNumbers numbers;
  for (unsigned n = 1; n <= limits::kOfportMax; ++n) ASSERT_EQ(numbers.take(static_cast<OfPort>(n)), n);
  EXPECT_EQ(numbers.take({}), std::nullopt);
  numbers.give_back(500);
  numbers.give_back(400);
  EXPECT_EQ(numbers.take({}), 500);
}

}  // namespace
}  // namespace heddle::ofproto
