// SPDX-License-Identifier: Apache-2.0
// QoS of the kernel datapath: what is at the devices (read with tc), what waits, and what becomes of it in a second
// life.
#include "tests/unit/datapath/kernel_lives.h"

namespace heddle::dp {
namespace {

using namespace test;

class KernelQosTest : public KernelDatapathTest {
 protected:
  static QosSpec qos(std::uint64_t bits, std::map<std::uint32_t, QosQueue> queues = {}) {
    return {bits, std::move(queues)};
  }
  // A guest's port, and another that sends to it.
  void ports() {
    veth("a0", "a1");
    veth("g0", "g1");
    a_ = add("a0");
    g_ = add("g0");
    ASSERT_TRUE(comes_up(a_));
    ASSERT_TRUE(comes_up(g_));
    must(dp_->stations().put(key(2), {g_, std::nullopt}));
  }
  static Bytes big() { return frame(mac(2), mac(1), {}, Bytes(986, 1)); }
  // With room for all of them: frames that wait in a queue are the sender's still.
  static void send(unsigned frames) {
    const Fd mouth(socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));
    const int room = 64 << 20;
    sockaddr_ll at{};
    at.sll_family = AF_PACKET;
    at.sll_ifindex = static_cast<int>(if_nametoindex("a1"));
    ASSERT_EQ(setsockopt(mouth.get(), SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof room), 0);
    const Bytes f = big();
    for (unsigned n = 0; n < frames; ++n)
      ASSERT_EQ(sendto(mouth.get(), f.data(), f.size(), 0, reinterpret_cast<const sockaddr*>(&at), sizeof at),
                static_cast<ssize_t>(f.size()));
  }
  std::uint64_t shaped(PortNo no) const {
    return dp_->ports().counters(no).drops[static_cast<std::size_t>(Drop::shaped)];
  }
  std::string detail(PortNo no, const std::string& name) const {
    for (const auto& [key, value] : dp_->ports().state(no).details)
      if (key == name) return value;
    return {};
  }
  static bool tc(const std::string& device, const std::string& text, const char* what = "class") {
    const std::string command = std::string("tc -d ") + what + " show dev " + device + " | grep -qF '" + text + "'";
    return std::system(command.c_str()) == 0;  // NOLINT(cert-env33-c)
  }

