// SPDX-License-Identifier: Apache-2.0
// The TC programs in a real kernel, with maps that the test fills by hand: no KernelDatapath, no pins. Each port is a
// veth pair in a namespace of the test's own; its far end is a station that sends and writes down what it gets.
//
// Frames come in two ways. run() is BPF_PROG_TEST_RUN: nothing else happens meanwhile and the verdict is seen, but a
// redirect is not carried out (copies do leave), and a tag that the program put beside the frame is not in `out`.
// arrive() sends from the far end: everything is seen, a moment later.
#pragma once

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <gtest/gtest.h>
#include <linux/bpf.h>
#include <linux/if_packet.h>
#include <linux/pkt_cls.h>
#include <net/if.h>
#include <poll.h>
#include <sys/socket.h>

#include <cstring>
#include <map>
#include <memory>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include "base/clock.h"
#include "datapath/kernel/events.h"
#include "datapath/kernel/fdb_tables.h"
#include "datapath/kernel/flood_sets.h"
#include "datapath/kernel/hook.h"
#include "datapath/kernel/programs.h"
#include "tests/support/netns.h"
#include "tests/unit/datapath/controlled.h"
#include "tests/unit/datapath/world.h"

namespace heddle::dp::test {

// Something of a Result, or the test ends with the error's text.
template <typename T>
T must(Result<T> r) {
  if (!r) throw std::runtime_error(r.error().text);
  if constexpr (!std::is_void_v<T>) return std::move(*r);
}

// Asks again until it is so.
template <typename F>
bool eventually(F&& is_so) {
  const auto deadline = Clock::now() + kPatience;
  while (!is_so()) {
    if (Clock::now() > deadline) return false;
    ::poll(nullptr, 0, 1);
  }
  return true;
}

// A station at a device: all frames that the device receives, with the tag where it is on the wire.
class Ear {
 public:
  explicit Ear(const std::string& device) : fd_(socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) {
    const int on = 1;
    const int room = 8 << 20;
    sockaddr_ll at{};
    at.sll_family = AF_PACKET;
    at.sll_protocol = htons(0x0003);  // ETH_P_ALL
    at.sll_ifindex = static_cast<int>(if_nametoindex(device.c_str()));
    constexpr int kIgnoreOutgoing = 23;
    if (setsockopt(fd_.get(), SOL_PACKET, kIgnoreOutgoing, &on, sizeof on) != 0 ||
        setsockopt(fd_.get(), SOL_PACKET, PACKET_AUXDATA, &on, sizeof on) != 0 ||
        setsockopt(fd_.get(), SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room) != 0 ||
        bind(fd_.get(), reinterpret_cast<const sockaddr*>(&at), sizeof at) != 0)
      throw std::runtime_error("packet socket on " + device + ": " + std::strerror(errno));
  }
  void send(const Bytes& frame) const {
    if (::send(fd_.get(), frame.data(), frame.size(), 0) != static_cast<ssize_t>(frame.size()))
      throw std::runtime_error(std::string("sending a frame: ") + std::strerror(errno));
  }
  // The next frame; nothing when there is none now.
  std::optional<Bytes> take() const {
    Bytes frame(70000);
    alignas(cmsghdr) char control[256];
    iovec part{frame.data(), frame.size()};
    msghdr m{};
    m.msg_iov = &part;
    m.msg_iovlen = 1;
    m.msg_control = control;
    m.msg_controllen = sizeof control;
    const ssize_t n = recvmsg(fd_.get(), &m, 0);
    if (n < 0) return std::nullopt;
    frame.resize(static_cast<std::size_t>(n));
    for (const cmsghdr* c = CMSG_FIRSTHDR(&m); c != nullptr; c = CMSG_NXTHDR(&m, const_cast<cmsghdr*>(c))) {
      if (c->cmsg_level != SOL_PACKET || c->cmsg_type != PACKET_AUXDATA) continue;
      tpacket_auxdata aux{};
      std::memcpy(&aux, CMSG_DATA(c), sizeof aux);
      if ((aux.tp_status & TP_STATUS_VLAN_VALID) == 0) continue;
      const Bytes tag =
          packet::test::cat({packet::test::be16_bytes(aux.tp_vlan_tpid), packet::test::be16_bytes(aux.tp_vlan_tci)});
      frame.insert(frame.begin() + 12, tag.begin(), tag.end());
    }
    return frame;
  }
  // The next frame, as soon as it comes.
  std::optional<Bytes> await() const {
    std::optional<Bytes> frame;
    eventually([&] { return (frame = take()).has_value(); });
    return frame;
  }
  std::size_t drain() const {
    std::size_t n = 0;
    while (take()) ++n;
    return n;
  }

