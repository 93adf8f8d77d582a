// SPDX-License-Identifier: Apache-2.0
// Elements of hash maps that change hands while a program reads them. The kernel gives an element that was removed or
// replaced to the next key at once. Here the programs are slow (bpf/slow_switch.bpf.c), and a thread puts keys of one
// number and keys of another into the same map in turn, so that nearly every look-up has its element taken away.
// Without the seal, frames then go astray in great numbers, which the test shows first: it could fail.
#include <sched.h>

#include <atomic>
#include <functional>
#include <thread>

#include "datapath/kernel/bridge_policies.h"
#include "datapath/kernel/resting_numbers.h"
#include "slow_switch.skel.h"
#include "tests/unit/datapath/kernel_world.h"

namespace heddle::dp {
namespace {

using namespace test;

constexpr __u64 kChanges = 500;  // look-ups whose element must have changed hands

// Lets the calling thread run on the first or second of the processors. A program is not interrupted, so what changes
// the map must have another processor.
bool run_on(const cpu_set_t& allowed, std::size_t which) {
  for (std::size_t cpu = 0, seen = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &allowed) || seen++ != which) continue;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    return sched_setaffinity(0, sizeof one, &one) == 0;
  }
  return false;
}

// The slow programs on the maps of a KernelWorld.
class SlowPrograms {
 public:
  explicit SlowPrograms(const KernelWorld& world) : skeleton_(slow_switch__open()) {
    if (skeleton_ == nullptr) throw std::runtime_error("opening the slow programs");
    const Programs& p = *world.programs;
    const auto& maps = skeleton_->maps;
    const std::pair<bpf_map*, int> shared[] = {
        {maps.ports, p.ports.fd()},         {maps.devices, p.devices.fd()},       {maps.fdbs, p.fdbs.fd()},
        {maps.vlan_sets, p.vlan_sets.fd()}, {maps.flood_sets, p.flood_sets.fd()}, {maps.traffic, p.traffic()},
        {maps.drops, p.drops.fd()}};
    for (const auto& [map, fd] : shared)
      if (bpf_map__reuse_fd(map, fd) != 0) throw std::runtime_error("sharing a map");
    bpf_program__set_autoload(skeleton_->progs.tunnel_ingress, false);
    if (slow_switch__load(skeleton_) != 0) throw std::runtime_error("loading the slow programs");
  }
  ~SlowPrograms() { slow_switch__destroy(skeleton_); }
  SlowPrograms(const SlowPrograms&) = delete;
  SlowPrograms& operator=(const SlowPrograms&) = delete;

  [[nodiscard]] int port_ingress() const { return bpf_program__fd(skeleton_->progs.port_ingress); }
  void trust(bool on) { skeleton_->bss->trust = on; }
  [[nodiscard]] __u64 changes() const { return skeleton_->bss->changes; }

 private:
  slow_switch* skeleton_;
};

// Repeats a change on a thread of its own.
class Churn {
 public:
  Churn(const cpu_set_t& processors, std::function<void(unsigned)> change)
      : thread_([this, processors, change = std::move(change)] {
          run_on(processors, 1);
          for (unsigned n = 0; !stop_.load(); ++n) change(n);
        }) {}
  ~Churn() {
    stop_ = true;
    thread_.join();
  }
  Churn(const Churn&) = delete;
  Churn& operator=(const Churn&) = delete;

 private:
  std::atomic<bool> stop_ = false;
  std::thread thread_;
};

class KernelReuse : public KernelWorldTest {
 protected:
  static constexpr unsigned kOthers = 200;  // keys beside the one that frames ask for

