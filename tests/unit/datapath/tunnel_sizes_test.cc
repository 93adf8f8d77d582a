// SPDX-License-Identifier: Apache-2.0
// Tunnels and what may not pass as it is: checksums that a device was to finish, frames that are too large for the way.
#include <gtest/gtest.h>

#include <set>
#include <vector>

#include "tests/unit/datapath/overlay.h"

namespace heddle::dp {
namespace {

using namespace test;

// Unfinished checksums: a device that can take one gets it with its place, everything else gets it finished.
TEST(Checksum, IsFinishedWhereTheReceiverCannot) {
  for (const bool tcp : {false, true}) {
    for (const bool v6 : {false, true}) {
      for (const bool tagged : {false, true}) {
        Overlay w(vni10(), trunk());
        const std::optional<Tag> tag = tagged ? std::optional<Tag>(Tag{0x8100, 30}) : std::nullopt;
        const VlanId vlan = tagged ? 30 : 0;
        const PortNo plain = w.device(trunk());
        const PortNo able = w.device(access(vlan));
        w.io(able).partial = true;
        const Bytes unfinished = segment(tcp, v6, false, 101, tag);
        const Bytes finished = segment(tcp, v6, true, 101, tag);
        const std::size_t l4 = 14 + (v6 ? 40 : 20);

        w.know(vlan, mac(2), plain);
        w.arrive(w.vm, unfinished, {.maybe_partial = true});
        EXPECT_EQ(w.one(plain), finished);
        w.arrive(w.vm, unfinished);  // from a device that does not leave it
        EXPECT_EQ(w.one(plain), unfinished);
        w.arrive(w.vm, finished, {.maybe_partial = true});
        EXPECT_EQ(w.one(plain), finished);
        w.arrive(w.vm, unfinished, {.maybe_partial = true, .cuts = {l4 + 24, 130}});
        EXPECT_EQ(w.one(plain), finished);

        w.know(vlan, mac(2), able);
        w.arrive(w.vm, unfinished, {.maybe_partial = true});
        auto sent = w.sent(able);
        ASSERT_EQ(sent.size(), 1U);
        EXPECT_EQ(sent[0], (FakeIo::Sent{segment(tcp, v6, false, 101), static_cast<std::uint16_t>(l4),
                                         static_cast<std::uint8_t>(tcp ? 16 : 6)}));
        w.arrive(w.vm, finished, {.maybe_partial = true});
        EXPECT_EQ(w.sent(able).at(0).csum_start, 0);

        w.know(vlan, mac(2), w.tun, w.ports[w.tun].path);
        w.arrive(w.vm, unfinished, {.maybe_partial = true});
        EXPECT_EQ(open(w.one_by_slot(w.wire), vni10(), 0, 64), finished);
        w.arrive(w.vm, unfinished, {.maybe_partial = true, .cuts = {14 + (tagged ? 4U : 0U) + 60 + 20, 140}});
        EXPECT_EQ(open(w.one_by_slot(w.wire), vni10(), 0, 64), finished);
      }
    }
  }
}

// Documentation/networking/checksum-offloads.rst, "LCO": the outer checksum was computed for the finished inner one.
TEST(Checksum, OuterIsJudgedWithTheInnerFinished) {
  Overlay w;
  w.know(0, mac(2), w.vm);
  const Bytes finished = segment(true, false, true);
  const Bytes unfinished = segment(true, false, false);
  Bytes packet = outer(finished, 10, kThere, kHere, UdpSum::right);
  std::copy(unfinished.begin(), unfinished.end(), packet.end() - static_cast<std::ptrdiff_t>(unfinished.size()));
  for (const std::vector<std::size_t>& cuts : {std::vector<std::size_t>{}, {110, 140}}) {
    w.arrive_at_slot(w.wire, packet, {.maybe_partial = true, .cuts = cuts});
    EXPECT_EQ(w.one(w.vm), finished);
    EXPECT_TRUE(w.drops().empty());
  }
  w.arrive_at_slot(w.wire, packet);
  EXPECT_EQ(w.drops(), World::only_underlay(0, Drop::bad_udp_checksum));
  // No outer checksum: the inner one is finished all the same.
  w.arrive_at_slot(w.wire, outer(unfinished, 10, kThere, kHere), {.maybe_partial = true});
  EXPECT_EQ(w.one(w.vm), finished);
}

TEST(TooBig, IsAnsweredOnThePortItCameFrom) {
  for (const bool v6 : {false, true}) {
    for (const bool tagged : {false, true}) {
      Overlay w(vni10(), tagged ? trunk() : access(30));
      const std::optional<Tag> tag = tagged ? std::optional<Tag>(Tag{0x8100, 30}) : std::nullopt;
      // The tunnel port is a trunk: the tag takes 4 of the 1550 bytes.
      const std::size_t room = 1550 - 20 - 8 - 8 - 14 - 4;
      const std::size_t headers = (v6 ? 40U : 20U) + 20;
      const Bytes fits = segment(true, v6, true, room - headers, tag);
      w.arrive(w.vm, fits);
      EXPECT_EQ(w.sent_by_slot(w.wire).size(), 1U);
      w.arrive(w.vm, segment(true, v6, true, room - headers + 1, tag));
      EXPECT_EQ(w.sent_by_slot(w.wire).size(), 0U);
      EXPECT_EQ(w.drops(), World::only(w.tun, Drop::tunnel_mtu));
      const Bytes answer = w.one(w.vm);
      const std::size_t ip = tagged ? 18 : 14;
      ASSERT_GT(answer.size(), ip + 48);
      EXPECT_EQ(slice(answer, 0, 12), cat({bytes_of(mac(1)), bytes_of(mac(2))}));
      EXPECT_TRUE(!tagged || (get16(answer, 12) == 0x8100 && get16(answer, 14) == 30));
      EXPECT_EQ(get16(answer, ip - 2), v6 ? 0x86ddU : 0x0800U);
      const std::size_t icmp = ip + (v6 ? 40 : 20);
      EXPECT_EQ(get16(answer, icmp), v6 ? 0x0200U : 0x0304U);
      EXPECT_EQ(get16(answer, icmp + 6), room);
      EXPECT_EQ(w.counters(w.vm).icmp_too_big, 1U);
    }
  }
}

TEST(TooBig, AnswersAreLimitedPerSecondAndPort) {
  Overlay w;
  const PortNo second = w.device(access());
  w.know(0, mac(2), w.tun, w.ports[w.tun].path);
  const Bytes big = segment(true, false, true, 1600);
  for (int i = 0; i < 150; ++i) w.arrive(w.vm, big);
  EXPECT_EQ(w.sent(w.vm).size(), 100U);
  w.arrive(second, big);
  EXPECT_EQ(w.sent(second).size(), 1U);
  ++w.now;
  w.arrive(w.vm, big);
  EXPECT_EQ(w.sent(w.vm).size(), 1U);
  EXPECT_EQ(w.drops(), (World::Drops{{"2:tunnel_mtu", 152}}));
}

// Puts the fragments of one packet together again; checks what each of them has.
Bytes put_together(const std::vector<FakeIo::Sent>& fragments, bool v6, unsigned mtu) {
  const std::size_t ip = 14;
  const std::size_t header = v6 ? 48 : 20;
  Bytes whole = slice(fragments.at(0).bytes, 0, ip + (v6 ? 40 : 20));
  std::set<unsigned> ids;
  for (std::size_t i = 0; i < fragments.size(); ++i) {
    const Bytes& b = fragments[i].bytes;
    EXPECT_LE(b.size() - ip, mtu);
    const unsigned place = v6 ? get16(b, ip + 42) : get16(b, ip + 6);
    const bool more = v6 ? (place & 1) != 0 : (place & 0x2000) != 0;
    const std::size_t offset = v6 ? place & ~7U : (place & 0x1fff) * 8;
    EXPECT_EQ(more, i + 1 < fragments.size());
    EXPECT_EQ(offset, whole.size() - ip - (v6 ? 40 : 20)) << "in order, and without a gap";
    EXPECT_EQ((b.size() - ip - header) % 8 != 0 && more, false);
    ids.insert(v6 ? get16(b, ip + 44) << 16 | get16(b, ip + 46) : get16(b, ip + 4));
    if (v6) {
      EXPECT_EQ(b[ip + 6], 44);
      EXPECT_EQ(b[ip + 40], 17);
      EXPECT_EQ(get16(b, ip + 4), b.size() - ip - 40);
    } else {
      EXPECT_EQ(get16(b, ip + 2), b.size() - ip);
      EXPECT_EQ(naive_sum(slice(b, ip, ip + 20)), 0xffff);
    }
    const Bytes part = slice(b, ip + header, b.size());
    whole.insert(whole.end(), part.begin(), part.end());
  }
  EXPECT_EQ(ids.size(), 1U) << "one packet";
  if (v6) {
    whole[ip + 6] = 17;
    put16(whole, ip + 4, static_cast<std::uint16_t>(whole.size() - ip - 40));
  } else {
    put16(whole, ip + 2, static_cast<std::uint16_t>(whole.size() - ip));
    put16(whole, ip + 6, 0);
    put16(whole, ip + 10, 0);
    put16(whole, ip + 10, static_cast<std::uint16_t>(~naive_sum(slice(whole, ip, ip + 20))));
  }
  return whole;
}

// RFC 791 section 3.2, RFC 8200 section 4.5: where the tunnel may make fragments, what does not fit leaves in pieces.
TEST(Fragments, CarryWhatDoesNotFit) {
  for (const bool v6 : {false, true}) {
    for (const unsigned mtu : {1280U, 1500U, 1501U, 5000U}) {
      TunnelSpec v = vni10(v6 ? kThere6 : kThere);
      v.df = false;
      v.csum = true;
      Overlay w(v, access(), mtu);
      const unsigned fits = mtu - (v6 ? 70 : 50) + 14;
      for (const unsigned size : {fits, fits + 1, fits + 8, 2 * fits, 8900U}) {
        Bytes f = frame(mac(2), mac(1));
        while (f.size() < size) f.push_back(static_cast<std::uint8_t>(f.size() * 7));
        std::vector<std::size_t> cuts;
        for (std::size_t at = 2000; at < f.size(); at += 2000) cuts.push_back(at);
        w.arrive(w.vm, f, {.cuts = cuts});
        const auto sent = w.sent_by_slot(w.wire);
        EXPECT_TRUE(w.drops().empty());
        ASSERT_EQ(sent.size() == 1, size <= fits) << size;
        EXPECT_EQ(open(size <= fits ? sent[0].bytes : put_together(sent, v6, mtu), v, 0, 64), f) << size;
      }
    }
  }
}

TEST(Fragments, AreNotMadeWhereTheTunnelMayNot) {
  TunnelSpec v = vni10();
  Overlay w(v, access(), 1500);
  w.arrive(w.vm, Bytes(frame(mac(2), mac(1))));
  w.sent_by_slot(w.wire);
  Bytes f = frame(mac(2), mac(1));
  f.resize(1465);
  w.arrive(w.vm, f);
  EXPECT_TRUE(w.sent_by_slot(w.wire).empty());
  EXPECT_EQ(w.drops(), World::only(w.tun, Drop::tunnel_mtu));
}

}  // namespace
}  // namespace heddle::dp
