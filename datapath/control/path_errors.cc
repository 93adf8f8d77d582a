// SPDX-License-Identifier: Apache-2.0
#include "datapath/control/path_errors.h"

#include <linux/icmp.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstdint>

namespace heddle::dp {
namespace {

constexpr int kAtOnce = 64;
constexpr int kBuffer = 64 << 10;  // bytes that may wait
constexpr int kSolRaw = 255;       // linux/socket.h: SOL_RAW

Result<Fd> open_v4() {
  Fd fd(socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_ICMP));
  const icmp_filter filter{~(1U << ICMP_DEST_UNREACH)};
  if (!fd || setsockopt(fd.get(), kSolRaw, ICMP_FILTER, &filter, sizeof filter) != 0 ||
      setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUF, &kBuffer, sizeof kBuffer) != 0)
    return fail_errno(errno, "a socket for ICMP errors");
  return fd;
}

Result<Fd> open_v6() {
  Fd fd(socket(AF_INET6, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_ICMPV6));
  if (!fd && errno == EAFNOSUPPORT) return fd;
  icmp6_filter filter;
  ICMP6_FILTER_SETBLOCKALL(&filter);
  ICMP6_FILTER_SETPASS(ICMP6_PACKET_TOO_BIG, &filter);
  if (!fd || setsockopt(fd.get(), IPPROTO_ICMPV6, ICMP6_FILTER, &filter, sizeof filter) != 0 ||
      setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUF, &kBuffer, sizeof kBuffer) != 0)
    return fail_errno(errno, "a socket for ICMPv6 errors");
  return fd;
}

// A raw IPv4 socket gives the IP header as well (raw(7)), an IPv6 one does not (ipv6(7)).
std::optional<packet::TooBig> parse(std::span<const std::uint8_t> data, bool v6) {
  if (v6) return packet::parse_too_big_v6(data);
  const std::size_t header = data.empty() ? 0 : (data[0] & 15U) * 4U;
  if (header > data.size()) return std::nullopt;
  return packet::parse_too_big_v4(data.subspan(header));
}

}  // namespace

Result<std::unique_ptr<PathErrors>> PathErrors::open() {
  std::unique_ptr<PathErrors> errors(new PathErrors());
  for (const bool v6 : {false, true}) {
    auto fd = v6 ? open_v6() : open_v4();
    if (!fd) return std::unexpected(fd.error());
    errors->sockets_[v6 ? 1 : 0] = std::move(*fd);
  }
  return errors;
}

void PathErrors::take(const std::function<void(const packet::TooBig&)>& each) {
  std::array<std::uint8_t, 2048> buffer;  // what is behind has no meaning here
  for (const bool v6 : {false, true}) {
    const Fd& fd = sockets_[v6 ? 1 : 0];
    for (int n = 0; fd && n < kAtOnce; ++n) {
      const ssize_t got = recv(fd.get(), buffer.data(), buffer.size(), 0);
      if (got < 0) break;
      if (const auto error = parse(std::span(buffer).first(static_cast<std::size_t>(got)), v6)) each(*error);
    }
  }
}

}  // namespace heddle::dp