 private:
  Fd fd_;
};

class KernelWorld {
 public:
  struct Port {
    PortPolicy policy;
    __u32 more_flags = 0;
    bool up = true;
    unsigned mtu = 0;
    std::string near, far;
    hd_port conf{};  // tunnels: the fields that commit() does not write; devices: all but what the above says
    std::vector<hd_target> targets;
    std::shared_ptr<Ear> ear;
    Hook hook;
  };
  struct Verdict {
    int action = 0;
    Bytes out;
    __u32 mark = 0;
    bool operator==(const Verdict&) const = default;
  };
  struct Context {
    unsigned gso_size = 0;
    unsigned gso_segs = 0;
    __u32 mark = 0;
  };
  using Drops = World::Drops;

  KernelWorld()
      : kernel(must(netlink::Netlink::open())),
        pins("/proc/none", "test", HD_LAYOUT),
        programs(must(Programs::load(pins))),
        floods(*programs, time),
        events(must(Events::open(*programs, [this](PortNo no) {
          return ports.contains(no) ? static_cast<int>(ports[no].conf.ifindex) : 0;
        }))) {
    sh("echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6");
    for (__u32 b = 0; b < 2; ++b) {
      fdbs.push_back(must(Programs::make_fdb(1000)));
      must(programs->fdbs.put(b, static_cast<__u32>(fdbs.back().get())));
    }
  }

