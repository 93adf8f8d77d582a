// SPDX-License-Identifier: Apache-2.0
#include "datapath/user/socket_underlay.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>

#include "base/addr.h"
#include "base/fd.h"
#include "packet/checksum.h"
#include "packet/headers.h"

namespace heddle::dp {
namespace {

constexpr std::size_t kOuterV4 = 14 + 20 + 8;
constexpr std::size_t kOuterV6 = 14 + 40 + 8;
constexpr int kReceiveBuffer = 4 << 20;  // bytes

// What the kernel says of a datagram beside its bytes.
struct Origin {
  IpAddr from;
  IpAddr to;
  std::uint16_t from_port = 0;
  std::uint8_t tos = 0;
  int device = 0;  // ifindex
};

void read_control(msghdr& message, Origin& origin) {
  for (cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(&message, c)) {
    const void* data = CMSG_DATA(c);
    if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
      in_pktinfo info;
      std::memcpy(&info, data, sizeof info);
      origin.to = IpAddr::v4_bytes(&info.ipi_addr);
      origin.device = info.ipi_ifindex;
    } else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TOS) {
      std::memcpy(&origin.tos, data, 1);
    } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
      in6_pktinfo info;
      std::memcpy(&info, data, sizeof info);
      origin.to = IpAddr::v6_bytes(&info.ipi6_addr);
      origin.device = static_cast<int>(info.ipi6_ifindex);
    } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_TCLASS) {
      int tclass = 0;
      std::memcpy(&tclass, data, sizeof tclass);
      origin.tos = static_cast<std::uint8_t>(tclass);
    }
  }
}

// The outer headers as they were, near enough for parse_vxlan(): addresses, ports, TOS and lengths. The UDP checksum is
// 0: the kernel has checked it.
void write_outer(std::uint8_t* at, const Origin& o, bool v6, std::size_t payload, std::uint16_t to_port) {
  packet::EthHeader eth{};
  eth.type = be16(v6 ? packet::kEthIpv6 : packet::kEthIpv4);
  static_assert(sizeof eth.src >= sizeof o.device);
  std::memcpy(eth.src.bytes.data(), &o.device, sizeof o.device);
  std::memcpy(at, &eth, sizeof eth);
  std::uint8_t* ip = at + sizeof eth;
  const auto udp_len = static_cast<std::uint16_t>(payload + 8);
  if (v6) {
    const std::uint8_t first[8] = {
        static_cast<std::uint8_t>(0x60 | o.tos >> 4), static_cast<std::uint8_t>(o.tos << 4), 0,           0,
        static_cast<std::uint8_t>(udp_len >> 8),      static_cast<std::uint8_t>(udp_len),    IPPROTO_UDP, 64};
    std::memcpy(ip, first, 8);
    std::memcpy(ip + 8, o.from.data(), 16);
    std::memcpy(ip + 24, o.to.data(), 16);
  } else {
    const std::size_t total = udp_len + 20U;
    const std::uint8_t first[12] = {0x45,
                                    o.tos,
                                    static_cast<std::uint8_t>(total >> 8),
                                    static_cast<std::uint8_t>(total),
                                    0,
                                    0,
                                    0,
                                    0,
                                    64,
                                    IPPROTO_UDP,
                                    0,
                                    0};
    std::memcpy(ip, first, 12);
    std::memcpy(ip + 12, o.from.data(), 4);
    std::memcpy(ip + 16, o.to.data(), 4);
    const Be16 sum = packet::ipv4_header_checksum(ip, 20);
    std::memcpy(ip + 10, &sum, sizeof sum);
  }
  std::uint8_t* udp = ip + (v6 ? 40 : 20);
  const std::uint16_t words[4] = {htons(o.from_port), htons(to_port), htons(udp_len), 0};
  std::memcpy(udp, words, 8);
}

bool is_group(const std::uint8_t* ip, bool v6) { return v6 ? ip[24] == 0xff : (ip[16] & 0xf0) == 0xe0; }

// The control message that names the device of a packet to a group (ip(7), ipv6(7)): no route does.
class Egress {
 public:
  void choose(msghdr& message, bool v6, int ifindex) {
    message.msg_control = control_.data();
    message.msg_controllen = control_.size();
    cmsghdr* c = CMSG_FIRSTHDR(&message);
    if (v6) {
      in6_pktinfo info{};
      info.ipi6_ifindex = static_cast<unsigned>(ifindex);
      put(message, *c, IPPROTO_IPV6, IPV6_PKTINFO, info);
    } else {
      in_pktinfo info{};
      info.ipi_ifindex = ifindex;
      put(message, *c, IPPROTO_IP, IP_PKTINFO, info);
    }
  }

