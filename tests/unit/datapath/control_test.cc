// SPDX-License-Identifier: Apache-2.0
// The parts that both providers' control sides share: numbers for keys held against a naive list, the port registry,
// and the kernel's answers about devices and routes in a namespace of the test's own.
#include <gtest/gtest.h>
#include <net/if.h>
#include <poll.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <array>
#include <random>
#include <set>

#include "base/clock.h"
#include "datapath/control/counted_numbers.h"
#include "datapath/control/kernel_news.h"
#include "datapath/control/netdev.h"
#include "datapath/control/port_registry.h"
#include "datapath/control/route.h"
#include "tests/support/netns.h"

namespace heddle::dp {
namespace {

using heddle::test::sh;

// --- CountedNumbers ---

struct Remembered {
  unsigned key = 0;
  int note = 0;  // of whoever uses the numbers
};
using Numbers = CountedNumbers<unsigned, Remembered>;
constexpr auto kIgnore = [](std::uint32_t, const Remembered&) {};

TEST(CountedNumbers, AKeyKeepsItsNumberWhileItsNumberIsNotNeeded) {
  Numbers numbers;
  const auto first = numbers.acquire(7, kIgnore);
  ASSERT_TRUE(first);
  EXPECT_NE(first->number, 0U);
  EXPECT_TRUE(first->fresh);
  EXPECT_TRUE(first->unused);
  first->entry->note = 70;
  const auto second = numbers.acquire(7, kIgnore);
  EXPECT_EQ(second->number, first->number);
  EXPECT_FALSE(second->fresh);
  EXPECT_FALSE(second->unused);
  numbers.release(first->number);
  numbers.release(first->number);
  numbers.release(first->number);  // once too often
  numbers.release(12345);          // never given
  const auto again = numbers.acquire(7, kIgnore);
  EXPECT_EQ(again->number, first->number);
  EXPECT_FALSE(again->fresh);
  EXPECT_TRUE(again->unused);
  EXPECT_EQ(again->entry->note, 70);
}

TEST(CountedNumbers, UnusedKeysGiveWayAndUsedOnesDoNot) {
  constexpr unsigned kMost = limits::kTunnelRemotes - 1;
  Numbers numbers;
  for (unsigned key = 0; key < kMost; ++key) ASSERT_TRUE(numbers.acquire(key, kIgnore)) << key;
  EXPECT_EQ(numbers.acquire(kMost, kIgnore).error().code, Errc::limit);
  const std::uint32_t two = numbers.acquire(2, kIgnore)->number;
  numbers.release(two);  // has one user left
  EXPECT_FALSE(numbers.acquire(kMost, kIgnore));
  numbers.release(two);
  std::vector<unsigned> forgotten;
  const auto taken = numbers.acquire(kMost, [&](std::uint32_t number, const Remembered& entry) {
    EXPECT_EQ(number, two);
    forgotten.push_back(entry.key);
  });
  ASSERT_TRUE(taken);
  EXPECT_EQ(taken->number, two);
  EXPECT_TRUE(taken->fresh);
  EXPECT_EQ(forgotten, std::vector<unsigned>{2});
  EXPECT_FALSE(numbers.acquire(2, kIgnore));
}

TEST(CountedNumbers, NumbersOfAFormerLifeAreTakenOverWithTheirGaps) {
  Numbers numbers;
  numbers.take_over(5, 50).note = 1;
  numbers.take_over(2, 20).note = 2;
  numbers.close_gaps();
  EXPECT_EQ(numbers.adopt(9).entry, nullptr);
  const auto adopted = numbers.adopt(5);
  ASSERT_NE(adopted.entry, nullptr);
  EXPECT_TRUE(adopted.unused);
  EXPECT_FALSE(numbers.adopt(5).unused);
  EXPECT_EQ(numbers.acquire(20, kIgnore)->number, 2U);
  std::set<std::uint32_t> others;
  for (unsigned key = 100; key < 104; ++key) others.insert(numbers.acquire(key, kIgnore)->number);
  EXPECT_EQ(others, (std::set<std::uint32_t>{1, 3, 4, 6}));
}

// Every operation in turn, against a list of (key, number, users).
TEST(CountedNumbers, AgainstANaiveList) {
  struct Row {
    unsigned key;
    std::uint32_t number;
    unsigned users;
  };
  std::vector<Row> naive;
  Numbers numbers;
  std::mt19937 random(20240711);
  const auto of_key = [&](unsigned key) {
    return std::find_if(naive.begin(), naive.end(), [&](const Row& r) { return r.key == key; });
  };
  for (int step = 0; step < 20000; ++step) {
    const unsigned key = random() % 40;
    const auto row = of_key(key);
    const auto expect_dropped = [&](auto gone, auto drop) {
      std::set<unsigned> expected;
      std::set<unsigned> dropped;
      for (const Row& r : naive)
        if (gone(r)) expected.insert(r.key);
      drop([&](std::uint32_t number, const Remembered& entry) {
        EXPECT_EQ(of_key(entry.key)->number, number);
        dropped.insert(entry.key);
      });
      EXPECT_EQ(dropped, expected);
      std::erase_if(naive, gone);
    };
    switch (random() % 8) {
      case 0:
      case 1:
      case 2: {
        const auto got = numbers.acquire(key, [](std::uint32_t, const Remembered&) { FAIL() << "there is room"; });
        ASSERT_TRUE(got);
        EXPECT_EQ(got->entry->key, key);
        EXPECT_EQ(got->fresh, row == naive.end());
        EXPECT_EQ(got->unused, row == naive.end() || row->users == 0);
        if (row != naive.end()) {
          EXPECT_EQ(got->number, row->number);
          ++row->users;
          break;
        }
        for (const Row& r : naive) ASSERT_NE(r.number, got->number) << "given twice";
        naive.push_back({key, got->number, 1});
        break;
      }
      case 3:
      case 4:
      case 5:
        if (row == naive.end()) break;
        numbers.release(row->number);
        if (row->users > 0) --row->users;
        break;
      case 6:
        if (random() % 50 != 0) break;
        expect_dropped([](const Row& r) { return r.users == 0; }, [&](auto forget) { numbers.drop_unused(forget); });
        break;
      default:
        if (random() % 50 != 0) break;
        expect_dropped(
            [&](const Row& r) { return r.key % 5 == key % 5; },
            [&](auto forget) { numbers.drop([&](const Remembered& e) { return e.key % 5 == key % 5; }, forget); });
    }
    std::size_t n = 0;
    std::as_const(numbers).for_each([&](std::uint32_t number, const Remembered& entry, unsigned users) {
      const auto r = of_key(entry.key);
      ASSERT_NE(r, naive.end());
      EXPECT_EQ(number, r->number);
      EXPECT_EQ(users, r->users);
      EXPECT_EQ(numbers.find(number), &entry);
      ++n;
    });
    ASSERT_EQ(n, naive.size());
  }
}

TEST(CountedNumbers, ARoundInPieces) {
  Numbers numbers;
  std::set<unsigned> keys;
  for (unsigned key = 0; key < 10; ++key) {
    ASSERT_TRUE(numbers.acquire(key, kIgnore));
    keys.insert(key);
  }
  std::multiset<unsigned> seen;
  int pieces = 0;
  std::uint32_t from = 0;
  do {
    from = numbers.for_some(from, 4, [&](std::uint32_t, Remembered& e, unsigned) { seen.insert(e.key); });
    ++pieces;
  } while (from != 0);
  EXPECT_EQ(pieces, 3);
  EXPECT_EQ(seen, std::multiset<unsigned>(keys.begin(), keys.end()));
}

TEST(AcquireAll, AllOrNone) {
  std::multiset<std::uint32_t> held;
  const auto acquire = [&](unsigned remote) -> Result<std::uint32_t> {
    if (remote == 13) return fail(Errc::limit, "unlucky");
    held.insert(remote * 10);
    return remote * 10;
  };
  const auto release = [&](std::uint32_t number) { held.erase(held.find(number)); };
  const auto all = acquire_all(std::vector<unsigned>{3, 1, 3}, acquire, release);
  ASSERT_TRUE(all);
  EXPECT_EQ(*all, (std::vector<std::uint32_t>{30, 10, 30}));
  const auto before = held;
  const auto none = acquire_all(std::vector<unsigned>{5, 3, 13, 6}, acquire, release);
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code, Errc::limit);
  EXPECT_EQ(held, before);
}

// --- PortRegistry ---

TEST(PortRegistry, FindsByNumberAndName) {
  PortRegistry<int> ports;
  EXPECT_TRUE(ports.empty());
  const PortNo no = ports.free_number().value();
  ports.add(no, "a") = 5;
  EXPECT_EQ(*ports.find(no), 5);
  EXPECT_EQ(ports.find("a"), ports.find(no));
  EXPECT_EQ(ports.find("b"), nullptr);
  EXPECT_EQ(ports.find(PortNo::none), nullptr);
  EXPECT_EQ(std::as_const(ports).find("a"), ports.find(no));
  ports.forget_name("a");
  EXPECT_EQ(ports.find("a"), nullptr);
  EXPECT_NE(ports.find(no), nullptr);
  ports.remove(no, "a");
  EXPECT_TRUE(ports.empty());
}

TEST(PortRegistry, ANumberIsNotSoonAnotherPorts) {
  PortRegistry<int> ports;
  std::set<PortNo> given;
  for (std::size_t i = 0; i < limits::kPorts - 1; ++i) {
    const PortNo no = ports.free_number().value();
    ASSERT_TRUE(given.insert(no).second) << "after " << i << " others";
    ports.add(no, "passing");
    ports.remove(no, "passing");
  }
  EXPECT_FALSE(given.contains(PortNo::none));
  EXPECT_EQ(ports.free_number().value(), *given.begin()) << "and then round again";
}

TEST(PortRegistry, HasItsMost) {
  PortRegistry<int> ports;
  for (std::size_t i = 0; i < limits::kPorts - 1; ++i) ports.add(ports.free_number().value(), "p" + std::to_string(i));
  EXPECT_EQ(ports.size(), limits::kPorts - 1);
  EXPECT_EQ(ports.free_number().error().code, Errc::limit);
  const auto freed = static_cast<PortNo>(77);
  ports.remove(freed, "p76");
  EXPECT_EQ(ports.free_number().value(), freed);
  EXPECT_EQ(ports.free_number([&](PortNo no) { return no == freed; }).error().code, Errc::limit);
}

TEST(PortRegistry, ReservedNumbersArePassedOver) {
  PortRegistry<int> ports;
  const auto odd = [](PortNo no) { return static_cast<unsigned>(no) % 2 != 0; };
  for (unsigned i = 1; i < 10; ++i) {
    const PortNo no = ports.free_number(odd).value();
    EXPECT_EQ(static_cast<unsigned>(no), 2 * i);
    ports.add(no, std::to_string(i));
  }
}

TEST(PortRegistry, ARoundIsContinuedBehindAPort) {
  PortRegistry<int> ports;
  for (int i = 1; i <= 3; ++i) ports.add(static_cast<PortNo>(10 * i), std::to_string(i)) = i;
  EXPECT_EQ(ports.after(PortNo::none)->second, 1);
  EXPECT_EQ(ports.after(static_cast<PortNo>(10))->second, 2);
  EXPECT_EQ(ports.after(static_cast<PortNo>(11))->second, 2);
  EXPECT_EQ(ports.after(static_cast<PortNo>(30)), ports.end());
}

// --- the kernel ---

constexpr auto kPatience = std::chrono::seconds(30);

class ControlKernel : public ::testing::Test {
 protected:
  void SetUp() override {
    HEDDLE_NEEDS_NETNS();
    ns_ = std::make_unique<heddle::test::PrivateNetns>();
    auto kernel = netlink::Netlink::open();
    ASSERT_TRUE(kernel) << kernel.error().text;
    kernel_ = std::move(*kernel);
  }