  PortNo a_ = PortNo::none, g_ = PortNo::none;
};

TEST_F(KernelQosTest, QueuesAreClassesOfTheDeviceAndGoWithTheQos) {
  ports();
  EXPECT_TRUE(dp_->ports().queue_counters(g_).empty());
  must(set_qos(g_, qos(100'000'000, {{5, {10'000'000, 50'000'000, 20'000, 3}}})));
  EXPECT_TRUE(tc("g0", "htb 4844:fffe root rate 100Mbit ceil 100Mbit"));
  EXPECT_TRUE(tc("g0", "prio 3 quantum 65536 rate 10Mbit ceil 50Mbit linklayer ethernet burst 20000b"));
  EXPECT_TRUE(tc("g0", "htb 4844:1 parent 4844:fffe"));
  EXPECT_TRUE(tc("g0", "limit 1000p", "qdisc"));
  EXPECT_EQ(detail(g_, "qos"), "htb");
  EXPECT_EQ(dp_->ports().queue_counters(g_).size(), 1U);
  EXPECT_TRUE(dp_->ports().queue_counters(g_).contains(5));
  // Another wish: what is not in it any more goes.
  must(set_qos(g_, qos(200'000'000, {{0, {}}, {6, {}}})));
  EXPECT_TRUE(tc("g0", "htb 4844:fffe root rate 200Mbit ceil 200Mbit"));
  EXPECT_TRUE(tc("g0", "htb 4844:7 parent 4844:fffe"));
  EXPECT_FALSE(tc("g0", "htb 4844:6 "));
  send(1);
  EXPECT_TRUE(eventually([&] { return dp_->ports().queue_counters(g_)[0].tx_packets == 1; }));
  EXPECT_EQ(dp_->ports().queue_counters(g_)[0].tx_bytes, big().size());
  must(set_qos(g_, std::nullopt));
  EXPECT_FALSE(tc("g0", "htb", "qdisc"));
  EXPECT_EQ(detail(g_, "qos"), "");
  EXPECT_TRUE(dp_->ports().queue_counters(g_).empty());
}

TEST_F(KernelQosTest, FramesWaitAndThoseThatFindNoRoomAreCounted) {
  ports();
  const Ear ear("g1");
  must(set_qos(g_, qos(12'000, {{0, {}}})));
  constexpr unsigned kMore = 50;
  const auto sent = static_cast<unsigned>(limits::kShapedFrames) + kMore;
  send(sent);
  ASSERT_TRUE(eventually([&] { return dp_->ports().counters(g_).tx_packets == sent; }));
  ASSERT_TRUE(eventually([&] { return shaped(g_) >= kMore - 10; }));
  EXPECT_LE(shaped(g_), kMore);
  EXPECT_EQ(dp_->ports().queue_counters(g_)[0].dropped, shaped(g_));
  EXPECT_LT(ear.drain(), 10U);
  // Wider: nothing is lost of what waited.
  const std::uint64_t lost = shaped(g_);
  must(set_qos(g_, qos(1'000'000'000, {{0, {}}})));
  EXPECT_TRUE(eventually([&] { return dp_->ports().queue_counters(g_)[0].tx_packets == sent - lost; }));
  EXPECT_EQ(shaped(g_), lost);
  must(set_qos(g_, std::nullopt));
  EXPECT_EQ(shaped(g_), lost) << "a counter never goes back";
}

TEST_F(KernelQosTest, InternalPortIsShapedOnItsWayToTheHost) {
  veth("a0", "a1");
  ASSERT_TRUE(comes_up(add("a0")));
  const PortNo in = add("br0", PortKind::internal);
  ASSERT_TRUE(comes_up(in));
  EXPECT_EQ(detail(in, "output"), "ingress");
  must(set_qos(in, qos(10'000'000, {{0, {}}})));
  EXPECT_EQ(detail(in, "output"), "device");
  reach("a1", {"br0"});
  reach("br0", {"a1"});
  EXPECT_GE(dp_->ports().queue_counters(in)[0].tx_packets, 1U);
  sh("ip link set br0 down");
  ASSERT_TRUE(settles([&] { return !dp_->ports().state(in).link_up; }));
  sh("ip link set br0 up");
  ASSERT_TRUE(comes_up(in));
  EXPECT_EQ(detail(in, "output"), "device");
  must(set_qos(in, std::nullopt));
  EXPECT_EQ(detail(in, "output"), "ingress");
  reach("a1", {"br0"});
}

TEST_F(KernelQosTest, ForeignDisciplineIsLeftAlone) {
  ports();
  sh("tc qdisc add dev g0 root handle 5: pfifo limit 7");
  const auto refused = set_qos(g_, qos(1'000'000));
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().text.find("tc qdisc del dev g0 root"), std::string::npos) << refused.error().text;
  EXPECT_NE(refused.error().text.find("pfifo"), std::string::npos) << refused.error().text;
  EXPECT_TRUE(tc("g0", "limit 7p", "qdisc"));
  must(set_qos(g_, std::nullopt));
  EXPECT_TRUE(tc("g0", "limit 7p", "qdisc"));
  sh("tc qdisc del dev g0 root");
  must(set_qos(g_, qos(1'000'000)));
  EXPECT_TRUE(tc("g0", "htb 4844:", "qdisc"));
}

TEST_F(KernelQosTest, RequestsThatCannotWork) {
  ports();
  EXPECT_FALSE(set_qos(g_, qos(0)));
  EXPECT_FALSE(set_qos(g_, qos(1'000'000, {{limits::kQueueMax + 1, {}}})));
  const PortNo vx = add(tunnel("vx1", "192.0.2.2", 10));
  EXPECT_FALSE(set_qos(vx, qos(1'000'000)));
  EXPECT_TRUE(set_qos(vx, std::nullopt));
  EXPECT_FALSE(tc("g0", "htb", "qdisc"));
}

TEST_F(KernelQosTest, DeviceThatAppearsLaterAndQosThatSomebodyRemovesAreSet) {
  const PortNo g = add("g0");
  must(set_qos(g, qos(10'000'000, {{0, {}}})));
  veth("g0", "g1");
  ASSERT_TRUE(comes_up(g));
  EXPECT_TRUE(tc("g0", "htb 4844:1 ")) << detail(g, "qos_error");
  sh("tc qdisc del dev g0 root");
  EXPECT_TRUE(settles([&] { return tc("g0", "htb 4844:1 "); }));
  EXPECT_EQ(dp_->ports().queue_counters(g).size(), 1U);
  must(dp_->ports().remove(g));
  EXPECT_FALSE(tc("g0", "htb", "qdisc"));
}

// Three ports with QoS; the next daemon knows one as it was, one without QoS, and one is no port any more.
TEST_F(KernelQosTest, SecondLifeCorrectsWhatTheDevicesHave) {
  std::map<std::string, PortNo> ports;
  for (const std::string n : {"a", "b", "c"}) {
    veth(n + "0", n + "1");
    ports[n] = add(n + "0");
    must(set_qos(ports[n], qos(10'000'000, {{0, {}}})));
  }
  open();
  ports["a"] = add("a0");
  EXPECT_TRUE(tc("a0", "htb 4844:1 ")) << "shaped on, until it is told";
  must(set_qos(ports["a"], qos(20'000'000, {{0, {}}, {2, {}}})));
  ports["b"] = add("b0");
  dp_->settle();
  EXPECT_TRUE(tc("a0", "rate 20Mbit ceil 20Mbit"));
  EXPECT_EQ(dp_->ports().queue_counters(ports["a"]).size(), 2U);
  EXPECT_FALSE(tc("b0", "htb", "qdisc"));
  EXPECT_FALSE(tc("c0", "htb", "qdisc"));
  ASSERT_TRUE(comes_up(ports["a"]));
  ASSERT_TRUE(comes_up(ports["b"]));
  reach("a1", {"b1"});
  reach("b1", {"a1"});
  dp_->clean_up();
  EXPECT_FALSE(tc("a0", "htb", "qdisc"));
}

}  // namespace
}  // namespace heddle::dp
