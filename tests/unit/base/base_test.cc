// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <gtest/gtest.h>

#include <set>
#include <thread>

#include "base/addr.h"
#include "base/byte_order.h"
#include "base/drop_reason.h"
#include "base/fd.h"
#include "base/rcu.h"
#include "base/shell_word.h"

namespace heddle {
namespace {

TEST(ByteOrder, BytesAreInNetworkOrder) {
  const Be32 v = be32(0x01020304);
  const auto* bytes = reinterpret_cast<const unsigned char*>(&v);
  EXPECT_EQ(bytes[0], 1);
  EXPECT_EQ(bytes[3], 4);
  EXPECT_EQ(v.get(), 0x01020304U);
  EXPECT_EQ(Be16::from_raw(be16(7).raw()).get(), 7);
}

TEST(MacAddr, ParsesStrictly) {
  EXPECT_EQ(MacAddr::parse("02:00:00:aB:cd:ef")->to_string(), "02:00:00:ab:cd:ef");
  for (const char* bad : {"", "02:00:00:ab:cd", "02-00-00-ab-cd-ef", "02:00:00:ab:cd:eg", "02:00:00:ab:cd:ef ",
                          "2:0:0:a:c:e", "02:00:00:ab:cd: f"})
    EXPECT_FALSE(MacAddr::parse(bad)) << bad;
  EXPECT_EQ(MacAddr::from_u64(0x0200000000ffULL).to_u64(), 0x0200000000ffULL);
  EXPECT_TRUE(MacAddr::parse("01:00:5e:00:00:01")->is_multicast());
  EXPECT_TRUE(MacAddr::parse("ff:ff:ff:ff:ff:ff")->is_broadcast());
}

TEST(IpAddr, ParsesBothFamilies) {
  EXPECT_EQ(IpAddr::parse("192.0.2.1")->to_string(), "192.0.2.1");
  EXPECT_EQ(IpAddr::parse("2001:DB8::1")->to_string(), "2001:db8::1");
  EXPECT_FALSE(IpAddr::parse("192.0.2"));
  EXPECT_FALSE(IpAddr::parse("192.0.2.1/24"));
  EXPECT_FALSE(IpAddr::parse(std::string_view("192.0.2.1\0x", 11)));
  EXPECT_TRUE(IpAddr::parse("239.1.1.1")->is_multicast());
  EXPECT_TRUE(IpAddr::parse("ff02::1")->is_multicast());
  EXPECT_NE(*IpAddr::parse("::"), *IpAddr::parse("0.0.0.0"));
  EXPECT_EQ(IpAddr::v4(0xc0000201), *IpAddr::parse("192.0.2.1"));
}

TEST(Drop, NamesAreUnique) {
  std::set<std::string_view> names;
  for (std::size_t i = 0; i < kDropCount; ++i) {
    EXPECT_TRUE(names.insert(drop_name(static_cast<Drop>(i))).second);
    EXPECT_FALSE(drop_text(static_cast<Drop>(i)).empty());
  }
}

TEST(Fd, ClosesOnceAndMoves) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  Fd a(ends[0]);
  const Fd write_end(ends[1]);
  Fd b(std::move(a));
  EXPECT_FALSE(a);  // NOLINT(bugprone-use-after-move): the moved-from state is what is tested
  EXPECT_EQ(b.get(), ends[0]);
  EXPECT_NE(::fcntl(ends[0], F_GETFD), -1);
  b.reset();
  EXPECT_EQ(::fcntl(ends[0], F_GETFD), -1) << "the descriptor is still open";
}

// A reader sees whole values only, and an old version is freed after its last reader has left (TSan and ASan check).
TEST(Rcu, ReadersSeeWholeVersions) {
  struct Pair {
    int a, b;
  };
  RcuPtr<Pair> shared(std::make_unique<Pair>(Pair{0, 0}));
  std::atomic<bool> stop{false};
  std::atomic<int> torn{0};
  std::thread reader([&] {
    const RcuThread registered;
    while (!stop.load(std::memory_order_relaxed)) {
      const RcuGuard guard;
      const Pair* p = shared.read();
      if (p->a != p->b) torn.fetch_add(1);
    }
  });
  for (int i = 1; i <= 200; ++i) shared.publish(std::make_unique<Pair>(Pair{i, i}));
  stop = true;
  reader.join();
  EXPECT_EQ(torn.load(), 0);
  EXPECT_EQ(shared.current()->a, 200);
}

TEST(ShellWord, IsOneWordOfAShell) {
  EXPECT_EQ(shell_word("vm1"), "vm1");
  EXPECT_EQ(shell_word("tap0.10:x-y_z/@%+,="), "tap0.10:x-y_z/@%+,=");
  EXPECT_EQ(shell_word(""), "''");
  EXPECT_EQ(shell_word("a b"), "'a b'");
  EXPECT_EQ(shell_word("a;rm -rf $HOME"), "'a;rm -rf $HOME'");
  EXPECT_EQ(shell_word("it's"), "'it'\\''s'");
  EXPECT_EQ(shell_word("~x"), "'~x'");
  EXPECT_EQ(shell_word("a\nb"), "'a\nb'");
}

}  // namespace
}  // namespace heddle
