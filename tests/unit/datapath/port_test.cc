// SPDX-License-Identifier: Apache-2.0
#include "datapath/port.h"

#include <gtest/gtest.h>

namespace heddle::dp {
namespace {

TEST(PortKinds, EveryKindHasARowAndATypeOfItsOwn) {
  std::set<std::string> types;
  for (const PortKind kind : all_kinds()) {
    EXPECT_EQ(traits(kind).kind, kind);
    EXPECT_EQ(kind_of_type(traits(kind).type), kind);
    types.insert(traits(kind).type);
    EXPECT_TRUE(!traits(kind).made_by_us || traits(kind).has_device) << traits(kind).type;
    EXPECT_TRUE(!traits(kind).is_tunnel || !traits(kind).has_device) << traits(kind).type;
  }
  EXPECT_EQ(types.size(), all_kinds().size());
  EXPECT_EQ(kind_of_type("gre"), std::nullopt);
  EXPECT_EQ(kind_of_type(""), std::nullopt);
}

TEST(PortSpecs, OnlyMacAndMtuMayChange) {
  PortSpec a;
  a.name = "p";
  a.kind = PortKind::internal;
  PortSpec b = a;
  b.mac = MacAddr::parse("02:00:00:00:00:01");
  b.mtu = 9000;
  EXPECT_TRUE(may_become(a, b));
  b.kind = PortKind::tap;
  EXPECT_FALSE(may_become(a, b));
  PortSpec tunnel = a;
  tunnel.kind = PortKind::vxlan;
  PortSpec other = tunnel;
  other.tunnel.vxlan().vni = 1;
  EXPECT_FALSE(may_become(tunnel, other));
}

TEST(Qos, IsCheckedOnceForAllProviders) {
  PortSpec port;
  port.name = "p";
  const auto code = [](const PortSpec& p, const QosSpec& qos) {
    const auto ok = check_qos(p, qos);
    return ok ? std::optional<Errc>() : ok.error().code;
  };
  EXPECT_EQ(code(port, {1000, {{0, {}}, {limits::kQueueMax, {}}}}), std::nullopt);
  EXPECT_EQ(code(port, {0, {}}), Errc::invalid);
  EXPECT_EQ(code(port, {1000, {{limits::kQueueMax + 1, {}}}}), Errc::invalid);
  QosSpec many{1000, {}};
  for (std::uint32_t n = 0; n <= limits::kQueues; ++n) many.queues[n] = {};
  EXPECT_EQ(code(port, many), Errc::limit);
  for (const PortKind kind : all_kinds()) {
    port.kind = kind;
    EXPECT_EQ(code(port, {1000, {}}), traits(kind).may_shape ? std::nullopt : std::optional(Errc::unsupported));
  }
}

}  // namespace
}  // namespace heddle::dp
