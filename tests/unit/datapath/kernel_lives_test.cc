// SPDX-License-Identifier: Apache-2.0
// The kernel datapath's lives: what the next one finds and takes over, and what clean-up leaves. In a namespace and a
// BPF file system of the test's own.
#include "tests/unit/datapath/kernel_lives.h"

#include <filesystem>

namespace heddle::dp {
namespace {

using namespace test;

TEST_F(KernelDatapathTest, SecondLifeKnowsEverythingAgain) {
  for (const std::string n : {"a", "b", "c"}) veth(n + "0", n + "1");
  must(dp_->bridges().add("br2"));
  std::map<std::string, PortNo> ports;
  for (const std::string n : {"c0", "a0", "b0"}) ports[n] = add(n);
  for (const auto& [name, no] : ports) ASSERT_TRUE(comes_up(no));
  must(dp_->stations().put(key(1), {ports["a0"], std::nullopt}));
  must(dp_->stations().put(key(2), {ports["b0"], std::nullopt}));
  must(dp_->stations().put(key(3), {ports["c0"], std::nullopt}));
  const auto link_id = [&](const std::string& device) {
    const Fd link = pins().open(pin_of(device));
    bpf_link_info info{};
    __u32 size = sizeof info;
    return link && bpf_obj_get_info_by_fd(link.get(), &info, &size) == 0 ? info.id : 0;
  };
  const auto before = link_id("a0");
  dp_.reset();
  reach("a1", {"b1", "c1"});  // nobody is at home

  dp_ = make();
  reach("a1", {"b1", "c1"});
  EXPECT_EQ(dp_->bridges().add("br2"), static_cast<BridgeId>(1)) << "whichever is asked for first";
  EXPECT_EQ(dp_->bridges().add("br"), static_cast<BridgeId>(0));
  for (const std::string n : {"a0", "b0"}) {  // c0 is not wanted any more
    EXPECT_EQ(add(n), ports[n]);
    reach("a1", {"b1", "c1"});
  }
  EXPECT_EQ(link_id("a0"), before) << "it was taken off and put on again";
  EXPECT_TRUE(poll_once().empty()) << "before settle()";
  dp_->settle();
  reach("a1", {"b1"});
  reach("b1", {"a1"});
  EXPECT_FALSE(pins().open(pin_of("c0")));
  EXPECT_FALSE(knows(key(3)));

  // What is confirmed stays; what is not is withdrawn at the next look.
  std::set<std::pair<FdbKey, PortNo>> reported;
  for (const auto& e : poll_once())
    if (e.key != key(1) || e.target.port != PortNo::none) reported.insert({e.key, e.target.port});
  EXPECT_TRUE(reported.contains({key(1), ports["a0"]}));
  EXPECT_TRUE(reported.contains({key(2), ports["b0"]}));
  must(dp_->stations().put(key(1), {ports["a0"], std::nullopt}));
  poll_once();
  EXPECT_TRUE(knows(key(1)));
  EXPECT_FALSE(knows(key(2)));
}

// While the daemon was away a device got another port's name: it is that port's now, and stays at work.
TEST_F(KernelDatapathTest, DevicesThatChangedNamesWhileNobodyLooked) {
  for (const std::string n : {"a", "b", "z"}) veth(n + "0", n + "1");
  for (const std::string n : {"a0", "b0", "z0"}) ASSERT_TRUE(comes_up(add(n)));
  dp_.reset();
  rename("a0", "t0");
  rename("b0", "a0");
  rename("t0", "b0");
  rename("z0", "y0");
  open();
  for (const std::string n : {"a0", "b0", "y0"}) ASSERT_TRUE(comes_up(add(n)));
  dp_->settle();
  reach("a1", {"b1", "z1"});
  reach("b1", {"a1", "z1"});
  reach("z1", {"a1", "b1"});
}

TEST_F(KernelDatapathTest, DeviceThatWasReplacedWhileNobodyLooked) {
  for (const std::string n : {"a", "b"}) veth(n + "0", n + "1");
  const PortNo a = add("a0");
  add("b0");
  must(dp_->stations().put(key(1), {a, std::nullopt}));
  dp_.reset();
  sh("ip link del a0");
  veth("a0", "a1");
  open();
  EXPECT_EQ(add("a0"), a);
  ASSERT_TRUE(comes_up(a));
  ASSERT_TRUE(comes_up(add("b0")));
  dp_->settle();
  EXPECT_FALSE(knows(key(1))) << "whoever was behind the old device";
  reach("b1", {"a1"});
  reach("a1", {"b1"});
}

// A route that changed while the daemon was away holds from the start.
TEST_F(KernelDatapathTest, RoutesThatChangedWhileNobodyLooked) {
  veth("u0", "u1");
  sh("ip addr add 192.0.2.1/24 dev u0");
  const PortNo no = add(tunnel("vx1", "192.0.2.2", 10));
  const PortNo hub = add(tunnel("vx2", nullptr, 20));
  must(dp_->stations().put(key(1), {no, std::nullopt}));
  must(dp_->stations().put(key(2), {hub, IpAddr::parse("192.0.2.3")}));
  ASSERT_TRUE(dp_->ports().state(no).present);
  dp_.reset();
  sh("ip link set u0 mtu 1400");
  open();
  EXPECT_EQ(add(tunnel("vx1", "192.0.2.2", 10)), no);
  add(tunnel("vx2", nullptr, 20));
  const PortState s = dp_->ports().state(no);
  EXPECT_TRUE(s.present);
  EXPECT_EQ(s.mtu, 1350U);
  EXPECT_EQ(s.details.back(), (std::pair<std::string, std::string>{"local_ip", "192.0.2.1"}));
}

TEST_F(KernelDatapathTest, TunnelsOfAFormerLife) {
  const PortNo stays = add(tunnel("vx1", "192.0.2.2", 10));
  add(tunnel("vx2", "192.0.2.2", 11));
  PortSpec other = tunnel("vx3", "192.0.2.2", 10);
  other.tunnel.vxlan().dst_port = 8472;
  add(other);
  ASSERT_NE(if_nametoindex("hdvx8472"), 0U);
  open();
  EXPECT_EQ(add(tunnel("vx1", "192.0.2.2", 10)), stays);
  dp_->settle();
  EXPECT_NE(if_nametoindex("hdvx4789"), 0U);
  EXPECT_EQ(if_nametoindex("hdvx8472"), 0U);
  add(tunnel("vx4", "192.0.2.2", 11));  // its key is free again
}

TEST_F(KernelDatapathTest, CleanUpLeavesNothing) {
  veth("a0", "a1");
  const int a0 = static_cast<int>(if_nametoindex("a0"));
  const auto kernel = must(netlink::Netlink::open());
  add("a0");
  add("br0", PortKind::internal);
  add(tunnel("vx1", "192.0.2.2", 10));
  for (const bool second_life : {false, true}) {
    if (second_life) {
      open();
      add("a0");
      add("br0", PortKind::internal);
      dp_.reset();
      dp_ = make();  // as `vswitchd --cleanup` does: nothing is asked for
    }
    dp_->clean_up();
    sh("! ip -o link show | grep -q 'alias test:owner'");
    for (const auto& left : std::filesystem::directory_iterator(bpffs()))  // besides the kernel's own files
      EXPECT_FALSE(left.is_directory()) << left.path();
    EXPECT_FALSE(must(kernel->has_clsact(a0)));
    veth("n0", "n1");  // the devices are free: nothing swallows frames
    const Ear inside("a0");
    const Bytes f = frame(kAll, mac(1));
    Ear("a1").send(f);
    EXPECT_EQ(inside.await(), f);
    sh("ip link del n0");
  }
}

// The qdisc that a filter needed goes too, also when it was an earlier daemon that made it.
TEST_F(KernelDatapathTest, CleanUpTakesTheQdiscOfAFormerLife) {
  veth("a0", "a1");
  const int a0 = static_cast<int>(if_nametoindex("a0"));
  const auto kernel = must(netlink::Netlink::open());
  std::vector<Fd> full;  // no place by tcx, so that it must be a filter
  for (int n = 0; n < 1000; ++n) {
    const bpf_insn code[] = {{BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, -1}, {BPF_JMP | BPF_EXIT, 0, 0, 0, 0}};
    const Fd pass(bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "pass", "GPL", code, 2, nullptr));
    Fd link(bpf_link_create(pass.get(), a0, static_cast<bpf_attach_type>(46), nullptr));
    if (!link) break;
    full.push_back(std::move(link));
  }
  add("a0");
  ASSERT_TRUE(must(kernel->has_clsact(a0)));
  open();
  add("a0");
  open();
  const PortNo a = add("a0");
  dp_->settle();
  ASSERT_TRUE(comes_up(a));
  dp_->clean_up();
  EXPECT_FALSE(must(kernel->has_clsact(a0)));
}

TEST_F(KernelDatapathTest, WithoutABpfFileSystemItEndsWithTheProcess) {
  dp_->clean_up();
  dp_ = must(make_kernel_datapath({.owner = "test:owner", .bpffs = "/proc/none", .time = nullptr}));
  must(dp_->bridges().add("br"));
  for (const std::string n : {"a", "b"}) veth(n + "0", n + "1");
  for (const std::string n : {"a0", "b0"}) ASSERT_TRUE(comes_up(add(n)));
  reach("a1", {"b1"});
  dp_->settle();
  dp_->clean_up();
}

}  // namespace
}  // namespace heddle::dp
