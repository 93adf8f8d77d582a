// SPDX-License-Identifier: Apache-2.0
#include "datapath/control/device_stack.h"

#include <gtest/gtest.h>

namespace heddle::dp {
namespace {

netlink::Link link(int index, const char* kind, int lower = 0, int master = 0) {
  netlink::Link l;
  l.index = index;
  l.kind = kind;
  l.link = lower;
  l.master = master;
  return l;
}

using Set = std::set<int>;

// br0 (1) with a VLAN device (2), which is a member of a bridge (3) with a VLAN device (4); another port's device (5).
class Stack : public testing::Test {
 protected:
  Stack() {
    for (const auto& l :
         {link(1, "veth", 9), link(2, "vlan", 1, 3), link(3, "bridge"), link(4, "vlan", 3), link(5, "veth", 1)})
      stack.on_link(l);
  }
  DeviceStack stack;
};

TEST_F(Stack, FramesGoUpThroughVlansAndBridges) {
  EXPECT_EQ(stack.above({1}), (Set{1, 2, 3, 4}));
  EXPECT_EQ(stack.above({3}), (Set{3, 4}));
  EXPECT_EQ(stack.above({5}), Set{5}) << "a veth's peer is not its lower device";
  EXPECT_EQ(stack.above({4, 5}), (Set{4, 5}));
  EXPECT_EQ(stack.above({}), Set{});
}

TEST_F(Stack, AndComeFromBelow) {
  EXPECT_EQ(stack.below(4), (Set{1, 2, 3, 4}));
  EXPECT_EQ(stack.below(1), Set{1});
  EXPECT_EQ(stack.below(77), Set{77});
}

TEST_F(Stack, NewsChangeIt) {
  stack.on_link(link(2, "vlan", 1));  // no member any more
  EXPECT_EQ(stack.above({1}), (Set{1, 2}));
  stack.on_link_gone(2);
  EXPECT_EQ(stack.above({1}), Set{1});
  auto elsewhere = link(6, "macvlan", 1);
  elsewhere.link_netns = 4;  // device 1 of another namespace
  stack.on_link(elsewhere);
  EXPECT_EQ(stack.above({1}), Set{1});
  stack.on_link(link(6, "macvlan", 1));
  EXPECT_EQ(stack.above({1}), (Set{1, 6}));
}

// The kernel makes no rings, but news may come in an order that looks like one.
TEST_F(Stack, ARingEnds) {
  stack.on_link(link(1, "vlan", 4));
  EXPECT_EQ(stack.above({1}), (Set{1, 2, 3, 4}));
  EXPECT_EQ(stack.below(1), (Set{1, 2, 3, 4}));
}

}  // namespace
}  // namespace heddle::dp
