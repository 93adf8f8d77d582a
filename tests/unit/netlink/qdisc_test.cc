// SPDX-License-Identifier: Apache-2.0
// Shaping by HTB on a real device in a private namespace. The kernel's state is read with tc, independently of Netlink.
#include <gtest/gtest.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <chrono>
#include <vector>

#include "netlink/netlink.h"
#include "tests/support/netns.h"

namespace heddle::netlink {
namespace {

using test::sh;

constexpr std::uint16_t kMajor = 0x4844;

class QdiscTest : public ::testing::Test {
 protected:
  void SetUp() override {
    HEDDLE_NEEDS_NETNS();
    netns_ = std::make_unique<test::PrivateNetns>();
    sh("echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6");
    auto opened = Netlink::open();
    ASSERT_TRUE(opened) << opened.error().text;
    nl_ = std::move(*opened);
    test::veth("va", "vb");
    va_ = nl_->link("va")->index;
  }
  // HTB with one class for all frames, limited to `rate` (bytes per second).
  void shape(std::uint64_t rate, std::uint32_t frames) {
    ASSERT_TRUE(nl_->add_htb(va_, kMajor, 1, 100));
    const auto top = nl_->put_htb_class(va_, kMajor, {0xfffe, 0, rate, rate, 2000, 2000, 1600, 0});
    ASSERT_TRUE(top) << top.error().text;
    const auto leaf = nl_->put_htb_class(va_, kMajor, {1, 0xfffe, rate, rate, 2000, 2000, 1600, 0});
    ASSERT_TRUE(leaf) << leaf.error().text;
    const auto limit = nl_->set_class_limit(va_, kMajor, 1, frames);
    ASSERT_TRUE(limit) << limit.error().text;
  }
  void send(unsigned frames) const {
    const Fd fd(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));
    sockaddr_ll at{};
    at.sll_family = AF_PACKET;
    at.sll_ifindex = va_;
    std::vector<char> frame(1000, '\xff');
    for (unsigned n = 0; n < frames; ++n)  // ENOBUFS: the queue is full
      if (::sendto(fd.get(), frame.data(), frame.size(), 0, reinterpret_cast<const sockaddr*>(&at), sizeof at) < 0 &&
          errno != ENOBUFS)
        throw std::runtime_error(std::string("sendto: ") + std::strerror(errno));
  }
  [[nodiscard]] ClassStatistics of(std::uint16_t minor) const {
    const auto all = nl_->classes(va_, kMajor);
    EXPECT_TRUE(all) << all.error().text;
    return all && all->contains(minor) ? all->at(minor) : ClassStatistics{};
  }
  static void shows(const std::string& command, const std::string& text) {
    sh(command + " | tr -s ' \\n' ' ' | grep -qF '" + text + "' || { " + command + "; false; }");
  }

  std::unique_ptr<test::PrivateNetns> netns_;
  std::unique_ptr<Netlink> nl_;
  int va_ = 0;
};

TEST_F(QdiscTest, HtbReplacesOnlyTheKernelsDefault) {
  EXPECT_EQ(nl_->root_qdisc(va_)->value_or(Qdisc{7, ""}).major, 0);
  const auto added = nl_->add_htb(va_, kMajor, 1, 100);
  ASSERT_TRUE(added) << added.error().text;
  EXPECT_EQ(**nl_->root_qdisc(va_), (Qdisc{kMajor, "htb"}));
  EXPECT_EQ(nl_->link(va_)->qdisc, "htb");
  shows("tc qdisc show dev va", "r2q 10 default 0x1 direct_packets_stat 0 direct_qlen 100");
  EXPECT_EQ(nl_->add_htb(va_, kMajor, 1, 100).error().code, Errc::exists);
  EXPECT_EQ(nl_->remove_root_qdisc(va_, 7).error().code, Errc::invalid);
  ASSERT_TRUE(nl_->remove_root_qdisc(va_, kMajor));
  EXPECT_EQ(nl_->link(va_)->qdisc, "noqueue");
  EXPECT_FALSE(nl_->remove_root_qdisc(va_, kMajor));

  sh("tc qdisc add dev va root handle 5: pfifo limit 7");
  EXPECT_EQ(**nl_->root_qdisc(va_), (Qdisc{5, "pfifo"}));
  const auto refused = nl_->add_htb(va_, kMajor, 1, 100);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::exists);
  EXPECT_EQ(nl_->remove_root_qdisc(va_, kMajor).error().code, Errc::invalid);
  shows("tc qdisc show dev va", "limit 7p");
  EXPECT_EQ(nl_->add_htb(4711, kMajor, 1, 100).error().code, Errc::not_found);
  EXPECT_EQ(nl_->root_qdisc(4711).error().code, Errc::not_found);
}