  // --- configuration: takes effect with commit() ---
  PortNo device(const PortPolicy& policy, __u32 flags = 0) {
    const auto no = static_cast<PortNo>(ports.size() + 1);
    const std::string n = std::to_string(static_cast<int>(no));
    Port& p = ports[no];
    p.near = "p" + n;
    p.far = "q" + n;
    heddle::test::veth(p.near, p.far);
    p.policy = policy;
    p.more_flags = flags;
    p.conf.ifindex = if_nametoindex(p.near.c_str());
    p.targets = {static_cast<hd_target>(no)};
    p.ear = std::make_shared<Ear>(p.far);
    must(programs->devices.put(p.conf.ifindex, static_cast<__u32>(no)));
    commit();
    return no;
  }
  // A port whose frames leave by another's device, as a tunnel when `flags` say so.
  PortNo alias(PortNo of, const PortPolicy& policy, __u32 flags = 0) {
    const auto no = static_cast<PortNo>(ports.size() + 1);
    Port& p = ports[no];
    p.policy = policy;
    p.more_flags = flags;
    p.conf.ifindex = ports.at(of).conf.ifindex;
    if ((flags & HD_TUNNEL) != 0) p.conf.tunnel_flags = BPF_F_DONT_FRAGMENT;
    p.targets = {static_cast<hd_target>(no)};
    return no;
  }
  static __u32 remote_target(PortNo no, __u32 remote) { return static_cast<__u32>(no) | remote << 16; }
  void remote(__u32 number, const IpAddr& addr, unsigned mtu = 1550, bool usable = true) {
    hd_remote r{};
    std::memcpy(r.addr, addr.data(), addr.size());
    r.v6 = addr.is_v6();
    r.mtu = mtu;
    r.usable = usable;
    must(programs->remotes.put(number, r));
  }
  void commit() {
    std::map<BridgeId, std::vector<FloodSets::Member>> members;
    for (auto& [no, p] : ports) {
      hd_port& c = p.conf;
      c.bridge = static_cast<__u16>(p.policy.bridge);
      c.mode = static_cast<__u8>(p.policy.vlan_mode);
      c.tag = p.policy.tag;
      c.mtu = p.mtu;
      c.flags = p.more_flags;
      if (p.up) c.flags |= HD_UP;
      if (p.policy.learning) c.flags |= HD_LEARN;
      if (p.policy.protected_port) c.flags |= HD_PROTECTED;
      for (unsigned vlan = 0; vlan < 4096; ++vlan) {
        const __u64 bit = 1ULL << vlan % 64;
        c.vlans[vlan / 64] =
            p.policy.carries(static_cast<VlanId>(vlan)) ? c.vlans[vlan / 64] | bit : c.vlans[vlan / 64] & ~bit;
      }
      must(programs->ports.put(static_cast<__u32>(no), c));
      members[p.policy.bridge].push_back({p.policy, p.targets});
    }
    for (const unsigned b : {0U, 1U}) must(floods.update(static_cast<BridgeId>(b), members[static_cast<BridgeId>(b)]));
  }
  [[nodiscard]] BpfMap<hd_station, hd_entry> fdb(unsigned bridge = 0) const { return {fdbs.at(bridge).get(), "fdb"}; }
  static hd_station station(VlanId vlan, const MacAddr& mac) {
    hd_station s{};
    std::memcpy(s.mac, mac.bytes.data(), 6);
    s.vlan = vlan;
    return s;
  }
  void know(VlanId vlan, const MacAddr& mac, PortNo port, __u32 remote = 0, unsigned bridge = 0) {
    const hd_station s = station(vlan, mac);
    must(fdb(bridge).put(s, {sealed(s, remote_target(port, remote)), 1, {}}));
  }
  // Ports' devices get the program; arrive() is possible from then on.
  void attach() {
    for (auto& [no, p] : ports)
      if (p.hook.ifindex() == 0 && !p.near.empty())
        p.hook = must(Hook::attach(pins, *kernel, {.ifindex = static_cast<int>(p.conf.ifindex), .name = p.near},
                                   programs->port_ingress()));
  }

  // --- traffic ---
  Verdict run(PortNo in, const Bytes& frame) { return run(in, frame, Context{}); }
  Verdict run(PortNo in, const Bytes& frame, const Context& how) {
    return run_program(programs->port_ingress(), ports.at(in).conf.ifindex, frame, how);
  }
  static Verdict run_program(int program, __u32 ifindex, const Bytes& frame, const Context& how) {
    __sk_buff ctx{};
    ctx.ifindex = ifindex;
    ctx.mark = how.mark;
    ctx.gso_size = how.gso_size;
    ctx.gso_segs = how.gso_segs;
    Verdict v;
    v.out.resize(frame.size() + 64);
    bpf_test_run_opts o{};
    o.sz = sizeof o;
    o.data_in = frame.data();
    o.data_size_in = static_cast<__u32>(frame.size());
    o.data_out = v.out.data();
    o.data_size_out = static_cast<__u32>(v.out.size());
    o.ctx_in = &ctx;
    o.ctx_size_in = sizeof ctx;
    o.ctx_out = &ctx;
    o.ctx_size_out = sizeof ctx;
    o.repeat = 1;
    if (const int err = bpf_prog_test_run_opts(program, &o); err != 0)
      throw std::runtime_error(std::string("BPF_PROG_TEST_RUN: ") + std::strerror(-err));
    v.action = static_cast<int>(o.retval);
    v.out.resize(o.data_size_out);
    v.mark = ctx.mark;
    return v;
  }
  void arrive(PortNo in, const Bytes& frame) { ports.at(in).ear->send(frame); }
  Ear& ear(PortNo no) { return *ports.at(no).ear; }

