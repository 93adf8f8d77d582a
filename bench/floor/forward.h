// SPDX-License-Identifier: Apache-2.0
// The forwarder: sends every frame of one port out of the other by passing its memory on. No parsing, no lookups. Owns
// sockets and memory; one thread. Only make() fails.
#pragma once

#include <array>
#include <cstdint>
#include <memory>

#include "bench/floor/xsk.h"

namespace heddle::bench {

struct ForwardOptions {
  std::uint32_t batch = 32;
  bool wrap = false;               // port 0 to 1: prepend 50 constant bytes; port 1 to 0: strip 50
  bool kick_per_batch = false;     // a transmit call after every batch, instead of one per port and round
  std::uint32_t fill = 1024;       // frames in each fill ring; a small set stays in the caches
  bool always_kick = false;        // ignore the ring's wakeup flag
  bool spin = false;               // never sleep
  bool epoll = false;              // sleep in epoll_wait(2), not poll(2)
  std::uint32_t idle_rounds = 64;  // empty rounds before sleeping
};

class Forwarder {
 public:
  static Result<std::unique_ptr<Forwarder>> make(const std::array<NetDevice, 2>& devices, bool huge_pages,
                                                 const XskOptions& sockets, const ForwardOptions& options);
  // Runs until `stop` becomes true (checked between batches and after poll(), which a signal ends).
  void run(const volatile bool& stop);

 private:
  Forwarder(Umem umem, const ForwardOptions& options) : umem_(std::move(umem)), options_(options) {}
  std::uint32_t move_batch(std::size_t from);
  void kick(Xsk& port);
  void recycle(std::size_t from);
  void rewrite(std::size_t from, xdp_desc& frame) const;
  Result<> register_epoll();
  void sleep();

  Umem umem_;
  ForwardOptions options_;
  Fd epoll_;
  std::array<std::unique_ptr<Xsk>, 2> ports_;
};

}  // namespace heddle::bench
