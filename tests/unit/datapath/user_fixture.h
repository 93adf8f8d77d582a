// SPDX-License-Identifier: Apache-2.0
// The user-space datapath with real devices, in a namespace of the test's own: a bridge "br", ports that are added to
// it, and stations at the far ends of veth pairs that send and await frames. Waits are on conditions, with a bound.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <sys/socket.h>

#include "datapath/user/user_datapath.h"
#include "tests/support/netns.h"
#include "tests/unit/datapath/controlled.h"
#include "tests/unit/packet/frames.h"

namespace heddle::dp::test {

using heddle::test::sh;
using packet::test::Bytes;

inline constexpr std::uint16_t kTestType = 0x88b5;  // IEEE 802 "local experimental"

// A station at the far end of a veth.
class Station {
 public:
  explicit Station(const std::string& device) : fd_(socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(kTestType))) {
    sockaddr_ll at{};
    at.sll_family = AF_PACKET;
    at.sll_protocol = htons(kTestType);
    at.sll_ifindex = static_cast<int>(if_nametoindex(device.c_str()));
    if (!fd_ || bind(fd_.get(), reinterpret_cast<const sockaddr*>(&at), sizeof at) != 0)
      throw std::runtime_error("packet socket on " + device);
  }
  void send(const Bytes& frame) const {
    EXPECT_EQ(::send(fd_.get(), frame.data(), frame.size(), 0), static_cast<ssize_t>(frame.size()));
  }
  // Waits for this frame; others are passed over, but for `unwanted`.
  [[nodiscard]] bool awaits(const Bytes& frame, const Bytes& unwanted = {}) const {
    const auto deadline = Clock::now() + kPatience;
    while (Clock::now() < deadline) {
      pollfd p{fd_.get(), POLLIN, 0};
      if (poll(&p, 1, 100) <= 0) continue;
      Bytes got(10000);
      const ssize_t n = recv(fd_.get(), got.data(), got.size(), 0);
      got.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
      if (got == frame) return true;
      if (!unwanted.empty() && got == unwanted) return false;
    }
    return false;
  }

 private:
  Fd fd_;
};

inline Bytes hello(unsigned to, unsigned from, std::uint8_t number, std::size_t size = 60) {
  using packet::test::bytes_of;
  return packet::test::cat({bytes_of(MacAddr::from_u64(0x020000000000ULL + to)),
                            bytes_of(MacAddr::from_u64(0x020000000000ULL + from)), packet::test::be16_bytes(kTestType),
                            Bytes(size, number)});
}

class UserDatapathTest : public ControlledTest {
 protected:
  void SetUp() override {
    HEDDLE_NEEDS_NETNS();
    ns_ = std::make_unique<heddle::test::PrivateNetns>();
    open();
  }
  void open() {
    dp_.reset();
    auto made = make_user_datapath({.workers = 2, .frames = 16384, .time = nullptr, .owner = "test:owner"});
    ASSERT_TRUE(made) << made.error().text;
    dp_ = std::move(*made);
    ASSERT_EQ(dp_->bridges().add("br"), static_cast<BridgeId>(0));
  }
  void TearDown() override {
    dp_.reset();
    ns_.reset();
  }

  PortNo add(const std::string& name, PortKind kind = PortKind::netdev) {
    PortSpec spec;
    spec.name = name;
    spec.kind = kind;
    const auto no = add_port(spec);
    if (!no) throw std::runtime_error(no.error().text);
    PortPolicy policy;
    policy.bridge = static_cast<BridgeId>(0);
    if (auto ok = set_port(*no, policy); !ok) throw std::runtime_error(ok.error().text);
    return *no;
  }
  // `from` sends to everybody; all of `to` must get it.
  void reach(const std::string& from, const std::vector<std::string>& to, std::size_t size = 60) {
    const Bytes frame = hello(99, 1, ++number_, size);
    std::vector<Station> ears(to.begin(), to.end());
    const Station mouth(from);
    mouth.send(frame);
    for (std::size_t i = 0; i < to.size(); ++i) EXPECT_TRUE(ears[i].awaits(frame)) << from << " -> " << to[i];
  }

  std::unique_ptr<heddle::test::PrivateNetns> ns_;
  std::uint8_t number_ = 0;
};

}  // namespace heddle::dp::test