 private:
  template <typename Info>
  static void put(msghdr& message, cmsghdr& c, int level, int type, const Info& info) {
    c.cmsg_level = level;
    c.cmsg_type = type;
    c.cmsg_len = CMSG_LEN(sizeof info);
    std::memcpy(CMSG_DATA(&c), &info, sizeof info);
    message.msg_controllen = CMSG_SPACE(sizeof info);
  }
  alignas(cmsghdr) std::array<char, 64> control_{};
};

class Underlay final : public PortIo {
 public:
  Underlay(Fd receiver, Fd sender, std::uint16_t port, bool v6)
      : receiver_(std::move(receiver)), sender_(std::move(sender)), port_(port), v6_(v6) {}

  void receive(unsigned queue, FrameCache& cache, Batch& batch, WorkerCounters& counters) override;
  void send(unsigned queue, FrameCache& cache, std::span<const FrameRef> frames, WorkerCounters& counters) override;
  [[nodiscard]] unsigned queues() const override { return 1; }
  [[nodiscard]] int fd(unsigned /*queue*/) const override { return receiver_.get(); }
  [[nodiscard]] bool cheap_to_poll() const override { return false; }
  [[nodiscard]] bool takes_partial() const override { return false; }
  [[nodiscard]] std::vector<std::pair<std::string, std::string>> info() const override { return {{"io", "socket"}}; }

 private:
  bool read_one(FrameCache& cache, Batch& batch, WorkerCounters& counters);
  std::optional<Drop> send_one(FrameCache& cache, FrameRef frame);
  Fd receiver_, sender_;
  std::uint16_t port_;
  bool v6_;
};

bool Underlay::read_one(FrameCache& cache, Batch& batch, WorkerCounters& counters) {
  const FrameRef f = cache.alloc();
  if (f == kNoFrame) {
    counters.drop(Drop::no_frame);
    return false;
  }
  sockaddr_storage from{};
  const std::size_t outer = v6_ ? kOuterV6 : kOuterV4;
  iovec part{cache.data(f) + outer, limits::kFrameSize - limits::kFrameHeadroom - outer};
  alignas(cmsghdr) std::array<char, 256> control;
  msghdr message{};
  message.msg_name = &from;
  message.msg_namelen = sizeof from;
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  const ssize_t got = recvmsg(receiver_.get(), &message, MSG_DONTWAIT);
  if (got < 0 || (message.msg_flags & MSG_TRUNC) != 0) {
    cache.free_one(f);
    if (got >= 0) counters.drop(Drop::oversize);
    return got >= 0;
  }
  Origin origin;
  read_control(message, origin);
  if (v6_) {
    const auto& a = reinterpret_cast<const sockaddr_in6&>(from);
    origin.from = IpAddr::v6_bytes(&a.sin6_addr);
    origin.from_port = ntohs(a.sin6_port);
  } else {
    const auto& a = reinterpret_cast<const sockaddr_in&>(from);
    origin.from = IpAddr::v4_bytes(&a.sin_addr);
    origin.from_port = ntohs(a.sin_port);
  }
  FrameMeta& m = cache.meta(f);
  m.len = static_cast<std::uint16_t>(static_cast<std::size_t>(got) + outer);
  m.total = m.len;
  m.maybe_partial = true;
  write_outer(cache.data(f), origin, v6_, static_cast<std::size_t>(got), port_);
  batch.frames[batch.n++] = f;
  return true;
}

void Underlay::receive(unsigned /*queue*/, FrameCache& cache, Batch& batch, WorkerCounters& counters) {
  // Bounded by the batch even when every datagram is thrown away.
  for (std::size_t i = 0; i < batch.frames.size() && batch.n < batch.frames.size(); ++i) {
    if (!read_one(cache, batch, counters)) break;
  }
}

// The reason when the kernel refuses the frame.
std::optional<Drop> Underlay::send_one(FrameCache& cache, FrameRef frame) {
  constexpr std::size_t kEth = 14;
  const std::uint8_t* ip = cache.data(frame) + kEth;
  sockaddr_storage to{};
  socklen_t to_len = sizeof(sockaddr_in);
  if (v6_) {
    auto& a = reinterpret_cast<sockaddr_in6&>(to);
    a.sin6_family = AF_INET6;
    std::memcpy(&a.sin6_addr, ip + 24, 16);
    to_len = sizeof a;
  } else {
    auto& a = reinterpret_cast<sockaddr_in&>(to);
    a.sin_family = AF_INET;
    std::memcpy(&a.sin_addr, ip + 16, 4);
  }
  std::array<iovec, limits::kFrameChain> parts;
  std::size_t n = 0;
  for (FrameRef f = frame; f != kNoFrame && n < parts.size(); f = cache.meta(f).next, ++n)
    parts[n] = {cache.data(f), cache.meta(f).len};
  parts[0].iov_base = static_cast<std::uint8_t*>(parts[0].iov_base) + kEth;
  parts[0].iov_len -= kEth;
  Egress egress;
  msghdr message{};
  message.msg_name = &to;
  message.msg_namelen = to_len;
  message.msg_iov = parts.data();
  message.msg_iovlen = n;
  if (is_group(cache.data(frame) + kEth, v6_)) egress.choose(message, v6_, arrival_device(cache.data(frame)));
  if (sendmsg(sender_.get(), &message, MSG_DONTWAIT) >= 0) return std::nullopt;
  switch (errno) {
    case EMSGSIZE:
      return Drop::tunnel_mtu;
    case ENETUNREACH:
    case EHOSTUNREACH:
    case EADDRNOTAVAIL:
      return Drop::no_route;
    case EAGAIN:
    case ENOBUFS:
      return Drop::tx_queue_full;
    default:
      return Drop::tx_error;
  }
}

