// SPDX-License-Identifier: Apache-2.0
#include "datapath/user/xsk.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "datapath/user/xsk_abi.h"

namespace heddle::dp {
namespace {

// Descriptors of one frame: what has more the kernel drops, and never gives its buffers back (MAX_SKB_FRAGS and one).
constexpr std::uint32_t kMostPieces = 18;

}  // namespace

// Whole bundles, straight from the pool, so that the control thread needs no stock of its own.
void Xsk::first_fill(std::size_t n) {
  auto* entries = static_cast<std::uint64_t*>(fill_.entries);
  fill_missing_ = n;
  for (FramePool::Bundle bundle; fill_missing_ >= bundle.size() && factory_.pool_.take(bundle);) {
    for (const FrameRef f : bundle) {
      factory_.pool_.set_owner(f, owner_);
      entries[fill_.cached_producer++ & mask_] = std::uint64_t{f} * limits::kFrameSize;
    }
    fill_missing_ -= bundle.size();
  }
  store(fill_.producer, fill_.cached_producer);
}

void Xsk::fill(FrameCache& cache, std::size_t n) {
  auto* entries = static_cast<std::uint64_t*>(fill_.entries);
  std::size_t done = 0;
  for (; done < n; ++done) {
    const FrameRef f = cache.alloc_raw();
    if (f == kNoFrame) break;
    factory_.pool_.set_owner(f, owner_);
    entries[fill_.cached_producer++ & mask_] = std::uint64_t{f} * limits::kFrameSize;
  }
  fill_missing_ -= done;
  if (done > 0) store(fill_.producer, fill_.cached_producer);
}

void Xsk::fill_own() {
  auto* entries = static_cast<std::uint64_t*>(fill_.entries);
  for (std::uint64_t n = 0; n < kOwnReceive; ++n) entries[fill_.cached_producer++ & mask_] = n * frame_size_;
  store(fill_.producer, fill_.cached_producer);
  for (std::uint64_t n = 0; n < kOwnSend; ++n) sendable_.push_back((kOwnReceive + n) * frame_size_);
}

// A received buffer as one of the pool's. kNoFrame: there is none left to copy it to.
FrameRef Xsk::take(FrameCache& cache, const xdp_desc& d) {
  FrameRef f = static_cast<FrameRef>(d.addr / limits::kFrameSize);
  std::size_t offset = d.addr & (frame_size_ - 1);  // a power of two; a division costs more than the rest
  if (own_ == nullptr) {
    factory_.pool_.set_owner(f, 0);
  } else {
    auto* entries = static_cast<std::uint64_t*>(fill_.entries);
    entries[fill_.cached_producer++ & mask_] = d.addr - offset;
    f = cache.alloc_raw();
    if (f == kNoFrame) return f;
    offset = std::min(offset, limits::kFrameHeadroom);
    std::memcpy(factory_.pool_.buffer(f) + offset, own_ + d.addr, d.len);
  }
  FrameMeta& m = cache.meta(f);
  m = FrameMeta{};
  m.offset = static_cast<std::uint16_t>(offset);
  m.len = static_cast<std::uint16_t>(d.len);
  m.total = d.len;
  return f;
}

// One buffer of a frame that has several, or that could not be taken.
void Xsk::accept(FrameCache& cache, Batch& batch, FrameRef f, bool more) {
  const auto refuse = [&] {
    cache.free_chain(f);
    cache.free_chain(std::exchange(chain_first_, kNoFrame));
    skipping_ = more;
    if (!more) lost_.add(1);
  };
  const std::size_t most = limits::kFrameChain * (frame_size_ - limits::kFrameHeadroom);
  if (skipping_ || f == kNoFrame) return refuse();
  if (chain_first_ == kNoFrame) {
    chain_first_ = f;
  } else {
    FrameMeta& first = cache.meta(chain_first_);
    if (first.total + cache.meta(f).len > most) return refuse();
    cache.meta(chain_last_).next = f;
    first.total += cache.meta(f).len;
  }
  chain_last_ = f;
  if (!more) batch.frames[batch.n++] = std::exchange(chain_first_, kNoFrame);
}

void Xsk::receive(FrameCache& cache, Batch& batch) {
  const std::uint32_t ready = load(rx_.producer) - rx_.cached_consumer;
  if (ready == 0) {
    if (fill_missing_ > 0) fill(cache, fill_missing_);
    return;
  }
  const auto* entries = static_cast<const xdp_desc*>(rx_.entries);
  std::uint32_t taken = 0;
  while (taken < ready && batch.n < batch.frames.size()) {
    const xdp_desc& d = entries[(rx_.cached_consumer + taken) & mask_];
    ++taken;
    const bool more = (d.options & kXdpPacketContinues) != 0;
    const FrameRef f = take(cache, d);
    if (more || f == kNoFrame || chain_first_ != kNoFrame || skipping_) {
      accept(cache, batch, f, more);
    } else {
      batch.frames[batch.n++] = f;
    }
  }
  rx_.cached_consumer += taken;
  store(rx_.consumer, rx_.cached_consumer);
  if (own_ != nullptr) return store(fill_.producer, fill_.cached_producer);
  fill_missing_ += taken;
  fill(cache, fill_missing_);
}

void Xsk::collect(FrameCache& cache) {
  const std::uint32_t ready = load(done_.producer) - done_.cached_consumer;
  if (ready == 0) return;
  const auto* entries = static_cast<const std::uint64_t*>(done_.entries);
  for (std::uint32_t i = 0; i < ready; ++i) {
    const std::uint64_t address = entries[(done_.cached_consumer + i) & mask_];
    if (own_ != nullptr) {
      sendable_.push_back(address & ~std::uint64_t{frame_size_ - 1});
      continue;
    }
    const auto f = static_cast<FrameRef>(address / limits::kFrameSize);
    factory_.pool_.set_owner(f, 0);
    cache.free_one(f);
  }
  done_.cached_consumer += ready;
  store(done_.consumer, done_.cached_consumer);
}

bool Xsk::has_room(std::uint32_t buffers) {
  if (own_ != nullptr && sendable_.size() < buffers) return false;
  if (mask_ + 1 - (tx_.cached_producer - tx_.cached_consumer) >= buffers) return true;
  tx_.cached_consumer = load(tx_.consumer);
  return mask_ + 1 - (tx_.cached_producer - tx_.cached_consumer) >= buffers;
}

// How many of them a frame takes: one for each buffer of the pool's, or of the socket's own that they are copied to.
std::uint32_t Xsk::descriptors(FrameCache& cache, FrameRef frame) const {
  const std::uint32_t room = own_ == nullptr ? UINT16_MAX : frame_size_ - kSendLead;
  std::uint32_t n = 0;
  for (FrameRef f = frame; f != kNoFrame; f = cache.meta(f).next) {
    ++n;
    for (std::uint32_t left = cache.meta(f).len; left > room; left -= room) ++n;
  }
  return n;
}

// The data lies before the kernel's eyes at `address`. `checksum`: of the frame that begins here.
void Xsk::describe(std::uint64_t address, std::uint32_t len, bool more, const FrameMeta* checksum) {
  xdp_desc& d = static_cast<xdp_desc*>(tx_.entries)[tx_.cached_producer++ & mask_];
  d.addr = address;
  d.len = len;
  d.options = more ? kXdpPacketContinues : 0;
  if (checksum == nullptr || checksum->csum_start == 0) return;
  const TxMetadata md{kXdpMetadataChecksum, checksum->csum_start, checksum->csum_offset, 0, 0};
  std::uint8_t* memory = own_ == nullptr ? factory_.pool_.memory() : own_;
  std::memcpy(memory + address - sizeof md, &md, sizeof md);
  d.options |= kXdpHasMetadata;
}

// One buffer of the pool's in as many of the socket's own as it needs.
void Xsk::put_copy(const std::uint8_t* data, const FrameMeta& m) {
  const std::uint32_t room = frame_size_ - kSendLead;
  std::uint32_t at = 0;
  do {
    const std::uint32_t len = std::min(room, m.len - at);
    const std::uint64_t address = sendable_.back() + kSendLead;
    sendable_.pop_back();
    std::memcpy(own_ + address, data + at, len);
    describe(address, len, at + len < m.len || m.next != kNoFrame, at == 0 ? &m : nullptr);
    at += len;
  } while (at < m.len);
}

// Writes one frame's descriptors; false when there is no room for all of them.
bool Xsk::put(FrameCache& cache, FrameRef frame) {
  const std::uint32_t pieces = descriptors(cache, frame);
  if (pieces > kMostPieces || !has_room(pieces)) return false;
  for (FrameRef f = frame; f != kNoFrame; f = cache.meta(f).next) {
    const FrameMeta& m = cache.meta(f);
    if (own_ != nullptr) {
      put_copy(cache.data(f), m);
      continue;
    }
    factory_.pool_.set_owner(f, owner_);
    describe(std::uint64_t{f} * limits::kFrameSize + m.offset, m.len, m.next != kNoFrame, &m);
  }
  if (own_ != nullptr) cache.free_chain(frame);
  return true;
}

std::size_t Xsk::send(FrameCache& cache, std::span<const FrameRef> frames) {
  collect(cache);
  std::size_t taken = 0;
  bool retried = false;
  while (taken < frames.size()) {
    if (put(cache, frames[taken])) {
      ++taken;
      continue;
    }
    if (retried) break;
    retried = true;
    store(tx_.producer, tx_.cached_producer);
    kick();
    collect(cache);
  }
  store(tx_.producer, tx_.cached_producer);
  kick();
  return taken;
}

bool Xsk::pending() const { return load(tx_.consumer) != tx_.cached_producer; }

void Xsk::nudge(FrameCache& cache) {
  collect(cache);
  if (pending()) kick();
}

// The kernel takes at most 32 descriptors a call in copy mode; a call is bounded work, and what is left is nudged
// later.
bool Xsk::kick() {
  for (int i = 0; i < 4 && pending(); ++i) {
    if (sendto(fd(), nullptr, 0, MSG_DONTWAIT, nullptr, 0) >= 0) continue;
    if (errno != EAGAIN && errno != EBUSY && errno != EINTR) return false;
  }
  return !pending();
}

std::uint64_t Xsk::rx_lost() const {
  xdp_statistics s{};
  socklen_t len = sizeof s;
  if (getsockopt(fd(), SOL_XDP, XDP_STATISTICS, &s, &len) != 0) return lost_.get();
  // rx_fill_ring_empty_descs counts the same frames as rx_dropped in copy mode.
  return s.rx_dropped + s.rx_ring_full + lost_.get();
}

}  // namespace heddle::dp
