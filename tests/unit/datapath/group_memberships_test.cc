// SPDX-License-Identifier: Apache-2.0
// Memberships in multicast groups, as the kernel has them.
#include "datapath/control/group_memberships.h"

#include <gtest/gtest.h>
#include <net/if.h>

#include <cstdio>
#include <iterator>
#include <memory>
#include <sstream>

#include "base/fd.h"
#include "tests/support/netns.h"

namespace heddle::dp {
namespace {

using Member = GroupMemberships::Member;

IpAddr group_number(int n, bool v6) {
  return *IpAddr::parse(v6 ? "ff05::" + std::to_string(n)
                           : "239.1." + std::to_string(n / 100) + "." + std::to_string(n % 100));
}

class Memberships : public testing::Test {
 protected:
  void SetUp() override {
    HEDDLE_NEEDS_NETNS();
    net_ = std::make_unique<heddle::test::PrivateNetns>();
    heddle::test::veth("u0", "u1");
    device_ = static_cast<int>(if_nametoindex("u0"));
    groups_ = std::make_unique<GroupMemberships>([this](int socket) { kept_.emplace_back(dup(socket)); });
  }

  // Groups of u0 in the kernel, and how many sockets have joined each.
  static std::map<std::string, int> in_kernel() {
    const std::unique_ptr<FILE, int (*)(FILE*)> pipe(popen("ip maddr show dev u0", "r"), pclose);
    std::string text;
    for (int c = 0; (c = fgetc(pipe.get())) != EOF;) text += static_cast<char>(c);
    std::istringstream lines(text);
    std::map<std::string, int> out;
    for (std::string line; std::getline(lines, line);) {
      std::istringstream words(line);
      std::vector<std::string> w{std::istream_iterator<std::string>(words), {}};
      if (w.size() < 2 || !w[0].starts_with("inet")) continue;
      if (!w[1].starts_with("239.") && !w[1].starts_with("ff05")) continue;
      out[w[1]] = w.size() > 3 && w[2] == "users" ? std::stoi(w[3]) : 1;
    }
    return out;
  }

  std::unique_ptr<heddle::test::PrivateNetns> net_;
  int device_ = 0;
  std::vector<Fd> kept_;
  std::unique_ptr<GroupMemberships> groups_;
};

TEST_F(Memberships, AreTheKernelsAsLongAsAPortNeedsThem) {
  for (const bool v6 : {false, true}) {
    const Member one{group_number(1, v6), device_};
    const Member two{group_number(2, v6), device_};
    groups_->set(PortNo{1}, one);
    groups_->set(PortNo{2}, one);
    groups_->set(PortNo{3}, two);
    EXPECT_EQ(in_kernel(), (std::map<std::string, int>{{one.group.to_string(), 1}, {two.group.to_string(), 1}}));
    EXPECT_EQ(groups_->groups_on(device_), (std::set{one.group, two.group}));
    groups_->set(PortNo{1}, std::nullopt);
    EXPECT_TRUE(groups_->has(one)) << "port 2 needs it";
    groups_->set(PortNo{2}, two);
    EXPECT_EQ(in_kernel(), (std::map<std::string, int>{{two.group.to_string(), 1}}));
    groups_->set(PortNo{2}, std::nullopt);
    groups_->set(PortNo{3}, std::nullopt);
    EXPECT_TRUE(in_kernel().empty());
  }
}

TEST_F(Memberships, AreMoreThanASocketMayHave) {
  constexpr int kMany = 100;
  for (int n = 0; n < kMany; ++n) groups_->set(PortNo(n + 1), Member{group_number(n, false), device_});
  EXPECT_EQ(in_kernel().size(), kMany);
  EXPECT_EQ(kept_.size(), kMany / 20U) << "net.ipv4.igmp_max_memberships";
  for (int n = 0; n < kMany; n += 2) groups_->set(PortNo(n + 1), std::nullopt);
  for (int n = 0; n < kMany; n += 2) groups_->set(PortNo(n + 1), Member{group_number(n, false), device_});
  EXPECT_EQ(in_kernel().size(), kMany);
  EXPECT_EQ(kept_.size(), kMany / 20U) << "the sockets are used again";
}

TEST_F(Memberships, SayWhyTheyFailAndAreTriedAgain) {
  heddle::test::sh("sysctl -qw net.ipv4.igmp_max_memberships=0");
  groups_->set(PortNo{1}, Member{group_number(1, false), device_});
  EXPECT_NE(groups_->problem(PortNo{1}).find("cannot join group 239.1.0.1 on u0: No buffer space"), std::string::npos)
      << groups_->problem(PortNo{1});
  groups_->retry();
  groups_->retry();
  EXPECT_EQ(kept_.size(), 1U) << "no socket for each attempt";
  PortState state;
  groups_->add_state(PortNo{1}, state);
  EXPECT_EQ(state.error, groups_->problem(PortNo{1}));
  heddle::test::sh("sysctl -qw net.ipv4.igmp_max_memberships=20");
  groups_->retry();
  EXPECT_EQ(groups_->problem(PortNo{1}), "");
  EXPECT_EQ(in_kernel().size(), 1U);
  state = {};
  groups_->add_state(PortNo{1}, state);
  EXPECT_EQ(state.error, "");
  EXPECT_EQ(state.details, (std::vector<std::pair<std::string, std::string>>{{"member_of", "239.1.0.1 on u0"}}));
}

TEST_F(Memberships, ComeBackWithADeviceOfTheSameNumber) {
  const heddle::test::Netns elsewhere;
  for (const bool v6 : {false, true}) groups_->set(PortNo(v6 ? 2 : 1), Member{group_number(1, v6), device_});
  EXPECT_EQ(in_kernel().size(), 2U);
  // The number stays when the device moves to a namespace where it is free.
  heddle::test::sh("ip link set u0 netns " + elsewhere.path());
  groups_->on_link_gone(device_);
  EXPECT_NE(groups_->problem(PortNo{1}), "");
  const heddle::test::Netns& home = net_->ns();
  elsewhere.in([&] { heddle::test::sh("ip link set u0 netns " + home.path()); });
  ASSERT_EQ(static_cast<int>(if_nametoindex("u0")), device_);
  heddle::test::sh("ip link set u0 up");
  EXPECT_TRUE(in_kernel().empty());
  groups_->retry();
  EXPECT_EQ(in_kernel().size(), 2U);
  for (const PortNo port : {PortNo{1}, PortNo{2}}) EXPECT_EQ(groups_->problem(port), "");
}

TEST_F(Memberships, OutliveTheObjectInADuplicate) {
  groups_->set(PortNo{1}, Member{group_number(1, false), device_});
  groups_.reset();
  EXPECT_EQ(in_kernel().size(), 1U);
  kept_.clear();
  EXPECT_TRUE(in_kernel().empty());
}

}  // namespace
}  // namespace heddle::dp
