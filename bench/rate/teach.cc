// SPDX-License-Identifier: Apache-2.0
#include "bench/rate/teach.h"

#include <linux/if_packet.h>
#include <net/if.h>
#include <sys/socket.h>

#include <cerrno>
#include <chrono>
#include <thread>

#include "base/byte_order.h"
#include "base/clock.h"
#include "base/fd.h"
#include "bench/rate/shared.h"

namespace heddle::bench {
namespace {

Result<> open_raw(const NetDevice& device, Fd& out) {
  return run_in_netns(device.netns, [&]() -> Result<> {
    Fd fd(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));
    if (!fd) return fail_errno(errno, "packet socket");
    sockaddr_ll address{};
    address.sll_family = AF_PACKET;
    address.sll_ifindex = static_cast<int>(::if_nametoindex(device.name.c_str()));
    if (address.sll_ifindex == 0) return fail_errno(errno, "device " + device.name + " in " + device.netns);
    if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
      return fail_errno(errno, "binding to " + device.name);
    out = std::move(fd);
    return {};
  });
}

// The next round repeats a frame that found no room, so the result of send() is ignored.
void send_frame(const Fd& socket, const Bytes& bytes) {
  (void)::send(socket.get(), bytes.data(), bytes.size(), MSG_DONTWAIT);
}

}  // namespace

Result<> teach(const NetDevice& from, const std::optional<Tunnel>& from_tunnel, const NetDevice& to,
               const std::optional<Tunnel>& to_tunnel, std::uint32_t macs,
               const std::function<std::uint64_t()>& probes) {
  Fd source;
  Fd sink;
  if (auto r = open_raw(from, source); !r) return r;
  if (auto r = open_raw(to, sink); !r) return r;
  const auto probe = make_frame(64, RATE_KIND_PROBE, from_tunnel).bytes;
  const auto give_up = Clock::now() + std::chrono::seconds(10);
  // At least three rounds: a switch may learn a MAC some time after its first frame.
  for (int round = 0; Clock::now() < give_up; ++round) {
    for (std::uint32_t m = 0; m < macs; ++m) {
      send_frame(sink, make_announcement(sink_mac(m), to_tunnel));
      send_frame(source, make_announcement(source_mac(m), from_tunnel));
      if (m % 128 == 127) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    const auto before = probes();
    send_frame(source, probe);
    const auto wait_until = Clock::now() + std::chrono::milliseconds(100);
    while (Clock::now() < wait_until && probes() == before) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    if (round >= 2 && probes() != before) return {};
  }
  return fail(Errc::not_found, "nothing sent on " + from.netns + ":" + from.name + " arrives at " + to.netns + ":" +
                                   to.name + "; is the switch up, and are both its ports?");
}

}  // namespace heddle::bench
