// SPDX-License-Identifier: Apache-2.0
#include "bench/floor/forward.h"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

namespace heddle::bench {
namespace {

constexpr std::uint32_t kHeader = 50;  // Ethernet, IPv4, UDP and VXLAN

// To 02:00:00:00:00:02, 192.0.2.1 > 192.0.2.2, UDP 4789, VNI 10. Lengths and the IP checksum stay zero: the far end of
// the benchmark checks the inner frame only.
constexpr std::array<std::uint8_t, kHeader> kOuter = {
    2, 0,   0, 0, 0, 2,   2, 0, 0, 0,    0, 1,    8,    0, 0x45, 0, 0, 0, 0, 0, 0, 0, 64, 17, 0,
    0, 192, 0, 2, 1, 192, 0, 2, 2, 0xc0, 0, 0x12, 0xb5, 0, 0,    0, 0, 8, 0, 0, 0, 0, 0,  10, 0};

}  // namespace

Result<std::unique_ptr<Forwarder>> Forwarder::make(const std::array<NetDevice, 2>& devices, bool huge_pages,
                                                   const XskOptions& sockets, const ForwardOptions& options) {
  auto umem = Umem::make(options.fill * 2, huge_pages);
  if (!umem) return std::unexpected(umem.error());
  std::unique_ptr<Forwarder> f(new Forwarder(std::move(*umem), options));
  for (std::size_t i = 0; i < 2; ++i) {
    auto port = Xsk::open(devices[i], f->umem_, i == 0 ? nullptr : f->ports_[0].get(), sockets);
    if (!port) return std::unexpected(port.error());
    f->ports_[i] = std::move(*port);
    auto& fill = f->ports_[i]->fill;
    for (std::uint32_t n = 0; n < options.fill; ++n) fill.at(n) = std::uint64_t{i * options.fill + n} * kFrameSize;
    fill.produced(options.fill);
  }
  if (options.epoll)
    if (auto r = f->register_epoll(); !r) return std::unexpected(r.error());
  return f;
}

Result<> Forwarder::register_epoll() {
  epoll_.reset(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll_) return fail_errno(errno, "epoll");
  for (auto& port : ports_) {
    epoll_event event{.events = EPOLLIN, .data = {}};
    if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, port->fd(), &event) != 0) return fail_errno(errno, "epoll");
  }
  return {};
}

void Forwarder::rewrite(std::size_t from, xdp_desc& frame) const {
  if (from == 0) {  // the kernel leaves XDP_PACKET_HEADROOM (256 bytes) before a received frame
    frame.addr -= kHeader;
    frame.len += kHeader;
    std::memcpy(umem_.at(frame.addr), kOuter.data(), kHeader);
  } else if (frame.len > kHeader) {
    frame.addr += kHeader;
    frame.len -= kHeader;
  }
}

std::uint32_t Forwarder::move_batch(std::size_t from) {
  Xsk& in = *ports_[from];
  Xsk& out = *ports_[1 - from];
  std::uint32_t count = in.rx.waiting(options_.batch);
  if (count != 0) count = out.tx.room(count);
  for (std::uint32_t i = 0; i < count; ++i) {
    xdp_desc frame = in.rx.at(in.rx.next + i);
    if (options_.wrap) rewrite(from, frame);
    out.tx.at(out.tx.next + i) = {frame.addr, frame.len, 0};
  }
  if (count != 0) {
    out.tx.produced(count);
    in.rx.consumed(count);
    out.unsent += count;
    if (options_.kick_per_batch) kick(out);
  }
  recycle(from);
  return count;
}

// In copy mode the system call sends the frames, 32 at most (Documentation/networking/af_xdp.rst).
void Forwarder::kick(Xsk& port) {
  const bool waiting = port.tx.room(port.tx.size) != port.tx.size;
  if (waiting && (options_.always_kick || port.tx.needs_wakeup()))
    (void)::sendto(port.fd(), nullptr, 0, MSG_DONTWAIT, nullptr, 0);
}

// Returns frames that were sent by the other port to the fill ring of their port.
void Forwarder::recycle(std::size_t from) {
  Xsk& in = *ports_[from];
  Xsk& out = *ports_[1 - from];
  const std::uint32_t count = out.completion.waiting(in.fill.size);
  if (count == 0) return;
  for (std::uint32_t i = 0; i < count; ++i)
    in.fill.at(in.fill.next + i) = out.completion.at(out.completion.next + i) & ~std::uint64_t{kFrameSize - 1};
  in.fill.produced(count);
  out.completion.consumed(count);
  out.unsent -= count;
}

// The completion of a frame that a receiver held does not end poll(): a time-out keeps the fill rings from running
// empty.
void Forwarder::sleep() {
  const int patience = ports_[0]->unsent + ports_[1]->unsent != 0 ? 1 : -1;
  if (options_.epoll) {
    std::array<epoll_event, 2> events{};
    ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), patience);
    return;
  }
  std::array<pollfd, 2> wait{};
  for (std::size_t i = 0; i < 2; ++i) wait[i] = {ports_[i]->fd(), POLLIN, 0};
  ::poll(wait.data(), wait.size(), patience);
}

void Forwarder::run(const volatile bool& stop) {
  std::uint32_t idle = 0;
  while (!stop) {
    const std::uint32_t moved = move_batch(0) + move_batch(1);
    bool sending = false;
    for (auto& port : ports_) {
      kick(*port);
      sending = sending || port->tx.room(port->tx.size) != port->tx.size;
    }
    if (moved != 0 || sending || options_.spin) {
      idle = 0;
    } else if (++idle >= options_.idle_rounds) {
      sleep();
      idle = 0;
    }
  }
}

}  // namespace heddle::bench
