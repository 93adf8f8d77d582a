// SPDX-License-Identifier: Apache-2.0
#include "vswitchd/tunnel_options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace heddle::vswitchd {
namespace {

using Options = std::map<std::string, std::string>;

TunnelOptions good(Options options) {
  options.try_emplace("remote_ip", "192.0.2.2");
  auto r = parse_tunnel_options(options);
  EXPECT_TRUE(r) << r.error().text;
  return r.value_or(TunnelOptions{});
}

TEST(TunnelOptions, Defaults) {
  dp::TunnelSpec want;
  want.remote = IpAddr::parse("192.0.2.2");
  EXPECT_EQ(good({}).spec, want);
  EXPECT_FALSE(want.csum);
  EXPECT_TRUE(want.df);
}

TEST(TunnelOptions, EachOptionIsTaken) {
  EXPECT_EQ(good({{"key", "10"}}).spec.vxlan().vni, 10U);
  EXPECT_EQ(good({{"key", "0xffffff"}}).spec.vxlan().vni, 16777215U);
  EXPECT_EQ(good({{"in_key", "7"}, {"out_key", "7"}}).spec.vxlan().vni, 7U);
  EXPECT_EQ(good({{"local_ip", "192.0.2.1"}}).spec.local, IpAddr::parse("192.0.2.1"));
  EXPECT_EQ(good({{"dst_port", "8472"}}).spec.vxlan().dst_port, 8472);
  EXPECT_EQ(good({{"tos", "0x28"}}).spec.tos, 0x28);
  EXPECT_TRUE(good({{"tos", "inherit"}}).spec.tos_inherit);
  EXPECT_EQ(good({{"ttl", "255"}}).spec.ttl, 255);
  EXPECT_TRUE(good({{"ttl", "inherit"}}).spec.ttl_inherit);
  EXPECT_FALSE(good({{"df_default", "false"}}).spec.df);
  EXPECT_TRUE(good({{"csum", "true"}}).spec.csum);
  EXPECT_FALSE(good({{"split_horizon", "false"}}).spec.split_horizon);
  EXPECT_TRUE(good({}).spec.strict_ingress);
  EXPECT_TRUE(good({{"rp_filter", "strict"}}).spec.strict_ingress);
  EXPECT_FALSE(good({{"rp_filter", "loose"}}).spec.strict_ingress);
}

TEST(TunnelOptions, FamilyFollowsTheAddresses) {
  const auto v6 = good({{"remote_ip", "2001:db8::2"}, {"local_ip", "2001:db8::1"}});
  EXPECT_TRUE(v6.spec.v6);
  EXPECT_TRUE(v6.spec.csum) << "RFC 8200 wants a UDP checksum over IPv6";
  EXPECT_FALSE(good({{"remote_ip", "2001:db8::2"}, {"csum", "false"}}).spec.csum);
  EXPECT_TRUE(good({{"remote_ip", "flow"}, {"local_ip", "2001:db8::1"}}).spec.v6);
}

TEST(TunnelOptions, MultipointTakesAFloodList) {
  const auto t = good({{"remote_ip", "flow"}, {"remotes", "192.0.2.2, 192.0.2.3,192.0.2.2"}});
  EXPECT_FALSE(t.spec.remote);
  EXPECT_EQ(t.remotes, (std::vector<IpAddr>{*IpAddr::parse("192.0.2.2"), *IpAddr::parse("192.0.2.3")}));
  EXPECT_TRUE(good({{"remote_ip", "flow"}, {"remotes", ""}}).remotes.empty());
}

TEST(TunnelOptions, AGroupIsAMultipointTunnelsOnlyFloodMember) {
  for (const char* text : {"239.1.1.10", "224.0.1.1", "ff05::10", "ff02::10"}) {
    const IpAddr group = *IpAddr::parse(text);
    const auto r = parse_tunnel_options({{"remote_ip", text}, {"key", "10"}});
    ASSERT_TRUE(r) << r.error().text;
    EXPECT_TRUE(r->spec.multipoint());
    EXPECT_EQ(r->spec.group, group);
    EXPECT_EQ(r->spec.v6, group.is_v6());
    EXPECT_EQ(r->remotes, std::vector{group});
  }
  const auto end_point = [](const char* remote, const char* local) {
    Options options{{"remote_ip", remote}};
    if (*local != 0) options["local_ip"] = local;
    const auto r = parse_tunnel_options(options);
    EXPECT_TRUE(r) << r.error().text;
    return describe_endpoint(r->spec);
  };
  EXPECT_EQ(end_point("239.1.1.10", ""), end_point("239.1.1.11", "192.0.2.1")) << "a network has one group";
  EXPECT_NE(end_point("239.1.1.10", ""), end_point("ff05::10", ""));
  EXPECT_NE(end_point("239.1.1.10", ""), end_point("192.0.2.1", ""));
}

TEST(TunnelOptions, OthersArePassedOver) {
  good({{"egress_pkt_mark", "1"}, {"exts", "gbp"}});
  for (const char* known :
       {"remote_ip", "local_ip", "key", "dst_port", "df_default", "remotes", "split_horizon", "rp_filter"})
    EXPECT_TRUE(is_tunnel_option(known)) << known;
  for (const char* other : {"remoteip", "egress_pkt_mark", "exts", ""}) EXPECT_FALSE(is_tunnel_option(other)) << other;
}

struct Bad {
  Options options;
  const char* text;  // must be part of the error
};
void PrintTo(const Bad& bad, std::ostream* os) { *os << bad.text; }
class TunnelOptionsBad : public testing::TestWithParam<Bad> {};

TEST_P(TunnelOptionsBad, SaysWhatIsWrong) {
  Options options = GetParam().options;
  if (!options.contains("no remote")) options.try_emplace("remote_ip", "192.0.2.2");
  const auto r = parse_tunnel_options(options);
  ASSERT_FALSE(r);
  EXPECT_THAT(r.error().text, testing::HasSubstr(GetParam().text));
}
INSTANTIATE_TEST_SUITE_P(
    Table, TunnelOptionsBad,
    testing::Values(Bad{{{"no remote", ""}}, "remote_ip is missing"}, Bad{{{"remote_ip", "vtep2"}}, "remote_ip=vtep2"},
                    Bad{{{"remote_ip", "0.0.0.0"}}, "not an address of a host"},
                    Bad{{{"remote_ip", "224.0.0.7"}}, "never leaves its link"},
                    Bad{{{"remote_ip", "ff01::7"}}, "never leaves its link"},
                    Bad{{{"remote_ip", "239.1.1.1"}, {"local_ip", "2001:db8::1"}}, "different families"},
                    Bad{{{"remote_ip", "239.1.1.1"}, {"remotes", "192.0.2.9"}}, "only with remote_ip=flow"},
                    Bad{{{"remote_ip", "239.1.1.1"}, {"split_horizon", "false"}}, "cannot be with a group"},
                    Bad{{{"local_ip", "239.1.1.1"}}, "address of this host"},
                    Bad{{{"remote_ip", "flow"}, {"remotes", "239.1.1.1"}}, "is not the address of a host"},
                    Bad{{{"key", "16777216"}}, "options:key=16777216: must be a number from 0 to 16777215"},
                    Bad{{{"key", "-1"}}, "from 0 to 16777215"}, Bad{{{"key", "ten"}}, "options:key=ten"},
                    Bad{{{"key", ""}}, "must be a number"}, Bad{{{"key", "0x"}}, "must be a number"},
                    Bad{{{"key", "99999999999999999999999"}}, "must be a number"},
                    Bad{{{"key", "flow"}}, "give a number"}, Bad{{{"in_key", "flow"}}, "give a number"},
                    Bad{{{"in_key", "1"}, {"out_key", "2"}}, "differ"}, Bad{{{"in_key", "1"}}, "differ"},
                    Bad{{{"in_key", "1"}, {"key", "2"}}, "differ"}, Bad{{{"dst_port", "0"}}, "from 1 to 65535"},
                    Bad{{{"dst_port", "65536"}}, "from 1 to 65535"}, Bad{{{"tos", "256"}}, "or inherit"},
                    Bad{{{"ttl", "0"}}, "from 1 to 255, or inherit"}, Bad{{{"ttl", "64 "}}, "options:ttl"},
                    Bad{{{"csum", "maybe"}}, "true or false"}, Bad{{{"df_default", ""}}, "true or false"},
                    Bad{{{"split_horizon", "1"}}, "true or false"}, Bad{{{"rp_filter", "off"}}, "strict or loose"},
                    Bad{{{"local_ip", "flow"}}, "address of this host"},
                    Bad{{{"local_ip", "::1"}}, "different families"},
                    Bad{{{"remotes", "192.0.2.9"}}, "only with remote_ip=flow"},
                    Bad{{{"remote_ip", "flow"}, {"remotes", "192.0.2.9,x"}}, "\"x\" is not the address"},
                    Bad{{{"remote_ip", "flow"}, {"remotes", "192.0.2.9,::1"}}, "different families"}));

}  // namespace
}  // namespace heddle::vswitchd