  void SetUp() override {
    KernelWorldTest::SetUp();
    if (IsSkipped()) return;
    if (std::thread::hardware_concurrency() < 2) GTEST_SKIP() << "needs two processors";
    sched_getaffinity(0, sizeof processors_, &processors_);
  }
  // Sends frames from `in` to station 1 while `change` runs, until kChanges look-ups had their element taken away.
  // Returns the number of frames.
  std::uint64_t send(PortNo in, const std::function<void(unsigned)>& change) {
    const __u64 before = slow().changes();
    const Churn churn(processors_, change);
    std::uint64_t frames = 0;
    run_on(processors_, 0);
    const bool enough = eventually([&] {
      for (int n = 0; n < 100; ++n, ++frames)
        KernelWorld::run_program(slow().port_ingress(), w().ports.at(in).conf.ifindex, frame(mac(1), mac(9)), {});
      return slow().changes() - before >= kChanges;
    });
    EXPECT_TRUE(enough) << "only " << slow().changes() - before << " elements changed hands";
    return frames;
  }
  SlowPrograms& slow() {
    if (!slow_) slow_ = std::make_unique<SlowPrograms>(w());
    return *slow_;
  }
  // The second look may come too late as well where processors are emulated: then the key counts as unknown.
  static std::uint64_t most_of(std::uint64_t frames) { return frames - frames / 20; }
  std::uint64_t sent_by(PortNo no) { return w().traffic(no).tx_packets; }

 private:
  void TearDown() override {
    slow_.reset();
    sched_setaffinity(0, sizeof processors_, &processors_);
    KernelWorldTest::TearDown();
  }
  std::unique_ptr<SlowPrograms> slow_;
  cpu_set_t processors_{};
};

// Station 1 is behind port b, others of the same VLAN behind port c. No frame for station 1 may leave by c.
TEST_F(KernelReuse, FdbEntryOfAnotherStation) {
  PortPolicy quiet = access(0);
  quiet.learning = false;
  const PortNo a = w().device(quiet);
  const PortNo b = w().device(quiet);
  const PortNo c = w().device(quiet);
  w().ports.at(c).targets.clear();  // floods do not reach it
  w().commit();
  const auto change = [&](unsigned n) {
    w().know(0, mac(1), b);
    w().know(0, mac(100 + n % kOthers), c);
  };
  slow().trust(true);
  const auto without = send(a, change);
  const auto astray = sent_by(c);
  const auto right = sent_by(b);
  EXPECT_GT(astray, 0U) << "without seals, too: then this shows nothing";
  slow().trust(false);
  const auto with = send(a, change);
  EXPECT_EQ(sent_by(c), astray);
  EXPECT_EQ(sent_by(b), right + with) << "also when flooded";
  std::printf("[          ] frames astray: %llu of %llu without seals, %llu of %llu with them\n",
              static_cast<unsigned long long>(astray), static_cast<unsigned long long>(without),
              static_cast<unsigned long long>(sent_by(c) - astray), static_cast<unsigned long long>(with));
}

