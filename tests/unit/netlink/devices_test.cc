// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <chrono>

#include "netlink/netlink.h"
#include "tests/support/netns.h"

namespace heddle::netlink {
namespace {

using test::sh;

class DevicesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    HEDDLE_NEEDS_NETNS();
    netns_ = std::make_unique<test::PrivateNetns>();
    auto opened = Netlink::open();
    ASSERT_TRUE(opened) << opened.error().text;
    nl_ = std::move(*opened);
  }

  // Binds a UDP port on all local addresses of `family`, as a program would.
  static Fd take_port(int family, std::uint16_t port) {
    Fd fd(::socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    sockaddr_in6 six{};
    six.sin6_family = AF_INET6;
    six.sin6_port = htons(port);
    sockaddr_in four{};
    four.sin_family = AF_INET;
    four.sin_port = htons(port);
    const int on = 1;
    if (family == AF_INET6) ::setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    const int bound = family == AF_INET6 ? ::bind(fd.get(), reinterpret_cast<sockaddr*>(&six), sizeof six)
                                         : ::bind(fd.get(), reinterpret_cast<sockaddr*>(&four), sizeof four);
    if (bound != 0) throw std::runtime_error(std::string("bind: ") + std::strerror(errno));
    return fd;
  }

  std::unique_ptr<test::PrivateNetns> netns_;
  std::unique_ptr<Netlink> nl_;
};

#define EXPECT_REFUSED(call, want_code, want_text)                                              \
  do {                                                                                          \
    const auto refused = (call);                                                                \
    ASSERT_FALSE(refused);                                                                      \
    EXPECT_EQ(refused.error().code, want_code) << refused.error().text;                         \
    EXPECT_NE(refused.error().text.find(want_text), std::string::npos) << refused.error().text; \
  } while (false)

TEST_F(DevicesTest, AddsAVethPairAsSpecified) {
  const auto near = nl_->add_veth({"va", "vb", MacAddr::parse("02:00:00:00:00:0a").value(), 1400, "heddle of br0"});
  ASSERT_TRUE(near) << near.error().text;
  EXPECT_EQ(near->name, "va");
  EXPECT_EQ(near->kind, "veth");
  EXPECT_EQ(near->mac.to_string(), "02:00:00:00:00:0a");
  const auto far = nl_->link("vb");
  ASSERT_TRUE(far) << far.error().text;
  for (const auto& end : {*near, *far}) {
    EXPECT_EQ(end.mtu, 1400U) << end.name;
    EXPECT_EQ(end.alias, "heddle of br0") << end.name;
    EXPECT_FALSE(end.admin_up) << end.name;
    EXPECT_FALSE(end.link_netns) << end.name;
  }
  EXPECT_EQ(near->link, far->index);
  EXPECT_EQ(far->link, near->index);

  const auto plain = nl_->add_veth({"vc", "vd", {}, {}, {}});
  ASSERT_TRUE(plain) << plain.error().text;
  EXPECT_EQ(plain->mtu, 1500U);
  EXPECT_EQ(plain->alias, "");
  EXPECT_FALSE(plain->mac.is_zero());
}

TEST_F(DevicesTest, ARefusedVethPairLeavesNoDevice) {
  sh("ip link add taken type bridge && ip link property add dev taken altname also-taken");
  EXPECT_REFUSED(nl_->add_veth({"taken", "vb", {}, {}, {}}), Errc::exists, "\"taken\" exists already");
  EXPECT_REFUSED(nl_->add_veth({"va", "taken", {}, {}, {}}), Errc::exists, "\"taken\" exists already");
  EXPECT_REFUSED(nl_->add_veth({"va", "also-taken", {}, {}, {}}), Errc::exists, "\"also-taken\" exists already");
  EXPECT_REFUSED(nl_->add_veth({"va", "va", {}, {}, {}}), Errc::invalid, "\"va\"");
  EXPECT_REFUSED(nl_->add_veth({"va", "vb", {}, 70000, {}}), Errc::invalid, "\"va\"");
  EXPECT_REFUSED(nl_->add_veth({"va", "vb", MacAddr::parse("01:00:00:00:00:01").value(), {}, {}}), Errc::invalid,
                 "\"va\"");
  EXPECT_REFUSED(nl_->add_veth({"va", "vb", {}, {}, std::string(256, 'x')}), Errc::invalid, "255");
  for (const char* bad : {"", ".", "..", "a/b", "a:b", "a b", "v%d", "sixteen-letters-"}) {
    EXPECT_REFUSED(nl_->add_veth({bad, "vb", {}, {}, {}}), Errc::invalid, std::string("\"") + bad + "\"");
    EXPECT_REFUSED(nl_->add_veth({"va", bad, {}, {}, {}}), Errc::invalid, std::string("\"") + bad + "\"");
  }
  EXPECT_EQ(nl_->links()->size(), 2U);  // lo and taken
}

TEST_F(DevicesTest, SetsAndRemovesAnAlias) {
  const int va = nl_->add_veth({"va", "vb", {}, {}, {}})->index;
  for (const std::string& text : {std::string("port vm1"), std::string(255, 'x'), std::string()}) {
    const auto done = nl_->set_alias(va, text);
    ASSERT_TRUE(done) << text.size() << ": " << done.error().text;
    EXPECT_EQ(nl_->link(va)->alias, text);
  }
  ASSERT_TRUE(nl_->set_alias(va, "kept"));
  EXPECT_EQ(nl_->set_alias(va, std::string(256, 'x')).error().code, Errc::invalid);
  EXPECT_EQ(nl_->set_alias(va, std::string("a\0b", 3)).error().code, Errc::invalid);
  EXPECT_EQ(nl_->set_alias(4711, "x").error().code, Errc::not_found);
  EXPECT_EQ(nl_->link(va)->alias, "kept");
}

TEST_F(DevicesTest, AVxlanDeviceCollectsMetadataForBothFamilies) {
  const auto vx = nl_->add_vxlan({.name = "vx", .udp_port = 4789, .alias = "tunnels"});
  ASSERT_TRUE(vx) << vx.error().text;
  EXPECT_EQ(vx->name, "vx");
  EXPECT_EQ(vx->kind, "vxlan");
  EXPECT_EQ(vx->mtu, 65485U);
  EXPECT_EQ(vx->alias, "tunnels");
  EXPECT_EQ(vx->link, 0);
  EXPECT_FALSE(vx->admin_up);
  for (const char* option : {"vxlan external", "dstport 4789", "srcport 49152 65535", "nolearning", "udp6zerocsumrx"})
    sh(std::string("ip -d link show vx | grep -qw '") + option + "'");
  const auto up = nl_->set_up(vx->index, true);
  ASSERT_TRUE(up) << up.error().text;
  EXPECT_TRUE(nl_->link(vx->index)->admin_up);
  EXPECT_THROW(take_port(AF_INET, 4789), std::runtime_error);  // the device has the port of both families
  EXPECT_THROW(take_port(AF_INET6, 4789), std::runtime_error);
}

TEST_F(DevicesTest, RefusesAnImpossibleVxlanDevice) {
  ASSERT_TRUE(nl_->add_vxlan({.name = "vx", .udp_port = 4789}));
  EXPECT_REFUSED(nl_->add_vxlan({.name = "vx", .udp_port = 8472}), Errc::exists, "\"vx\" exists already");
  EXPECT_REFUSED(nl_->add_vxlan({.name = "vy", .udp_port = 4789}), Errc::exists,
                 "\"vy\": another vxlan device has UDP port 4789");
  EXPECT_REFUSED(nl_->add_vxlan({.name = "vy", .udp_port = 0}), Errc::invalid, "port 0");
  EXPECT_REFUSED(nl_->add_vxlan({.name = "vy", .udp_port = 4790, .source_low = 5, .source_high = 5}), Errc::invalid,
                 "5 to 5");
  EXPECT_REFUSED(nl_->add_vxlan({.name = "v/y", .udp_port = 4790}), Errc::invalid, "\"v/y\"");
  EXPECT_REFUSED(nl_->add_vxlan({.name = "vy", .udp_port = 4790, .alias = std::string(256, 'x')}), Errc::invalid,
                 "255");
  EXPECT_EQ(nl_->link("vy").error().code, Errc::not_found);
}

TEST_F(DevicesTest, SetUpFailsWhenTheUdpPortIsInUse) {
  const int vx = nl_->add_vxlan({.name = "vx", .udp_port = 4789})->index;
  for (const int family : {AF_INET, AF_INET6}) {
    const Fd other = take_port(family, 4789);
    EXPECT_REFUSED(nl_->set_up(vx, true), Errc::exists, "\"vx\": its UDP port is in use");
    EXPECT_FALSE(nl_->link(vx)->admin_up);
  }
  sh("ip link add other type vxlan id 7 dstport 4789 && ip link set other up");
  EXPECT_REFUSED(nl_->set_up(vx, true), Errc::exists, "\"vx\": its UDP port is in use");
  sh("ip link del other");
  const auto up = nl_->set_up(vx, true);
  EXPECT_TRUE(up) << up.error().text;
}

TEST_F(DevicesTest, ReadsThePeerInAnotherNamespaceById) {
  const auto mac = MacAddr::parse("02:00:00:00:00:0b").value();
  std::optional<test::Netns> far(std::in_place);
  test::veth("va", *far, "vb");
  far->in([] { sh("ip link set vb address 02:00:00:00:00:0b"); });
  const auto va = nl_->link("va");
  ASSERT_TRUE(va) << va.error().text;
  ASSERT_TRUE(va->link_netns);
  ASSERT_GE(*va->link_netns, 0);
  const auto peer = nl_->peer(*va->link_netns, va->link);
  ASSERT_TRUE(peer) << peer.error().text;
  ASSERT_TRUE(*peer);
  EXPECT_EQ((*peer)->mac, mac);
  EXPECT_EQ((*peer)->name, "vb");
  EXPECT_EQ((*peer)->mtu, 1500U);

  // Changed in the other namespace: the call returns the new address.
  far->in([] { sh("ip link set vb address 02:00:00:00:00:0c"); });
  EXPECT_EQ((*nl_->peer(*va->link_netns, va->link))->mac, MacAddr::parse("02:00:00:00:00:0c").value());

  struct Case {
    int nsid;
    int ifindex;
  };
  for (const auto& [nsid, ifindex] :
       {Case{*va->link_netns, 4711}, {*va->link_netns, 0}, {*va->link_netns, -1}, {-1, va->link}, {4711, va->link}}) {
    const auto none = nl_->peer(nsid, ifindex);
    ASSERT_TRUE(none) << nsid << ' ' << ifindex << ": " << none.error().text;
    EXPECT_FALSE(*none) << nsid << ' ' << ifindex;
  }
  // The kernel removes the namespace asynchronously.
  far.reset();
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(5);
  auto gone = nl_->peer(*va->link_netns, va->link);
  while (gone && *gone && std::chrono::steady_clock::now() < end) gone = nl_->peer(*va->link_netns, va->link);
  ASSERT_TRUE(gone) << gone.error().text;
  EXPECT_FALSE(*gone);
}

TEST_F(DevicesTest, DetectsIngressAndEgressFilters) {
  test::veth("va", "vb");
  const int va = nl_->link("va")->index;
  const int vb = nl_->link("vb")->index;
  const auto state = [&](int index) {
    const auto filters = nl_->ingress_filters(index);
    const auto clsact = nl_->has_clsact(index);
    EXPECT_TRUE(filters) << filters.error().text;
    EXPECT_TRUE(clsact) << clsact.error().text;
    return std::pair(filters.value_or(false), clsact.value_or(false));
  };
  const std::string filter = " protocol all pref 7 bpf bytecode '1,6 0 0 4294967295,'";
  EXPECT_EQ(state(va), std::pair(false, false));
  sh("tc qdisc add dev va clsact");
  EXPECT_EQ(state(va), std::pair(false, true));
  EXPECT_FALSE(*nl_->egress_filters(va));
  sh("tc filter add dev va egress" + filter);
  EXPECT_TRUE(*nl_->egress_filters(va));
  EXPECT_EQ(state(va), std::pair(false, true));
  sh("tc filter add dev va ingress" + filter);
  EXPECT_EQ(state(va), std::pair(true, true));
  sh("tc filter add dev va ingress protocol all pref 8 handle 0x77 bpf bytecode '1,6 0 0 4294967295,'");
  EXPECT_EQ(*nl_->ingress_filter_handles(va, 7), std::vector<std::uint32_t>{1});
  EXPECT_EQ(*nl_->ingress_filter_handles(va, 8), std::vector<std::uint32_t>{0x77});
  EXPECT_TRUE(nl_->ingress_filter_handles(va, 9)->empty());
  EXPECT_EQ(state(vb), std::pair(false, false));  // the filters are on the other device
  sh("tc filter del dev va ingress");
  EXPECT_EQ(state(va), std::pair(false, true));
  sh("tc qdisc del dev va clsact");
  EXPECT_EQ(state(va), std::pair(false, false));

  sh("tc qdisc add dev vb handle ffff: ingress");
  EXPECT_EQ(state(vb), std::pair(false, false));
  sh("tc filter add dev vb parent ffff:" + filter);
  EXPECT_EQ(state(vb), std::pair(true, false));

  EXPECT_EQ(nl_->ingress_filters(4711).error().code, Errc::not_found);
  EXPECT_EQ(nl_->has_clsact(4711).error().code, Errc::not_found);
}

}  // namespace
}  // namespace heddle::netlink