TEST_F(QdiscTest, AddsAndChangesClassesAsSpecified) {
  ASSERT_TRUE(nl_->add_htb(va_, kMajor, 1, 100));
  const std::uint64_t wide = 12'500'000'000;  // 100 Gbit/s: more than 32 bits hold
  const auto top = nl_->put_htb_class(va_, kMajor, {0xfffe, 0, wide, wide, 1'000'000, 1'000'000, 60000, 0});
  ASSERT_TRUE(top) << top.error().text;
  ASSERT_TRUE(nl_->put_htb_class(va_, kMajor, {0xfff1, 0xfffe, 1500, wide, 2000, 2000, 1600, 9}));
  shows("tc -d class show dev va classid 4844:fffe", "root rate 100Gbit ceil 100Gbit");
  shows("tc -d class show dev va classid 4844:fff1", "parent 4844:fffe");
  shows("tc -d class show dev va classid 4844:fff1", "prio 7 quantum 1600 rate 12Kbit ceil 100Gbit");
  ASSERT_TRUE(nl_->put_htb_class(va_, kMajor, {0xfff1, 0xfffe, 125'000, 250'000, 25'000, 50'000, 1700, 3}));
  shows("tc -d class show dev va classid 4844:fff1", "prio 3 quantum 1700 rate 1Mbit ceil 2Mbit");
  shows("tc -d class show dev va classid 4844:fff1", "burst 25000b/1 mpu 0b cburst 50000b/1");
  EXPECT_EQ(nl_->classes(va_, kMajor)->size(), 2U);
  ASSERT_TRUE(nl_->remove_class(va_, kMajor, 0xfff1));
  EXPECT_EQ(nl_->classes(va_, kMajor)->size(), 1U);
  EXPECT_FALSE(nl_->remove_class(va_, kMajor, 0xfff1));
}

TEST_F(QdiscTest, RefusesImpossibleRequests) {
  ASSERT_TRUE(nl_->add_htb(va_, kMajor, 1, 100));
  EXPECT_EQ(nl_->put_htb_class(va_, kMajor, {1, 0, 0, 100, 100, 100, 0, 0}).error().code, Errc::invalid);
  EXPECT_EQ(nl_->put_htb_class(va_, kMajor, {1, 0, 100, 0, 100, 100, 0, 0}).error().code, Errc::invalid);
  const auto far = nl_->put_htb_class(4711, kMajor, {1, 0, 1500, 1500, 100, 100, 0, 0});
  ASSERT_FALSE(far);
  EXPECT_EQ(far.error().code, Errc::not_found);
  EXPECT_NE(far.error().text.find("4844:0001"), std::string::npos) << far.error().text;
  EXPECT_FALSE(nl_->put_htb_class(va_, 7, {1, 0, 1500, 1500, 100, 100, 0, 0})) << "the qdisc does not exist";
  EXPECT_FALSE(nl_->set_class_limit(va_, kMajor, 1, 10));
  EXPECT_TRUE(nl_->classes(va_, kMajor)->empty());
  EXPECT_TRUE(nl_->classes(va_, 7)->empty());
  EXPECT_EQ(nl_->classes(4711, kMajor).error().code, Errc::not_found);
}

TEST_F(QdiscTest, FramesAreCountedAndSurviveAChange) {
  shape(1500, 10);  // of 1000-byte frames two leave at once, the others every two thirds of a second
  send(20);
  const ClassStatistics before = of(1);
  EXPECT_GE(before.tx_packets, 1U);
  EXPECT_EQ(before.tx_bytes, before.tx_packets * 1000);
  EXPECT_GE(before.dropped, 1U);
  EXPECT_LE(before.dropped, 20 - 10U);
  // A higher rate and another limit: all waiting frames are sent.
  ASSERT_TRUE(nl_->put_htb_class(va_, kMajor, {0xfffe, 0, 125'000'000, 125'000'000, 100'000, 100'000, 1600, 0}));
  ASSERT_TRUE(nl_->put_htb_class(va_, kMajor, {1, 0xfffe, 125'000'000, 125'000'000, 100'000, 100'000, 1600, 0}));
  ASSERT_TRUE(nl_->set_class_limit(va_, kMajor, 1, 1000));
  shows("tc qdisc show dev va", "parent 4844:1 limit 1000p");
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (of(1).tx_packets < 20 - before.dropped && std::chrono::steady_clock::now() < end) {
  }
  EXPECT_EQ(of(1), (ClassStatistics{20 - before.dropped, (20 - before.dropped) * 1000, before.dropped}));
  EXPECT_EQ(of(0xfffe).tx_packets, 20 - before.dropped);
}

}  // namespace
}  // namespace heddle::netlink
