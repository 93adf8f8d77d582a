// SPDX-License-Identifier: Apache-2.0
// Packet memory of the user-space datapath: one region of equal buffers that the first AF_XDP sockets share (the UMEM
// of Documentation/networking/af_xdp.rst), so that a frame moves from port to port without a copy. A frame is a chain
// of one or more buffers, named by the index of the first.
//
// Ownership: a buffer belongs to the shared pool, to one worker, or to one socket's rings (set_owner() says which
// socket, so that the buffers of a closed socket can be reclaimed). Only the owner touches a buffer or its FrameMeta.
#pragma once

#include <sys/uio.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/limits.h"
#include "base/result.h"

namespace heddle::dp {

using FrameRef = std::uint32_t;
inline constexpr FrameRef kNoFrame = 0xffffffff;

struct FrameMeta {
  FrameRef next = kNoFrame;      // the chain's next buffer
  std::uint32_t total = 0;       // bytes of the whole chain; first buffer only
  std::uint16_t offset = 0;      // of the data in the buffer
  std::uint16_t len = 0;         // bytes in this buffer
  std::uint16_t owner = 0;       // 0, or the number of the socket whose rings hold it
  std::uint16_t csum_start = 0;  // partial checksum to be completed by the receiver: from here on, 0 = none
  std::uint8_t csum_offset = 0;  // where it is stored, relative to csum_start
  bool maybe_partial = false;    // came from a virtual device: its L4 checksum may be unfinished
  bool to_be_cut = false;        // larger than its sender's MTU: a segment for the sender's card to cut (TSO)
};

// At most kBatch frames on their way through a worker.
struct Batch {
  std::uint32_t n = 0;
  std::array<FrameRef, limits::kBatch> frames;
};

class FramePool {
 public:
  static Result<> check(std::size_t frames);  // whether it is a number that create() takes
  static Result<std::unique_ptr<FramePool>> create(std::size_t frames);
  ~FramePool();
  FramePool(const FramePool&) = delete;
  FramePool& operator=(const FramePool&) = delete;

  [[nodiscard]] std::uint8_t* memory() const { return memory_; }
  [[nodiscard]] std::size_t memory_size() const { return count_ * limits::kFrameSize; }
  [[nodiscard]] std::size_t count() const { return count_; }
  [[nodiscard]] FrameMeta& meta(FrameRef f) { return meta_[f]; }
  [[nodiscard]] std::uint8_t* buffer(FrameRef f) const { return memory_ + std::size_t{f} * limits::kFrameSize; }
  [[nodiscard]] std::uint8_t* data(FrameRef f) { return buffer(f) + meta_[f].offset; }

  // The number of the socket whose rings hold the buffer; 0 = none.
  void set_owner(FrameRef f, std::uint16_t socket) { owners_[f].store(socket, std::memory_order_relaxed); }
  [[nodiscard]] std::uint16_t owner(FrameRef f) const { return owners_[f].load(std::memory_order_relaxed); }

  // Any thread, no lock: a bounded queue of bundles (D. Vyukov's scheme). Bundles are always full.
  static constexpr std::size_t kBundle = 32;
  using Bundle = std::array<FrameRef, kBundle>;
  bool take(Bundle& out);
  void give(const Bundle& in);

  // Control thread: returns every buffer that socket `owner` holds to the pool. The socket must be closed and no worker
  // may know it any more.
  void reclaim(std::uint16_t owner);

 private:
  FramePool() = default;
  struct Cell {
    std::atomic<std::size_t> sequence;
    Bundle bundle;
  };
  std::uint8_t* memory_ = nullptr;
  std::size_t count_ = 0;
  std::unique_ptr<FrameMeta[]> meta_;
  std::unique_ptr<std::atomic<std::uint16_t>[]> owners_;
  std::unique_ptr<Cell[]> cells_;
  std::size_t mask_ = 0;
  alignas(64) std::atomic<std::size_t> head_{0};
  alignas(64) std::atomic<std::size_t> tail_{0};
  std::vector<FrameRef> leftover_;  // control: fewer than a bundle
};

// A worker's own stock of buffers. One thread.
class FrameCache {
 public:
  explicit FrameCache(FramePool& pool) : pool_(pool) { stack_.reserve(4 * FramePool::kBundle); }
  [[nodiscard]] FramePool& pool() { return pool_; }
  [[nodiscard]] FrameMeta& meta(FrameRef f) { return pool_.meta(f); }
  [[nodiscard]] std::uint8_t* data(FrameRef f) { return pool_.data(f); }

  // One buffer with its metadata reset and headroom in front, or kNoFrame when memory is exhausted.
  FrameRef alloc();
  // The same without touching the metadata, for fill rings.
  FrameRef alloc_raw();
  void free_one(FrameRef f);
  void free_chain(FrameRef f);
  // A copy of the chain with full headroom; kNoFrame when memory is exhausted.
  FrameRef copy(FrameRef f);

 private:
  FramePool& pool_;
  std::vector<FrameRef> stack_;
};

}  // namespace heddle::dp
