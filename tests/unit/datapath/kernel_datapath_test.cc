// SPDX-License-Identifier: Apache-2.0
// The kernel datapath as a whole: devices that come, go, change their names and come again; tunnels. In a namespace and
// a BPF file system of the test's own.
#include "datapath/kernel/kernel_datapath.h"

#include <netinet/in.h>

#include "tests/unit/datapath/kernel_lives.h"

namespace heddle::dp {
namespace {

using namespace test;

// --- devices ---

TEST_F(KernelDatapathTest, MissingDeviceIsTakenUpWhenItAppearsAndAgainWhenItComesBack) {
  veth("b0", "b1");
  const PortNo b = add("b0");
  const PortNo a = add("a0");
  EXPECT_FALSE(dp_->ports().state(a).present);
  EXPECT_NE(dp_->ports().state(a).error.find("a0"), std::string::npos) << dp_->ports().state(a).error;
  EXPECT_NE(dp_->ports().state(a).error.find("appears"), std::string::npos) << dp_->ports().state(a).error;
  for (int round = 0; round < 2; ++round) {
    veth("a0", "a1");
    ASSERT_TRUE(comes_up(a)) << dp_->ports().state(a).error;
    ASSERT_TRUE(comes_up(b));
    EXPECT_GT(changes_[a], 0);
    EXPECT_EQ(dp_->ports().state(a).ifindex, static_cast<int>(if_nametoindex("a0")));
    EXPECT_EQ(dp_->ports().state(a).error, "");
    reach("a1", {"b1"});
    reach("b1", {"a1"});
    sh("ip link del a0");
    ASSERT_TRUE(settles([&] { return !dp_->ports().state(a).present; }));
    EXPECT_NE(dp_->ports().state(a).error.find("gone"), std::string::npos) << dp_->ports().state(a).error;
  }
}

// Who comes amid many changes gets floods when they end; who goes gets none from then on.
TEST_F(KernelDatapathTest, ManyChangesInARow) {
  for (const std::string n : {"a", "b", "c", "d"}) veth(n + "0", n + "1");
  for (const std::string n : {"a0", "b0", "c0"}) ASSERT_TRUE(comes_up(add(n)));
  const PortNo e = must(add_port(device("e0")));
  auto batch = std::make_unique<Ports::Batch>(dp_->ports());
  { const Ports::Batch inner(dp_->ports()); }  // brackets nest: this one's end is not the end
  const PortNo d = add("d0");
  must(set_port(e, trunk()));
  const Ear gone("b1");
  must(dp_->ports().remove(static_cast<PortNo>(2)));
  const Bytes f = frame(kAll, mac(1), {}, Bytes(60, 0x77));
  const Ear stays("c1");
  Ear("a1").send(f);
  EXPECT_TRUE(eventually([&] { return stays.take() == f; }));
  EXPECT_NE(gone.take(), f) << "its port was removed, amid the changes";
  must(dp_->ports().remove(e));
  batch.reset();
  ASSERT_TRUE(comes_up(d));
  reach("a1", {"c1", "d1"});
  reach("d1", {"a1", "c1"});
}

// Two internal ports whose pairs would have one name, and one device under two names.
TEST_F(KernelDatapathTest, OneDeviceBelongsToOnePort) {
  const PortNo first = add("tap42799c05-4a", PortKind::internal);
  const PortNo second = add("tap81da22ac-1c", PortKind::internal);
  EXPECT_TRUE(comes_up(first)) << dp_->ports().state(first).error;
  EXPECT_FALSE(dp_->ports().state(second).present);
  EXPECT_NE(dp_->ports().state(second).error.find("tap42799c05-4a"), std::string::npos)
      << dp_->ports().state(second).error;
  must(dp_->ports().remove(second));
  EXPECT_TRUE(comes_up(first));
  EXPECT_NE(if_nametoindex("tap42799c05-4a"), 0U);

  veth("a0", "a1");
  sh("ip link property add dev a0 altname alt0");
  const PortNo a = add("a0");
  const PortNo again = add("alt0");
  EXPECT_TRUE(comes_up(a));
  EXPECT_FALSE(dp_->ports().state(again).present);
  EXPECT_NE(dp_->ports().state(again).error.find("port a0's already"), std::string::npos)
      << dp_->ports().state(again).error;
  must(dp_->ports().remove(again));
  EXPECT_TRUE(comes_up(a));
}

TEST_F(KernelDatapathTest, RequestsThatCannotWork) {
  add("a0");
  const auto again = add_port(device("a0", PortKind::internal));
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, Errc::exists);
  EXPECT_NE(again.error().text.find("a0"), std::string::npos);
  EXPECT_EQ(add_port(device(std::string(300, 'x'))).error().code, Errc::limit);
  EXPECT_EQ(dp_->ports().remove(static_cast<PortNo>(777)).error().code, Errc::not_found);
  EXPECT_EQ(dp_->stations().put(key(1), {static_cast<PortNo>(777), std::nullopt}).error().code, Errc::not_found);
  EXPECT_EQ(set_flood(static_cast<PortNo>(1), {*IpAddr::parse("192.0.2.9")}).error().code, Errc::invalid);
  EXPECT_FALSE(dp_->ports().state(static_cast<PortNo>(777)).error.empty());
  EXPECT_FALSE(dp_->ports().state(add("lo")).present);
}

TEST_F(KernelDatapathTest, PortsAreNumberedUpToTheLimit) {
  std::set<PortNo> numbers;
  for (std::size_t n = 1; n < limits::kPorts; ++n) numbers.insert(must(add_port(device("x" + std::to_string(n)))));
  EXPECT_EQ(numbers.size(), limits::kPorts - 1);
  EXPECT_EQ(*numbers.begin(), static_cast<PortNo>(1));
  EXPECT_EQ(add_port(device("full")).error().code, Errc::limit);
  must(dp_->ports().remove(static_cast<PortNo>(99)));
  EXPECT_EQ(add_port(device("again")), static_cast<PortNo>(99));
}

TEST_F(KernelDatapathTest, BridgesAreNumberedAndTakeTheirEntriesWithThem) {
  EXPECT_EQ(dp_->bridges().add("br").error().code, Errc::exists);
  EXPECT_EQ(dp_->bridges().add("b1"), static_cast<BridgeId>(1));
  const PortNo a = add("a0");
  const FdbKey goes{static_cast<BridgeId>(1), 0, mac(1)};
  for (const FdbKey& k : {key(1), goes}) must(dp_->stations().put(k, {a, std::nullopt}));
  dp_->bridges().remove(static_cast<BridgeId>(1));
  EXPECT_TRUE(knows(key(1)));
  EXPECT_FALSE(knows(goes));
  for (std::size_t n = 1; n < limits::kBridges; ++n) ASSERT_TRUE(dp_->bridges().add("x" + std::to_string(n)));
  EXPECT_EQ(dp_->bridges().add("full").error().code, Errc::limit);
  dp_->bridges().remove(static_cast<BridgeId>(7));
  EXPECT_EQ(dp_->bridges().add("again"), static_cast<BridgeId>(7));
}

TEST_F(KernelDatapathTest, RenamedDeviceIsGivenUp) {
  veth("a0", "a1");
  const PortNo a = add("a0");
  ASSERT_TRUE(comes_up(a));
  rename("a0", "z0");
  ASSERT_TRUE(settles([&] { return !dp_->ports().state(a).present; }));
  EXPECT_NE(dp_->ports().state(a).error.find("z0"), std::string::npos) << dp_->ports().state(a).error;
  EXPECT_FALSE(pins().open(pin_of("z0")));
  rename("z0", "a0");
  EXPECT_TRUE(comes_up(a)) << dp_->ports().state(a).error;
}

// The port that waits for the new name gets the device whole, whichever of the two is older.
TEST_F(KernelDatapathTest, DeviceRenamedToAnotherPortsName) {
  veth("z0", "z1");
  const PortNo z = add("z0");
  for (const bool waiting_first : {true, false}) {
    SCOPED_TRACE(waiting_first ? "the waiting port is older" : "the waiting port is younger");
    veth("a0", "a1");
    const std::string first = waiting_first ? "b0" : "a0";
    const std::string second = waiting_first ? "a0" : "b0";
    std::map<std::string, PortNo> ports;
    ports[first] = add(first);
    ports[second] = add(second);
    ASSERT_TRUE(comes_up(ports["a0"]));
    rename("a0", "b0");
    ASSERT_TRUE(comes_up(ports["b0"])) << dp_->ports().state(ports["b0"]).error;
    EXPECT_FALSE(dp_->ports().state(ports["a0"]).present);
    ASSERT_TRUE(comes_up(z));
    reach("a1", {"z1"});
    reach("z1", {"a1"});
    for (const auto& [name, no] : ports) must(dp_->ports().remove(no));
    sh("ip link del b0");
  }
}

TEST_F(KernelDatapathTest, DeviceOfAnotherBridgeIsRefusedWithARemedy) {
  veth("a0", "a1");
  sh("ip link add other type bridge && ip link set a0 master other");
  const PortNo a = add("a0");
  const std::string error = dp_->ports().state(a).error;
  EXPECT_NE(error.find("other"), std::string::npos) << error;
  EXPECT_NE(error.find("nomaster"), std::string::npos) << error;
  sh("ip link set a0 nomaster");
  EXPECT_TRUE(comes_up(a)) << dp_->ports().state(a).error;
}

TEST_F(KernelDatapathTest, LinkThatGoesDownAndDeviceWithAnotherMtu) {
  for (const std::string n : {"a", "b", "c"}) veth(n + "0", n + "1");
  const PortNo a = add("a0");
  const PortNo b = add("b0");
  ASSERT_TRUE(comes_up(a));
  ASSERT_TRUE(comes_up(b));
  sh("ip link set b1 down");
  ASSERT_TRUE(settles([&] { return !dp_->ports().state(b).link_up; }));
  must(dp_->stations().put(key(2), {b, std::nullopt}));
  Ear("a1").send(frame(mac(2), mac(1)));
  const auto drops = [&](PortNo no, Drop why) {
    return dp_->ports().counters(no).drops[static_cast<std::size_t>(why)];
  };
  EXPECT_TRUE(eventually([&] { return drops(b, Drop::port_down) == 1; }));
  sh("ip link set b1 up && ip link set b0 mtu 1000");
  ASSERT_TRUE(settles([&] { return dp_->ports().state(b).link_up && dp_->ports().state(b).mtu == 1000; }));
  Ear("a1").send(frame(mac(2), mac(1), {}, Bytes(1200, 0)));
  EXPECT_TRUE(eventually([&] { return drops(b, Drop::oversize) == 1; }));
}

// Of a guest in another namespace: frames of its own are handed straight to it.
TEST_F(KernelDatapathTest, GuestInAnotherNamespace) {
  const heddle::test::Netns guest;
  veth("a0", "a1");
  veth("g0", guest, "g1");
  const PortNo a = add("a0");
  const PortNo g = add("g0");
  ASSERT_TRUE(comes_up(a));
  ASSERT_TRUE(comes_up(g));
  const auto output = [&] {
    for (const auto& [name, value] : dp_->ports().state(g).details)
      if (name == "output") return value;
    return std::string();
  };
  EXPECT_EQ(output(), "peer");
  guest.in([] { sh("ip link set g1 address 02:00:00:00:00:02"); });
  ASSERT_TRUE(settles([&] {
    sh("ip link set g0 mtu 1499 && ip link set g0 mtu 1500");  // news, so that it looks again
    return output() == "peer";
  }));
  const Ear ear = guest.in([] { return Ear("g1"); });
  must(dp_->stations().put(key(2), {g, std::nullopt}));
  const Bytes f = frame(mac(2), mac(1));
  Ear("a1").send(f);
  EXPECT_EQ(ear.await(), f);
  // Somebody watches the near end: he sees the frames.
  const Ear watcher("g0");
  sh("ip link set g0 promisc on");
  ASSERT_TRUE(settles([&] { return output() == "device"; }));
  Ear("a1").send(f);
  EXPECT_EQ(ear.await(), f);
}

// --- internal ports ---

TEST_F(KernelDatapathTest, InternalPortOutlivesTheDatapathUntilItIsRemoved) {
  PortSpec spec = device("br0", PortKind::internal);
  spec.mac = mac(77);
  spec.mtu = 1400;
  const PortNo first = add(spec);
  ASSERT_TRUE(comes_up(first)) << dp_->ports().state(first).error;
  EXPECT_EQ(dp_->ports().state(first).mac, mac(77));
  EXPECT_EQ(dp_->ports().state(first).mtu, 1400U);
  sh("ip addr add 198.51.100.1/24 dev br0");
  sh("ip link show dev br0 | grep -q 'alias test:owner'");
  const unsigned index = if_nametoindex("br0");
  open();
  EXPECT_EQ(if_nametoindex("br0"), index);
  const PortNo second = add(spec);
  EXPECT_EQ(second, first);
  dp_->settle();
  ASSERT_TRUE(comes_up(second)) << dp_->ports().state(second).error;
  EXPECT_EQ(dp_->ports().state(second).ifindex, static_cast<int>(index));
  sh("ip addr show dev br0 | grep -q 198.51.100.1/24");
  veth("a0", "a1");
  ASSERT_TRUE(comes_up(add("a0")));
  reach("a1", {"br0"});
  must(dp_->ports().remove(second));
  EXPECT_EQ(if_nametoindex("br0"), 0U);
  sh("! ip -o link show | grep -q 'alias test:owner'");
}

TEST_F(KernelDatapathTest, InternalPortGoesToAnotherNamespace) {
  veth("a0", "a1");
  ASSERT_TRUE(comes_up(add("a0")));
  const PortNo in = add("br0", PortKind::internal);
  ASSERT_TRUE(comes_up(in));
  const heddle::test::Netns guest;
  sh("ip link set br0 netns " + guest.path());
  guest.in([] { sh("ip link set br0 up"); });
  const auto output = [&] {
    const PortState s = dp_->ports().state(in);
    for (const auto& [key, value] : s.details)
      if (key == "output" && s.link_up) return value;
    return std::string();
  };
  ASSERT_TRUE(settles([&] { return output() == "peer" || output() == "device"; })) << output();
  const Ear ear = guest.in([] { return Ear("br0"); });
  const Bytes f = frame(kAll, mac(1));
  Ear("a1").send(f);
  EXPECT_EQ(ear.await(), f);
  must(dp_->ports().remove(in));
  guest.in([] { EXPECT_EQ(if_nametoindex("br0"), 0U) << "the pair was not removed"; });
}

TEST_F(KernelDatapathTest, RemovedInternalDeviceIsMadeAnew) {
  const PortNo in = add("br0", PortKind::internal);
  ASSERT_TRUE(comes_up(in));
  const unsigned index = if_nametoindex("br0");
  sh("ip link del br0");
  ASSERT_TRUE(settles([&] { return if_nametoindex("br0") != 0 && dp_->ports().state(in).link_up; }));
  EXPECT_NE(if_nametoindex("br0"), index);
  veth("a0", "a1");
  ASSERT_TRUE(comes_up(add("a0")));
  reach("a1", {"br0"});
}

TEST_F(KernelDatapathTest, InternalPortWhoseNameIsTaken) {
  veth("br0", "x0");
  const std::string error = dp_->ports().state(add("br0", PortKind::internal)).error;
  EXPECT_NE(error.find("ip link del br0"), std::string::npos) << error;
}

// --- tunnels ---

TEST_F(KernelDatapathTest, TunnelWhoseUdpPortIsTaken) {
  Fd taken(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_port = htons(4789);
  ASSERT_EQ(bind(taken.get(), reinterpret_cast<const sockaddr*>(&at), sizeof at), 0);
  const PortSpec spec = tunnel("vx10", "192.0.2.2", 10);
  const auto refused = add_port(spec);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::exists);
  EXPECT_NE(refused.error().text.find("4789"), std::string::npos) << refused.error().text;
  EXPECT_EQ(if_nametoindex("hdvx4789"), 0U) << "left behind";
  taken.reset();
  const PortNo no = add(spec);
  EXPECT_FALSE(dp_->ports().state(no).present);
  EXPECT_NE(dp_->ports().state(no).error.find("192.0.2.2"), std::string::npos) << dp_->ports().state(no).error;
  veth("u0", "u1");
  sh("ip addr add 192.0.2.1/24 dev u0");
  ASSERT_TRUE(settles([&] { return dp_->ports().state(no).present; })) << dp_->ports().state(no).error;
  EXPECT_EQ(dp_->ports().state(no).mtu, 1450U);
  must(dp_->ports().remove(no));
  EXPECT_EQ(if_nametoindex("hdvx4789"), 0U);
  taken.reset(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  EXPECT_EQ(bind(taken.get(), reinterpret_cast<const sockaddr*>(&at), sizeof at), 0)
      << "the UDP port is not given back";
}

TEST_F(KernelDatapathTest, TwoTunnelsWithOneKey) {
  const PortNo first = add(tunnel("vx1", "192.0.2.2", 10));
  const auto second = add_port(tunnel("vx2", "192.0.2.2", 10));
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Errc::exists);
  EXPECT_NE(second.error().text.find("vx1"), std::string::npos) << second.error().text;
  EXPECT_NE(if_nametoindex("hdvx4789"), 0U) << "the first one's device went with the second";
  const PortNo other = add(tunnel("vx2", "192.0.2.2", 11));
  add(tunnel("vx3", "192.0.2.3", 10));
  const PortNo hub = add(tunnel("vx4", nullptr, 10));
  EXPECT_EQ(add_port(tunnel("vx5", nullptr, 10)).error().code, Errc::exists);
  must(dp_->ports().remove(first));
  add(tunnel("vx5", "192.0.2.2", 10));
  EXPECT_EQ(dp_->stations().put(key(1), {other, IpAddr::parse("192.0.2.9")}).error().code, Errc::invalid);
  EXPECT_EQ(dp_->stations().put(key(1), {hub, std::nullopt}).error().code, Errc::invalid);
  EXPECT_TRUE(dp_->stations().put(key(1), {hub, IpAddr::parse("192.0.2.9")}));
}

TEST_F(KernelDatapathTest, RemovedTunnelDeviceIsMadeAnew) {
  const PortNo no = add(tunnel("vx1", "192.0.2.2", 10));
  const unsigned index = if_nametoindex("hdvx4789");
  sh("ip link del hdvx4789");
  ASSERT_TRUE(settles([&] {
    const unsigned now = if_nametoindex("hdvx4789");
    return now != 0 && now != index && changes_[no] > 0;
  }));
  EXPECT_EQ(dp_->ports().state(no).error.find("hdvx4789"), std::string::npos) << dp_->ports().state(no).error;
}

}  // namespace
}  // namespace heddle::dp