  std::unique_ptr<heddle::test::PrivateNetns> ns_;
  std::unique_ptr<netlink::Netlink> kernel_;
};

TEST_F(ControlKernel, DevicesThatMayNotBePorts) {
  heddle::test::veth("a0", "a1");
  EXPECT_TRUE(find_netdev(*kernel_, "a0", "owner"));
  EXPECT_EQ(find_netdev(*kernel_, "none", "owner").error().code, Errc::not_found);
  EXPECT_EQ(find_netdev(*kernel_, "lo", "owner").error().code, Errc::unsupported);
  sh("ip link set a0 alias owner");
  EXPECT_EQ(find_netdev(*kernel_, "a0", "owner").error().code, Errc::exists);
  EXPECT_TRUE(find_netdev(*kernel_, "a0", ""));
  sh("ip link add other type bridge && ip link set a1 master other");
  EXPECT_EQ(find_netdev(*kernel_, "a1", "owner").error().text, enslaved_text("a1", "other"));
}

TEST_F(ControlKernel, RoutesToRemotes) {
  const IpAddr remote = *IpAddr::parse("192.0.2.2");
  EXPECT_FALSE(ask_route(*kernel_, remote, std::nullopt).usable);
  heddle::test::veth("u0", "u1");
  sh("ip addr add 192.0.2.1/24 dev u0 && ip route add 198.51.100.0/24 via 192.0.2.9");
  const Route near = ask_route(*kernel_, remote, std::nullopt);
  EXPECT_TRUE(near.usable) << near.problem;
  EXPECT_EQ(near.mtu, 1500U);
  EXPECT_EQ(near.local, IpAddr::parse("192.0.2.1"));
  EXPECT_EQ(near.ifindex, static_cast<int>(if_nametoindex("u0")));
  EXPECT_EQ(near.next_hop, remote);
  EXPECT_EQ(ask_route(*kernel_, *IpAddr::parse("198.51.100.7"), std::nullopt).next_hop, IpAddr::parse("192.0.2.9"));
  for (const auto& [to, from, word] :
       {std::tuple{"192.0.2.1", "", "address of this host"}, {"192.0.2.2", "192.0.2.77", "local_ip 192.0.2.77"}}) {
    const Route bad = ask_route(*kernel_, *IpAddr::parse(to), IpAddr::parse(from));
    EXPECT_FALSE(bad.usable);
    EXPECT_NE(bad.problem.find(word), std::string::npos) << bad.problem;
  }

  PortSpec port;
  port.kind = PortKind::vxlan;
  port.tunnel.remote = remote;
  PortState state;
  add_routes_state(state, *kernel_, port, std::array{near});
  EXPECT_TRUE(state.present);
  EXPECT_EQ(state.mtu, 1450U);
  EXPECT_EQ(state.details, (std::vector<std::pair<std::string, std::string>>{{"tunnel_egress_iface", "u0"},
                                                                             {"local_ip", "192.0.2.1"}}));
  const Route own = ask_route(*kernel_, *IpAddr::parse("192.0.2.1"), std::nullopt);
  PortState alone;
  add_routes_state(alone, *kernel_, port, std::array{own});
  EXPECT_FALSE(alone.present);
  EXPECT_EQ(alone.error, own.problem);
  port.tunnel.remote.reset();  // multipoint: others may be reached
  PortState many;
  add_routes_state(many, *kernel_, port, std::array{own, near, own});
  EXPECT_TRUE(many.present);
  EXPECT_EQ(many.error, "");
  EXPECT_EQ(many.details.back(), std::pair(std::string("unreachable"), own.problem + "; " + own.problem));
}

TEST_F(ControlKernel, LocalAddressesAreTheHostsOwn) {
  heddle::test::veth("u0", "u1");
  sh("ip addr add 192.0.2.1/24 dev u0 && ip addr add 2001:db8::1/64 dev u0 nodad");
  heddle::test::await_address("2001:db8::1");
  for (const auto& [to, own, foreign] :
       {std::tuple{"192.0.2.2", "192.0.2.1", "192.0.2.77"}, {"2001:db8::2", "2001:db8::1", "2001:db8::77"}}) {
    EXPECT_TRUE(ask_route(*kernel_, *IpAddr::parse(to), IpAddr::parse(own)).usable) << own;
    EXPECT_EQ(ask_route(*kernel_, *IpAddr::parse(to), IpAddr::parse(foreign)).problem,
              std::string("local_ip ") + foreign + " is not an address of this host");
  }
}

// A packet to a group leaves by the device of its source address, whatever a route says.
TEST_F(ControlKernel, RoutesToGroups) {
  const heddle::test::Netns far;
  heddle::test::veth("u0", far, "u1", 1400);
  heddle::test::veth("t0", far, "t1");
  sh("ip addr add 192.0.2.1/24 dev u0 && ip addr add 2001:db8::1/64 dev u0 nodad"
     " && ip addr add 198.51.100.1/24 dev t0 && ip addr add 2001:db8:1::1/64 dev t0 nodad");
  heddle::test::await_address("2001:db8::1");
  heddle::test::await_address("2001:db8:1::1");
  const int u0 = static_cast<int>(if_nametoindex("u0"));
  const int t0 = static_cast<int>(if_nametoindex("t0"));
  const auto ask = [&](const char* group, const char* local) {
    return ask_route(*kernel_, *IpAddr::parse(group), *local == 0 ? std::nullopt : IpAddr::parse(local));
  };
  const auto expect_by = [&](const Route& r, int device, unsigned mtu, const char* local, const char* group) {
    EXPECT_TRUE(r.usable) << r.problem;
    EXPECT_EQ(r.ifindex, device);
    EXPECT_EQ(r.devices, std::vector{device});
    EXPECT_EQ(r.mtu, mtu);
    EXPECT_EQ(r.local, IpAddr::parse(local));
    EXPECT_EQ(r.next_hop, IpAddr::parse(group));
  };
  EXPECT_EQ(ask("239.1.1.1", "").problem,
            "no route to group 239.1.1.1: set options:local_ip to an address of the device that leads to the underlay");
  sh("ip route add 239.0.0.0/8 dev t0");
  expect_by(ask("239.1.1.1", "192.0.2.1"), u0, 1400, "192.0.2.1", "239.1.1.1");
  expect_by(ask("ff05::1", "2001:db8::1"), u0, 1400, "2001:db8::1", "ff05::1");
  expect_by(ask("239.1.1.1", "198.51.100.1"), t0, 1500, "198.51.100.1", "239.1.1.1");
  expect_by(ask("239.1.1.1", ""), t0, 1500, "198.51.100.1", "239.1.1.1");
  const Route any6 = ask("ff05::1", "");
  expect_by(any6, any6.ifindex, any6.ifindex == u0 ? 1400 : 1500, any6.ifindex == u0 ? "2001:db8::1" : "2001:db8:1::1",
            "ff05::1");
  for (const auto& [group, local] : {std::pair{"239.1.1.1", "192.0.2.77"}, {"ff05::1", "2001:db8::77"}})
    EXPECT_EQ(ask(group, local).problem, std::string("local_ip ") + local + " is not an address of this host");
  sh("ip link set u0 down");
  EXPECT_EQ(ask("239.1.1.1", "192.0.2.1").problem, "device u0, which leads to group 239.1.1.1, is down");
}

TEST(GuestMtu, IsTheUnderlaysLessTheHeaders) {
  TunnelSpec tunnel;
  EXPECT_EQ(guest_mtu(tunnel, 1500), 1450U);
  EXPECT_EQ(guest_mtu(tunnel, 50), 0U);
  tunnel.v6 = true;
  EXPECT_EQ(guest_mtu(tunnel, 1500), 1430U);
}

class Listener final : public NewsListener {
 public:
  void on_link(const netlink::Link& link) override { came.insert(link.name); }
  void on_link_gone(const netlink::Link& link) override { went.insert(link.name); }
  [[nodiscard]] std::vector<netlink::Link> held_links() const override { return {}; }
  std::set<std::string> came, went;
};

TEST_F(ControlKernel, NewsOfDevicesAndWhatIsDueAfterwards) {
  auto news = KernelNews::open(std::chrono::milliseconds(30));
  ASSERT_TRUE(news) << news.error().text;
  Listener listener;
  bool routes = false;
  bool check = false;
  bool wants_checks = false;
  const auto run_until = [&](auto&& is_so) {
    for (const auto deadline = Clock::now() + kPatience; !is_so() && Clock::now() < deadline;) {
      pollfd p{(*news)->fd(), POLLIN, 0};
      ::poll(&p, 1, 1000);
      const auto due = (*news)->take(*kernel_, listener, true, wants_checks);
      routes |= due.routes;
      check |= due.check;
    }
    return is_so();
  };
  heddle::test::veth("n0", "n1");
  EXPECT_TRUE(run_until([&] { return listener.came.contains("n0") && listener.came.contains("n1"); }));
  EXPECT_TRUE(run_until([&] { return routes; })) << "devices came, so routes may be others";
  sh("ip link del n0");
  EXPECT_TRUE(run_until([&] { return listener.went.contains("n0"); }));
  EXPECT_FALSE(check);
  wants_checks = true;
  (*news)->start_checks();
  EXPECT_TRUE(run_until([&] { return check; }));

  const Fd other(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  ASSERT_TRUE((*news)->add(other.get()));
  eventfd_write(other.get(), 1);
  pollfd p{(*news)->fd(), POLLIN, 0};
  EXPECT_EQ(::poll(&p, 1, 30000), 1);
}

}  // namespace
}  // namespace heddle::dp
