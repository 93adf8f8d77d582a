// SPDX-License-Identifier: Apache-2.0
// A raw AF_XDP socket (Documentation/networking/af_xdp.rst in the kernel tree) on queue 0 of a device, and the packet
// memory that several sockets share. It uses no library, as the baseline for the switch. One thread uses all objects.
// With the object the kernel detaches the program and closes the rings.
#pragma once

#include <linux/if_xdp.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>

#include "base/fd.h"
#include "base/result.h"
#include "bench/support/netns.h"

struct floor_xdp;

namespace heddle::bench {

inline constexpr std::uint32_t kFrameSize = 4096;

// The user side of one of the four rings. Positions are cached, so that the shared cache lines are accessed once per
// batch.
template <typename T>
struct Ring {
  std::uint32_t* producer = nullptr;
  std::uint32_t* consumer = nullptr;
  std::uint32_t* flags = nullptr;
  T* entries = nullptr;
  std::uint32_t size = 0;
  std::uint32_t next = 0;   // the user side's position
  std::uint32_t other = 0;  // the kernel's, as last read

  T& at(std::uint32_t position) { return entries[position & (size - 1)]; }

  // Consumer: number of waiting entries, at most `most`.
  std::uint32_t waiting(std::uint32_t most) {
    if (other - next < most) other = __atomic_load_n(producer, __ATOMIC_ACQUIRE);
    return std::min(other - next, most);
  }
  void consumed(std::uint32_t count) { __atomic_store_n(consumer, next += count, __ATOMIC_RELEASE); }

  // Producer: number of free entries, at most `most`.
  std::uint32_t room(std::uint32_t most) {
    if (size - (next - other) < most) other = __atomic_load_n(consumer, __ATOMIC_ACQUIRE);
    return std::min(size - (next - other), most);
  }
  void produced(std::uint32_t count) { __atomic_store_n(producer, next += count, __ATOMIC_RELEASE); }
  [[nodiscard]] bool needs_wakeup() const {
    return (__atomic_load_n(flags, __ATOMIC_RELAXED) & XDP_RING_NEED_WAKEUP) != 0;
  }
};

// Packet memory; frames are numbered from 0.
class Umem {
 public:
  static Result<Umem> make(std::uint32_t frames, bool huge_pages);
  Umem(Umem&& other) noexcept;
  Umem& operator=(Umem&&) = delete;
  ~Umem();
  [[nodiscard]] std::uint8_t* at(std::uint64_t address) const { return base_ + address; }
  [[nodiscard]] std::uint64_t bytes() const { return bytes_; }

 private:
  Umem(std::uint8_t* base, std::uint64_t bytes) : base_(base), bytes_(bytes) {}
  std::uint8_t* base_;
  std::uint64_t bytes_;
};

struct XskOptions {
  std::uint32_t ring = 2048;
  bool need_wakeup = true;
  bool skb_mode = false;
  int busy_poll_us = 0;  // 0: no busy polling
  int busy_poll_budget = 64;
  int tx_budget = 0;  // frames that the kernel sends per call; 0: its default, 32 (settable since Linux 6.17)
};

class Xsk {
 public:
  // `first`: the socket that registered the memory; null for that socket itself.
  static Result<std::unique_ptr<Xsk>> open(const NetDevice& device, const Umem& umem, const Xsk* first,
                                           const XskOptions& options);
  Xsk() = default;
  Xsk(const Xsk&) = delete;
  Xsk& operator=(const Xsk&) = delete;
  ~Xsk();

  [[nodiscard]] int fd() const { return fd_.get(); }
  Ring<std::uint64_t> fill;
  Ring<std::uint64_t> completion;
  Ring<xdp_desc> rx;
  Ring<xdp_desc> tx;
  std::uint32_t unsent = 0;  // in the tx ring and not completed

 private:
  Result<> set_up(const NetDevice& device, const Umem& umem, const Xsk* first, const XskOptions& o);
  Result<> map_rings(const XskOptions& o);
  Result<> set_busy_poll(const XskOptions& o);
  Result<> attach(const NetDevice& device, const XskOptions& o);
  template <typename T>
  Result<> map_ring(Ring<T>& ring, std::uint32_t size, const xdp_ring_offset& offset, std::uint64_t page);

  Fd fd_;
  Fd link_;
  floor_xdp* bpf_ = nullptr;
};

}  // namespace heddle::bench