  // --- what came of it ---
  Drops drops() {  // taken
    Drops fresh;
    for (const auto& [no, p] : ports)
      look(std::to_string(static_cast<int>(no)), programs->drops, static_cast<__u32>(no), fresh);
    for (const __u32 device : stray_devices) look("vx", programs->strays, device, fresh);
    return fresh;
  }
  static Drops only(PortNo port, Drop why) { return World::only(port, why); }
  hd_traffic traffic(PortNo no) const {
    const auto key = static_cast<__u32>(no);
    std::vector<hd_traffic> each(static_cast<std::size_t>(libbpf_num_possible_cpus()));
    if (bpf_map_lookup_elem(programs->traffic(), &key, each.data()) != 0) throw std::runtime_error("traffic");
    hd_traffic sum{};
    for (const auto& t : each) {
      sum.rx_packets += t.rx_packets;
      sum.rx_bytes += t.rx_bytes;
      sum.tx_packets += t.tx_packets;
      sum.tx_bytes += t.tx_bytes;
    }
    return sum;
  }
  // Ports that have sent since the last call, and how many frames.
  std::map<PortNo, std::uint64_t> transmitted() {
    std::map<PortNo, std::uint64_t> fresh;
    for (const auto& [no, p] : ports) {
      const auto now = traffic(no).tx_packets;
      if (now != seen_tx_[no]) fresh[no] = now - std::exchange(seen_tx_[no], now);
    }
    return fresh;
  }
  std::vector<LearnEvent> learned() const {
    std::vector<LearnEvent> all;
    std::vector<LearnEvent> some(64);
    for (std::size_t n = events->poll(some); n > 0; n = events->poll(some))
      all.insert(all.end(), some.begin(), some.begin() + static_cast<std::ptrdiff_t>(n));
    return all;
  }
  // For NaiveBridge.
  [[nodiscard]] const Port& shared(PortNo no) const { return ports.at(no); }

  std::map<PortNo, Port> ports;
  std::unique_ptr<netlink::Netlink> kernel;
  Pins pins;
  std::unique_ptr<Programs> programs;
  FakeTime time;
  FloodSets floods;
  std::vector<Fd> fdbs;
  std::unique_ptr<Events> events;
  std::set<__u32> stray_devices;

 private:
  static void sh(const std::string& command) { heddle::test::sh(command); }
  void look(const std::string& who, const BpfMap<__u32, hd_drop_counts>& map, __u32 key, Drops& fresh) {
    const auto now = map.get(key);
    if (!now) return;
    hd_drop_counts& seen = seen_drops_[who];
    for (std::size_t i = 0; i < kDropCount; ++i) {
      if (now->count[i] != seen.count[i])
        fresh[who + ":" + std::string(drop_name(static_cast<Drop>(i)))] = now->count[i] - seen.count[i];
    }
    seen = *now;
  }

  std::map<std::string, hd_drop_counts> seen_drops_;
  std::map<PortNo, std::uint64_t> seen_tx_;
};

// A test in a network namespace of its own.
class KernelWorldTest : public ::testing::Test {
 protected:
  void SetUp() override {
    HEDDLE_NEEDS_NETNS();
    ns_ = std::make_unique<heddle::test::PrivateNetns>();
    world_ = std::make_unique<KernelWorld>();
  }
  void TearDown() override {
    world_.reset();
    ns_.reset();
  }
  KernelWorld& w() { return *world_; }
  [[nodiscard]] const heddle::test::Netns& ns() const { return ns_->ns(); }

 private:
  std::unique_ptr<heddle::test::PrivateNetns> ns_;
  std::unique_ptr<KernelWorld> world_;
};

}  // namespace heddle::dp::test