void Underlay::send(unsigned /*queue*/, FrameCache& cache, std::span<const FrameRef> frames, WorkerCounters& counters) {
  for (const FrameRef frame : frames) {
    const std::uint32_t size = cache.meta(frame).total;
    const auto refused = send_one(cache, frame);
    cache.free_chain(frame);
    if (refused) {
      counters.drop(*refused);
      continue;
    }
    counters.tx_packets.add(1);
    counters.tx_bytes.add(size);
  }
}

Result<Fd> open_receiver(std::uint16_t port, bool v6) {
  Fd fd(socket(v6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const std::string what = "UDP port " + std::to_string(port) + (v6 ? " (IPv6)" : "");
  if (!fd) return fail_errno(errno, what);
  const int on = 1;
  bool ok = setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUFFORCE, &kReceiveBuffer, sizeof kReceiveBuffer) == 0;
  sockaddr_storage to{};
  if (v6) {
    ok = ok && setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) == 0 &&
         setsockopt(fd.get(), IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof on) == 0 &&
         setsockopt(fd.get(), IPPROTO_IPV6, IPV6_RECVTCLASS, &on, sizeof on) == 0;
#ifdef UDP_NO_CHECK6_RX
#else
    constexpr int UDP_NO_CHECK6_RX = 102;  // include/uapi/linux/udp.h
#endif
    // RFC 6935 section 5: a tunnel may send without UDP checksum over IPv6.
    ok = ok && setsockopt(fd.get(), IPPROTO_UDP, UDP_NO_CHECK6_RX, &on, sizeof on) == 0;
    auto& a = reinterpret_cast<sockaddr_in6&>(to);
    a.sin6_family = AF_INET6;
    a.sin6_port = htons(port);
  } else {
    ok = ok && setsockopt(fd.get(), IPPROTO_IP, IP_PKTINFO, &on, sizeof on) == 0 &&
         setsockopt(fd.get(), IPPROTO_IP, IP_RECVTOS, &on, sizeof on) == 0;
    auto& a = reinterpret_cast<sockaddr_in&>(to);
    a.sin_family = AF_INET;
    a.sin_port = htons(port);
  }
  if (!ok) return fail_errno(errno, what);
  if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&to), v6 ? sizeof(sockaddr_in6) : sizeof(sockaddr_in)) != 0) {
    if (errno == EADDRINUSE)
      return fail(Errc::exists, what +
                                    " is taken by something else on this host, perhaps a kernel vxlan device: remove "
                                    "it, or set another options:dst_port");
    return fail_errno(errno, what);
  }
  return fd;
}

}  // namespace

int arrival_device(const std::uint8_t* frame) {
  int device = 0;
  std::memcpy(&device, frame + offsetof(packet::EthHeader, src), sizeof device);
  return device;
}

MacAddr egress_mark(int ifindex) {
  MacAddr mark;
  static_assert(sizeof mark >= sizeof ifindex);
  std::memcpy(mark.bytes.data(), &ifindex, sizeof ifindex);
  return mark;
}

Result<std::unique_ptr<PortIo>> SocketUnderlay::open(std::uint16_t udp_port, bool v6) {
  auto receiver = open_receiver(udp_port, v6);
  if (!receiver) return std::unexpected(receiver.error());
  // IPPROTO_RAW: the frames carry their own IP header, for IPv6 too (raw(7), ipv6(7)).
  Fd sender(socket(v6 ? AF_INET6 : AF_INET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_RAW));
  if (!sender) return fail_errno(errno, "raw socket");
  // What goes to a group does not come back, although the host is a member.
  const int off = 0;
  if (setsockopt(sender.get(), v6 ? IPPROTO_IPV6 : IPPROTO_IP, v6 ? IPV6_MULTICAST_LOOP : IP_MULTICAST_LOOP, &off,
                 sizeof off) != 0)
    return fail_errno(errno, "raw socket");
  return std::make_unique<Underlay>(std::move(*receiver), std::move(sender), udp_port, v6);
}

}  // namespace heddle::dp
