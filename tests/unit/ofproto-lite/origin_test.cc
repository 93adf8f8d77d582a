// SPDX-License-Identifier: Apache-2.0
// Two origins that know one station: who is believed, and what is left when one withdraws.
#include "ofproto-lite/origin.h"

#include <gtest/gtest.h>

#include "tests/unit/ofproto-lite/fdb_world.h"

namespace heddle::ofproto {
namespace {

using namespace test_world;
using dp::PortNo;

TEST(Origin, AreInOrderAndNamed) {
  for (std::size_t i = 1; i < kOrigins; ++i) {
    EXPECT_TRUE(outranks(all_origins()[i], all_origins()[i - 1]));
    EXPECT_FALSE(outranks(all_origins()[i - 1], all_origins()[i]));
    EXPECT_FALSE(outranks(all_origins()[i], all_origins()[i]));
  }
  EXPECT_STREQ(origin_name(Origin::learned), "learned");
  EXPECT_STREQ(origin_name(Origin::configured), "configured");
}

class TwoOrigins : public testing::TestWithParam<std::tuple<Origin, Origin, bool, bool>> {
 protected:
  void put(Origin origin, PortNo port) {
    if (origin == Origin::learned) {
      w.seen(1, port);
      oracle.seen(w.key(1), port, w.time.now());
    } else {
      EXPECT_TRUE(w.fdb.put(origin, w.key(1), {port, std::nullopt}));
      oracle.put(origin, w.key(1), port);
    }
    expect_same(w, oracle);
  }
  void withdraw(Origin origin) {
    const bool known = oracle.withdraw(origin, w.key(1));
    EXPECT_EQ(w.fdb.withdraw(origin, w.key(1)).has_value(), known);
    expect_same(w, oracle);
  }

  World w;
  Oracle oracle;
  PortNo p = w.port("p");
  PortNo q = w.port("q");
};

TEST_P(TwoOrigins, AgreeWithTheOracle) {
  const auto [first, second, elsewhere, first_withdraws_first] = GetParam();
  put(first, p);
  put(second, elsewhere ? q : p);
  put(first, p);  // once more: nobody is believed for repeating it, but its own former word
  withdraw(first_withdraws_first ? first : second);
  withdraw(first_withdraws_first ? second : first);
  EXPECT_TRUE(w.dp.fdb().empty());
  EXPECT_EQ(w.fdb.stats(kBr).entries, 0U);
  put(first, q);
  w.fdb.remove_port(q);
  EXPECT_TRUE(w.dp.fdb().empty()) << "a target that was withdrawn does not come back";
}

TEST_P(TwoOrigins, RefusedMovesAreCountedByTheEntrysOrigin) {
  const auto [first, second, elsewhere, unused] = GetParam();
  put(first, p);
  put(second, elsewhere ? q : p);
  PerOrigin<std::uint64_t> want;
  if (elsewhere && outranks(first, second)) want[first] = 1;
  EXPECT_EQ(w.fdb.stats(kBr).refused_moves.values, want.values);
}

TEST_P(TwoOrigins, APortTakesItsTargetsWithIt) {
  const auto [first, second, elsewhere, first_withdraws_first] = GetParam();
  put(first, p);
  put(second, elsewhere ? q : p);
  const PortNo gone = first_withdraws_first || !elsewhere ? p : q;
  w.fdb.remove_port(gone);
  oracle.remove_port(gone);
  expect_same(w, oracle);
}

constexpr auto kEach = all_origins();
INSTANTIATE_TEST_SUITE_P(EveryPair, TwoOrigins,
                         testing::Combine(testing::ValuesIn(kEach), testing::ValuesIn(kEach), testing::Bool(),
                                          testing::Bool()));

TEST(Fdb, TheStrongestThatIsLeftTakesEffect) {
  World w;
  const PortNo p = w.port("p");
  const PortNo q = w.port("q");
  const PortNo r = w.port("r");
  w.seen(1, r);
  ASSERT_TRUE(w.fdb.put(Origin::evpn, w.key(1), {p, std::nullopt}));
  ASSERT_TRUE(w.fdb.put(Origin::configured, w.key(1), {q, std::nullopt}));
  ASSERT_TRUE(w.fdb.put(Origin::reflector, w.key(1), {r, std::nullopt}));
  EXPECT_EQ(w.where(1), q);
  ASSERT_TRUE(w.fdb.withdraw(Origin::configured, w.key(1)));
  EXPECT_EQ(w.where(1), r);
  ASSERT_TRUE(w.dp.ports().remove(p));  // and nobody has told the Fdb yet
  ASSERT_TRUE(w.fdb.withdraw(Origin::reflector, w.key(1)));
  EXPECT_FALSE(w.fdb.find(w.key(1))) << "its port is gone, and what was learned was not kept";
  EXPECT_EQ(w.fdb.stats(kBr).datapath_refused, 1U);
}

}  // namespace
}  // namespace heddle::ofproto