// Frames that come by port a's device are not taken for those of another port, which belongs to another bridge.
TEST_F(KernelReuse, DeviceOfAnotherPort) {
  const PortNo a = w().device(access(10));
  const PortNo b = w().device(access(10));
  PortPolicy elsewhere = access(20);
  elsewhere.bridge = static_cast<BridgeId>(1);
  const PortNo c = w().device(elsewhere);
  w().device(elsewhere);
  w().know(10, mac(1), b);
  const auto rx = [&](PortNo no) { return w().traffic(no).rx_packets; };
  const auto change = [&](unsigned n) {
    must(w().programs->devices.put(w().ports.at(a).conf.ifindex, static_cast<__u32>(a)));
    must(w().programs->devices.put(100'000 + n % kOthers, static_cast<__u32>(c)));
  };
  slow().trust(true);
  send(a, change);
  const auto astray = rx(c);
  EXPECT_GT(astray, 0U) << "without seals, too: then this shows nothing";
  slow().trust(false);
  const auto right = rx(a);
  const auto frames = send(a, change);
  EXPECT_EQ(rx(c), astray);
  EXPECT_GE(rx(a), right + most_of(frames));
}

// A frame for everyone in VLAN 10 reaches all who carry it, and is not lost with the set of another VLAN.
TEST_F(KernelReuse, FloodSetOfAnotherVlan) {
  const PortNo a = w().device(access(10));
  const PortNo b = w().device(access(10));
  w().device(access(20));
  const __u32 right = w().programs->vlan_sets.get({0, 10}).value();
  const __u32 wrong = w().programs->vlan_sets.get({0, 20}).value();
  const auto change = [&](unsigned n) {
    must(w().programs->vlan_sets.put({0, 10}, right));
    must(w().programs->vlan_sets.put({7, static_cast<__u16>(n % kOthers)}, wrong));
  };
  slow().trust(true);
  const auto without = send(a, change);
  const auto reached = sent_by(b);
  EXPECT_LT(reached, without) << "without seals, too: then this shows nothing";
  slow().trust(false);
  const auto with = send(a, change);
  EXPECT_GE(sent_by(b), reached + most_of(with));
}

// Numbers of remotes are few: those that nobody uses are given to others when they run out.
TEST_F(KernelReuse, RemotesOfAFreedNumberWaitForPrograms) {
  RemoteVteps remotes(*w().programs, *w().kernel);
  const auto addr = [](unsigned n) { return *IpAddr::parse("192.0.2." + std::to_string(n)); };
  const auto first = must(remotes.acquire({addr(1), std::nullopt}));
  must(remotes.acquire({addr(2), std::nullopt}));
  EXPECT_EQ(w().programs->grace().waits(), 0U);
  remotes.release(first);
  remotes.drop_unused();
  EXPECT_EQ(must(remotes.acquire({addr(3), std::nullopt})), first);
  EXPECT_EQ(w().programs->grace().waits(), 1U);
  must(remotes.acquire({addr(3), std::nullopt}));
  must(remotes.acquire({addr(4), std::nullopt}));
  EXPECT_EQ(w().programs->grace().waits(), 1U) << "no number was freed since";
}

// Numbers of ports are given round and round: one of a port that is gone comes again when the others are in use.
TEST_F(KernelReuse, NumbersOfPortsThatAreGoneWaitForPrograms) {
  RestingNumbers resting(w().programs->grace());
  const auto waits = [&] { return w().programs->grace().waits(); };
  resting.add(static_cast<PortNo>(1));
  resting.add(static_cast<PortNo>(2));
  resting.wait_for(static_cast<PortNo>(3));
  EXPECT_EQ(waits(), 0U);
  resting.wait_for(static_cast<PortNo>(1));
  EXPECT_EQ(waits(), 1U);
  resting.wait_for(static_cast<PortNo>(2));
  EXPECT_EQ(waits(), 1U) << "that was long enough for this one too";
}

// Nor may a mirror's element be another mirror's while a program reads it.
TEST_F(KernelReuse, MirrorsOfAFreedElementWaitForPrograms) {
  constexpr auto kBridge = static_cast<BridgeId>(0);
  BridgePolicies policies(*w().programs);
  const auto waits = [&] { return w().programs->grace().waits(); };
  MirrorSpec spec;
  spec.all = true;
  spec.output = static_cast<PortNo>(1);
  BridgePolicy policy;
  must(policies.put(kBridge, policy));
  policy.mirrors[0] = spec;
  must(policies.put(kBridge, policy));
  must(policies.put(kBridge, policy));
  EXPECT_EQ(waits(), 0U) << "nothing was freed";
  policy.mirrors[0].output = static_cast<PortNo>(2);
  must(policies.put(kBridge, policy));
  EXPECT_EQ(waits(), 0U);
  policy.mirrors[1] = spec;
  must(policies.put(kBridge, policy));
  EXPECT_EQ(waits(), 1U) << "the former element of the first may be the second's";
  policies.forget(kBridge);
  must(policies.put(static_cast<BridgeId>(1), policy));
  EXPECT_EQ(waits(), 2U);
}

}  // namespace
}  // namespace heddle::dp
