// SPDX-License-Identifier: Apache-2.0
// A kernel datapath in a network namespace and a BPF file system of the test's own, with as many lives as the test
// wants: open() is the next one's start, without a clean end of the last.
#pragma once

#include <string>
#include <vector>

#include "datapath/kernel/kernel_datapath.h"
#include "tests/support/mounts.h"
#include "tests/unit/datapath/kernel_world.h"

namespace heddle::dp::test {

using heddle::test::sh;
using heddle::test::veth;

inline const MacAddr kAll = *MacAddr::parse("ff:ff:ff:ff:ff:ff");

// Before Linux 6.6 a device that is up keeps its name.
inline void rename(const std::string& from, const std::string& to) {
  sh("ip link set " + from + " down && ip link set " + from + " name " + to + " && ip link set " + to + " up");
}

class KernelDatapathTest : public ControlledTest {
 protected:
  void SetUp() override {
    HEDDLE_NEEDS_NETNS();
    ns_ = std::make_unique<heddle::test::PrivateNetns>();
    mounts_ = std::make_unique<heddle::test::PrivateMounts>();
    sh("echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6");
    open();
  }
  void TearDown() override {
    dp_.reset();
    mounts_.reset();
    ns_.reset();
  }
  std::unique_ptr<Datapath> make() const {
    return must(make_kernel_datapath({.owner = "test:owner", .bpffs = bpffs(), .time = nullptr}));
  }
  void open() {
    dp_.reset();
    dp_ = make();
    ASSERT_EQ(dp_->bridges().add("br"), static_cast<BridgeId>(0));
  }
  [[nodiscard]] std::string bpffs() const { return mounts_->dir() + "/bpf"; }
  [[nodiscard]] std::string pin_of(const std::string& device) const {
    return "link-" + std::to_string(if_nametoindex(device.c_str()));
  }
  Pins pins() const { return {bpffs(), "test:owner", HD_LAYOUT}; }

  static PortSpec device(const std::string& name, PortKind kind = PortKind::netdev) {
    PortSpec spec;
    spec.name = name;
    spec.kind = kind;
    return spec;
  }
  static PortSpec tunnel(const std::string& name, const char* remote, std::uint32_t vni) {
    PortSpec spec = device(name, PortKind::vxlan);
    if (remote != nullptr) spec.tunnel.remote = IpAddr::parse(remote);
    spec.tunnel.vxlan().vni = vni;
    return spec;
  }
  PortNo add(const PortSpec& spec) { return must(add_port(spec, trunk())); }
  PortNo add(const std::string& name, PortKind kind = PortKind::netdev) { return add(device(name, kind)); }
  // `from` sends to everybody; all of `to` get it, and get it once.
  void reach(const std::string& from, const std::vector<std::string>& to) {
    const Bytes f = frame(kAll, mac(1), {}, Bytes(60, ++number_));
    std::vector<Ear> ears(to.begin(), to.end());
    const Ear mouth(from);
    mouth.send(f);
    for (std::size_t i = 0; i < to.size(); ++i) {
      std::optional<Bytes> got;
      EXPECT_TRUE(eventually([&] { return (got = ears[i].take()) == f; })) << from << " -> " << to[i];
      EXPECT_NE(ears[i].take(), f) << from << " -> " << to[i] << " twice";
    }
  }
  bool knows(const FdbKey& key) {
    FdbUse use{key};
    dp_->stations().usage({&use, 1});
    return use.idle_seconds != UINT32_MAX;
  }
  std::vector<LearnEvent> poll_once() {
    std::vector<LearnEvent> events(64);
    events.resize(dp_->stations().poll(events));
    return events;
  }
  static FdbKey key(unsigned n, VlanId vlan = 0) { return {static_cast<BridgeId>(0), vlan, mac(n)}; }

  std::unique_ptr<heddle::test::PrivateNetns> ns_;
  std::unique_ptr<heddle::test::PrivateMounts> mounts_;
  std::uint8_t number_ = 0;
};

}  // namespace heddle::dp::test
