// SPDX-License-Identifier: Apache-2.0
// The generator's frames must be valid: on other frames a switch that completes or verifies checksums would do other
// work than on real traffic.
#include "bench/rate/frame.h"

#include <gtest/gtest.h>

#include <cstring>

#include "bench/rate/shared.h"
#include "bench/support/netns.h"

namespace heddle::bench {
namespace {

std::uint16_t get16(const Bytes& b, std::size_t at) { return static_cast<std::uint16_t>(b[at] << 8 | b[at + 1]); }

// RFC 1071 on big-endian words; 0xffff for data with a right checksum.
std::uint16_t sum(const Bytes& b, std::size_t from, std::size_t to, std::uint32_t start = 0) {
  std::uint32_t total = start;
  for (std::size_t i = from; i < to; i += 2) total += b[i] << 8 | (i + 1 < to ? b[i + 1] : 0);
  while (total >> 16 != 0) total = (total & 0xffff) + (total >> 16);
  return static_cast<std::uint16_t>(total);
}

void expect_good_udp(const Bytes& b, std::size_t eth) {
  const std::size_t ip = eth + 14;
  const std::size_t udp = ip + 20;
  EXPECT_EQ(get16(b, ip + 2), b.size() - ip);
  EXPECT_EQ(get16(b, udp + 4), b.size() - udp);
  EXPECT_EQ(sum(b, ip, ip + 20), 0xffff);
  const auto pseudo = static_cast<std::uint32_t>(sum(b, ip + 12, ip + 20) + 17 + get16(b, udp + 4));
  EXPECT_EQ(sum(b, udp, b.size(), pseudo), 0xffff);
}

const char* const kTunnelText = "4660,02:00:00:00:00:01,02:00:00:00:00:02,192.0.2.1,192.0.2.2";

TEST(RateFrame, ProbesAreCompleteUdpOfAnySize) {
  for (const std::size_t size : {64U, 65U, 1500U, 1514U}) {
    const auto frame = make_frame(size, RATE_KIND_PROBE, {});
    EXPECT_EQ(frame.bytes.size(), size);
    expect_good_udp(frame.bytes, 0);
  }
}

TEST(RateFrame, TemplateSumsPlusVaryingFieldsGiveRightChecksums) {
  auto frame = make_frame(64, RATE_KIND_DATA, {});
  auto& b = frame.bytes;
  // Like the BPF program: words in memory order.
  const std::uint32_t source = 0x04030201;
  const std::uint16_t port = 0x1234;
  const std::uint32_t sequence = 0xfedcba98;
  const auto halves = [](std::uint32_t v) { return (v & 0xffff) + (v >> 16); };
  const auto fold = [](std::uint32_t v) {
    v = (v & 0xffff) + (v >> 16);
    v = (v & 0xffff) + (v >> 16);
    return static_cast<std::uint16_t>(~v);
  };
  const std::uint16_t ip_check = fold(frame.ip_sum + halves(source));
  const std::uint16_t udp_check = fold(frame.udp_sum + halves(source) + port + halves(sequence));
  std::memcpy(&b[26], &source, 4);
  std::memcpy(&b[24], &ip_check, 2);
  std::memcpy(&b[34], &port, 2);
  std::memcpy(&b[40], &udp_check, 2);
  std::memcpy(&b[42 + offsetof(rate_mark, sequence)], &sequence, 4);
  expect_good_udp(b, 0);
}

TEST(RateFrame, TunnelAddsAValidOuterHeader) {
  const auto tunnel = parse_tunnel(kTunnelText);
  ASSERT_TRUE(tunnel) << tunnel.error().text;
  const auto plain = make_frame(64, RATE_KIND_PROBE, {}).bytes;
  const auto wrapped = make_frame(64, RATE_KIND_PROBE, *tunnel).bytes;
  ASSERT_EQ(wrapped.size(), plain.size() + RATE_TUNNEL_BYTES);
  EXPECT_TRUE(std::equal(plain.begin(), plain.end(), wrapped.begin() + RATE_TUNNEL_BYTES));
  EXPECT_EQ(sum(wrapped, 14, 34), 0xffff);
  EXPECT_EQ(get16(wrapped, 16), wrapped.size() - 14);
  EXPECT_EQ(get16(wrapped, 36), 4789);
  EXPECT_EQ(get16(wrapped, 40), 0) << "RFC 7348 section 5: the outer UDP checksum is sent as zero";
  EXPECT_EQ(wrapped[42], 0x08);
  EXPECT_EQ(get16(wrapped, 47), 0x1234);
}

TEST(RateFrame, AnnouncementsComeFromTheMac) {
  const auto tunnel = parse_tunnel(kTunnelText);
  ASSERT_TRUE(tunnel);
  const auto b = make_announcement(sink_mac(0x10203), *tunnel);
  EXPECT_EQ(std::memcmp(&b[RATE_TUNNEL_BYTES + 6], sink_mac(0x10203).bytes.data(), 6), 0);
  EXPECT_EQ(b[RATE_TUNNEL_BYTES], 0xff);
}

TEST(RateFrame, RefusesMalformedTunnelsAndDevices) {
  for (const char* text :
       {"", "1", "x,02:00:00:00:00:01,02:00:00:00:00:02,192.0.2.1,192.0.2.2",
        "16777216,02:00:00:00:00:01,02:00:00:00:00:02,192.0.2.1,192.0.2.2",
        "1,02:00:00:00:00:01,02:00:00:00:00,192.0.2.1,192.0.2.2", "1,02:00:00:00:00:01,02:00:00:00:00:02,::1,::2"})
    EXPECT_FALSE(parse_tunnel(text)) << text;
  EXPECT_FALSE(parse_net_device("namespace:"));
  const auto device = parse_net_device("ns:dev");
  ASSERT_TRUE(device);
  EXPECT_EQ(device->netns + "|" + device->name, "ns|dev");
}

}  // namespace
}  // namespace heddle::bench
