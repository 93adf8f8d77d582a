// SPDX-License-Identifier: Apache-2.0
#include "ofproto-lite/mirrors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/limits.h"

namespace heddle::ofproto {
namespace {

using testing::ElementsAre;

PortsByName ports(const std::vector<std::string>& names) {
  PortsByName out;
  for (const std::string& name : names) out[name].number = static_cast<dp::PortNo>(out.size() + 1);
  return out;
}

TEST(Mirrors, PortsThatAreNotThereArePassedOver) {
  Mirrors mirrors;
  const std::vector<MirrorConfig> config{{.name = "m", .from = {"a", "gone"}, .to = {"gone"}, .output = "out"}};
  EXPECT_TRUE(mirrors.resolve(config, ports({"a", "b"})).empty()) << "copies would have nowhere to go";
  const auto found = mirrors.resolve(config, ports({"a", "b", "out"}));
  ASSERT_EQ(found.size(), 1U);
  EXPECT_THAT(found.at(0).from, ElementsAre(dp::PortNo{1}));
  EXPECT_TRUE(found.at(0).to.empty());
  EXPECT_EQ(found.at(0).output, dp::PortNo{3});
}

TEST(Mirrors, AMirrorThatStaysKeepsItsSlot) {
  Mirrors mirrors;
  const auto named = [](const std::string& name) { return MirrorConfig{.name = name, .output_vlan = dp::VlanId{9}}; };
  EXPECT_EQ(mirrors.resolve({named("b"), named("c")}, {}).size(), 2U);
  EXPECT_EQ(mirrors.slot("c"), 1U);
  EXPECT_EQ(mirrors.resolve({named("a"), named("c")}, {}).size(), 2U);
  EXPECT_EQ(mirrors.slot("c"), 1U);
  EXPECT_EQ(mirrors.slot("a"), 0U) << "the slot that b left";
  EXPECT_EQ(mirrors.slot("b"), std::nullopt);
}

TEST(Mirrors, NoMoreThanTheDatapathHas) {
  Mirrors mirrors;
  std::vector<MirrorConfig> config;
  for (std::size_t i = 0; i <= limits::kMirrors; ++i)
    config.push_back({.name = std::to_string(i), .output_vlan = dp::VlanId{9}});
  EXPECT_EQ(mirrors.resolve(config, {}).size(), limits::kMirrors);
}

}  // namespace
}  // namespace heddle::ofproto
