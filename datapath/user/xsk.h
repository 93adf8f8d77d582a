// One AF_XDP socket, bound to one queue of one device, over the shared packet memory. Set up by system calls rather
// than by libxdp: sockets come and go in any order here, while libxdp ties the memory to the first socket for ever
// (docs/adr/0002). Source: Documentation/networking/af_xdp.rst; copy mode, so that one memory serves devices of every
// kind.
#pragma once

#include <linux/if_xdp.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "datapath/user/counters.h"
#include "datapath/user/frames.h"

namespace heddle::dp {

class Xsk;

// Knows the live sockets of one packet memory: the first registers the memory, later ones share it with any live one.
// Control thread.
class XskFactory {
 public:
  explicit XskFactory(FramePool& pool) : pool_(pool) {}
  // Fills the receive side with up to `fill` buffers from the pool (fewer when memory is short).
  Result<std::unique_ptr<Xsk>> open(int ifindex, unsigned queue, const std::string& device, std::size_t fill);
  [[nodiscard]] bool multi_buffer() const { return multi_buffer_; }
  [[nodiscard]] bool tx_metadata() const { return tx_metadata_; }

 private:
  friend class Xsk;
  Result<std::uint16_t> free_owner();
  Result<> register_memory(int fd);
  Result<> bind_first(int fd, int ifindex, unsigned queue, const std::string& device);
  FramePool& pool_;
  std::vector<Xsk*> live_;
  std::uint16_t last_owner_ = 0;
  bool multi_buffer_ = false;
  bool tx_metadata_ = false;
};

class Xsk {
 public:
  ~Xsk();  // control; no worker may know the socket any more
  Xsk(const Xsk&) = delete;
  Xsk& operator=(const Xsk&) = delete;

  [[nodiscard]] int fd() const { return fd_.get(); }

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
  Result<> set_up_rings();
  Result<> map_ring(Ring& ring, const xdp_ring_offset& at, std::uint64_t page_offset, std::size_t entry_size);
  void first_fill(std::size_t n);
  void fill(FrameCache& cache, std::size_t n);
  void collect(FrameCache& cache);
  bool put(FrameCache& cache, FrameRef frame);
  bool kick();

  XskFactory& factory_;
  Fd fd_;
  std::uint16_t owner_;
  Ring rx_, tx_, fill_, done_;
  std::size_t fill_missing_ = 0;     // buffers the fill ring lacks because memory was short
  FrameRef chain_first_ = kNoFrame;  // a frame whose last buffer has not come yet
  FrameRef chain_last_ = kNoFrame;
  bool chain_too_long_ = false;
  Counter long_chains_;
};

}  // namespace heddle::dp
