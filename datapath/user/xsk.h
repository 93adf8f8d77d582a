// SPDX-License-Identifier: Apache-2.0
// One AF_XDP socket, bound to one queue of one device, over the shared packet memory. Set up by system calls rather
// than by libxdp: sockets come and go in any order here, while libxdp ties the memory to the first socket for ever
// (docs/adr/0002). Source: Documentation/networking/af_xdp.rst; copy mode, so that one memory serves devices of every
// kind.
//
// There are two kinds: sockets that share the pool's memory, so that a frame moves from port to port without a copy,
// and sockets with a little memory of their own, because the kernel's cost of a shared one grows with the whole memory.
#pragma once

#include <linux/if_xdp.h>

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/fd.h"
#include "base/result.h"
#include "datapath/user/counters.h"
#include "datapath/user/frames.h"
#include "datapath/user/socket_reaper.h"

namespace heddle::dp {

class Xsk;

// What the kernel could be had to give.
struct XskFeatures {
  bool multi_buffer = false;
  bool tx_metadata = false;
};

// Knows the live sockets. Those that share the packet memory: the first registers it, later ones share it with any live
// one. Control thread.
class XskFactory {
 public:
  // Sharing is for the first so many queues: for each of them the kernel keeps 120 bytes for every buffer of the whole
  // memory (struct xdp_buff_xsk of each pool, net/xdp/xsk_buff_pool.c), 4 MB with limits::kFrames.
  static constexpr unsigned kSharers = 32;

  explicit XskFactory(FramePool& pool) : pool_(pool) {}
  struct Place {
    int ifindex = 0;
    unsigned queue = 0;
    std::string device;
    unsigned mtu = 0;  // of the device
  };
  // Fills the receive side with up to `fill` buffers from the pool (fewer when memory is short). 0: the socket does not
  // share the pool's memory but has a little of its own, and every frame is copied on its way in and out.
  Result<std::unique_ptr<Xsk>> open(const Place& place, std::size_t fill);

 private:
  friend class Xsk;
  Result<std::uint16_t> free_owner();
  Result<> bind_to(int fd, const sockaddr_xdp& to, const Place& place);
  Result<> bind_first(int fd, const Place& place, XskFeatures& features);
  void remember_closed(int ifindex);
  Result<> open_alone(Xsk& xsk, const Place& place);
  Result<> share(Xsk& xsk, const Place& place, std::size_t fill);
  FramePool& pool_;
  std::vector<Xsk*> live_;
  std::uint16_t last_owner_ = 0;
  XskFeatures features_;             // of the shared memory
  SocketReaper reaper_;              // of sockets that do not share it
  std::map<int, TimePoint> closed_;  // by device: when a socket of ours was closed, lately
};

// class-size: four rings of a socket, each with its mapping and its cursors
class Xsk {
 public:
  ~Xsk();  // control; no worker may know the socket any more
  Xsk(const Xsk&) = delete;
  Xsk& operator=(const Xsk&) = delete;

  [[nodiscard]] int fd() const { return fd_.get(); }
  [[nodiscard]] const XskFeatures& features() const { return features_; }
  [[nodiscard]] bool shares_memory() const { return own_ == nullptr; }

  // --- the owning worker ---
  void receive(FrameCache& cache, Batch& batch);
  // Returns how many of `frames` were taken; the caller keeps the rest.
  std::size_t send(FrameCache& cache, std::span<const FrameRef> frames);
  [[nodiscard]] bool pending() const;  // frames in the ring that the kernel has not taken
  void nudge(FrameCache& cache);       // asks the kernel to take them, and collects what it has finished

  // Any thread: frames lost on receive since the socket was opened.
  [[nodiscard]] std::uint64_t rx_lost() const;

 private:
  friend class XskFactory;
  // Of a socket with memory of its own: buffers to receive, then buffers to send.
  static constexpr std::uint32_t kOwnReceive = 64;
  static constexpr std::uint32_t kOwnSend = 64;
  static constexpr std::uint32_t kOwnRing = 64;  // entries of each ring
  // Size of a buffer where all frames of the device fit: the least that the kernel takes (XDP_UMEM_MIN_CHUNK_SIZE).
  static constexpr std::uint32_t kSmall = 2048;
  static constexpr std::uint32_t kSendLead = 64;  // before the data, for what the kernel is told of the frame
  static_assert(kOwnRing >= kOwnReceive && kOwnRing >= kOwnSend && (kOwnRing & (kOwnRing - 1)) == 0);

  struct Ring {
    void* map = nullptr;
    std::size_t map_size = 0;
    std::uint32_t* producer = nullptr;
    std::uint32_t* consumer = nullptr;
    void* entries = nullptr;
    std::uint32_t cached_producer = 0;
    std::uint32_t cached_consumer = 0;
  };
  Xsk(XskFactory& factory, Fd fd, std::uint16_t owner) : factory_(factory), fd_(std::move(fd)), owner_(owner) {}
  [[nodiscard]] std::size_t own_bytes() const { return std::size_t{kOwnReceive + kOwnSend} * frame_size_; }
  Result<> take_memory();
  Result<> set_up_rings(std::uint32_t entries);
  Result<> map_ring(Ring& ring, const xdp_ring_offset& at, std::uint64_t page_offset, std::size_t entry_size);
  void first_fill(std::size_t n);
  void fill_own();
  void fill(FrameCache& cache, std::size_t n);
  FrameRef take(FrameCache& cache, const xdp_desc& d);
  void accept(FrameCache& cache, Batch& batch, FrameRef f, bool more);
  void collect(FrameCache& cache);
  bool has_room(std::uint32_t buffers);
  bool put(FrameCache& cache, FrameRef frame);
  [[nodiscard]] std::uint32_t descriptors(FrameCache& cache, FrameRef frame) const;
  void put_copy(const std::uint8_t* data, const FrameMeta& m);
  void describe(std::uint64_t address, std::uint32_t len, bool more, const FrameMeta* checksum);
  bool kick();

  XskFactory& factory_;
  Fd fd_;
  int ifindex_ = 0;  // 0: not bound yet
  std::uint16_t owner_;
  std::uint32_t mask_ = 0;  // of the rings
  XskFeatures features_;
  Ring rx_, tx_, fill_, done_;
  std::size_t fill_missing_ = 0;     // buffers the fill ring lacks because memory was short
  FrameRef chain_first_ = kNoFrame;  // a frame whose last buffer has not come yet
  FrameRef chain_last_ = kNoFrame;
  bool skipping_ = false;  // the rest of a frame that could not be taken
  Counter lost_;           // such frames
  // Memory of its own; null: the pool's.
  std::uint8_t* own_ = nullptr;
  std::uint32_t frame_size_ = limits::kFrameSize;  // of a buffer in the memory that it uses
  std::vector<std::uint64_t> sendable_;            // addresses of free buffers to send
};

}  // namespace heddle::dp
