#include "datapath/user/xsk.h"

#include <sys/mman.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace heddle::dp {
namespace {

// Newer than the Debian 12 headers; values from include/uapi/linux/if_xdp.h of Linux 6.8.
constexpr std::uint16_t kUseSg = 1 << 4;
constexpr std::uint32_t kPacketContinues = 1 << 0;
constexpr std::uint32_t kHasMetadata = 1 << 1;
constexpr std::uint32_t kUmemTxMetadataLen = 1 << 2;
constexpr std::uint64_t kMetadataChecksum = 1 << 1;

struct UmemRegistration {
  std::uint64_t address;
  std::uint64_t length;
  std::uint32_t chunk_size;
  std::uint32_t headroom;
  std::uint32_t flags;
  std::uint32_t tx_metadata_len;
};
constexpr std::size_t kOldRegistration = 28;  // without tx_metadata_len

struct TxMetadata {
  std::uint64_t flags;
  std::uint16_t csum_start;
  std::uint16_t csum_offset;
  std::uint32_t pad;
  std::uint64_t launch_time;
};
static_assert(sizeof(TxMetadata) == 24 && sizeof(TxMetadata) <= limits::kFrameHeadroom);

constexpr std::uint32_t kMask = limits::kRing - 1;
static_assert((limits::kRing & kMask) == 0);

std::unexpected<Error> bind_failed(int err, const std::string& device, unsigned queue) {
  const std::string what = "AF_XDP on " + device + " queue " + std::to_string(queue);
  if (err != EBUSY) return fail_errno(err, what);
  return fail(Errc::exists, what + ": another socket has it; it is taken over as soon as that is closed");
}

std::uint32_t load(const std::uint32_t* p) { return __atomic_load_n(p, __ATOMIC_ACQUIRE); }
void store(std::uint32_t* p, std::uint32_t v) { __atomic_store_n(p, v, __ATOMIC_RELEASE); }

}  // namespace

Result<> XskFactory::register_memory(int fd) {
  UmemRegistration r{reinterpret_cast<std::uint64_t>(pool_.memory()),
                     pool_.memory_size(),
                     static_cast<std::uint32_t>(limits::kFrameSize),
                     0,
                     kUmemTxMetadataLen,
                     sizeof(TxMetadata)};
  tx_metadata_ = setsockopt(fd, SOL_XDP, XDP_UMEM_REG, &r, sizeof r) == 0;
  if (tx_metadata_) return {};
  r.flags = 0;
  r.tx_metadata_len = 0;
  if (setsockopt(fd, SOL_XDP, XDP_UMEM_REG, &r, kOldRegistration) == 0) return {};
  return fail_errno(errno, "registering " + std::to_string(pool_.memory_size() >> 20) +
                               " MiB of packet memory (locked memory limit?)");
}

Result<> XskFactory::bind_first(int fd, int ifindex, unsigned queue, const std::string& device) {
  for (const std::uint16_t sg : {kUseSg, std::uint16_t{0}}) {
    sockaddr_xdp to{};
    to.sxdp_family = AF_XDP;
    to.sxdp_flags = static_cast<std::uint16_t>(XDP_COPY | XDP_USE_NEED_WAKEUP | sg);
    to.sxdp_ifindex = static_cast<std::uint32_t>(ifindex);
    to.sxdp_queue_id = queue;
    multi_buffer_ = sg != 0;
    if (bind(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0) return {};
    if (errno != EINVAL) break;
  }
  return bind_failed(errno, device, queue);
}

// Round and round over the numbers that no socket has.
Result<std::uint16_t> XskFactory::free_owner() {
  for (std::size_t tries = 1; tries <= UINT16_MAX; ++tries) {
    if (++last_owner_ == 0) ++last_owner_;
    const auto has_it = [&](const Xsk* x) { return x->owner_ == last_owner_; };
    if (std::none_of(live_.begin(), live_.end(), has_it)) return last_owner_;
  }
  return fail(Errc::limit, "more than 65,535 AF_XDP sockets");
}

Result<std::unique_ptr<Xsk>> XskFactory::open(int ifindex, unsigned queue, const std::string& device,
                                              std::size_t fill) {
  Fd fd(socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0));
  if (!fd) return fail_errno(errno, "AF_XDP socket");
  const auto owner = free_owner();
  if (!owner) return std::unexpected(owner.error());
  std::unique_ptr<Xsk> xsk(new Xsk(*this, std::move(fd), *owner));
  if (live_.empty()) {
    if (auto ok = register_memory(xsk->fd()); !ok) return std::unexpected(ok.error());
  }
  if (auto ok = xsk->set_up_rings(); !ok) return std::unexpected(ok.error());

  // Without a buffer in the fill ring the first frames would be lost: fill before binding.
  xsk->first_fill(fill);

  if (live_.empty()) {
    if (auto ok = bind_first(xsk->fd(), ifindex, queue, device); !ok) return std::unexpected(ok.error());
  } else {
    sockaddr_xdp to{};
    to.sxdp_family = AF_XDP;
    to.sxdp_flags = XDP_SHARED_UMEM;
    to.sxdp_ifindex = static_cast<std::uint32_t>(ifindex);
    to.sxdp_queue_id = queue;
    to.sxdp_shared_umem_fd = static_cast<std::uint32_t>(live_.front()->fd());
    if (bind(xsk->fd(), reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0)
      return bind_failed(errno, device, queue);
  }
  live_.push_back(xsk.get());
  return xsk;
}

Xsk::~Xsk() {
  std::erase(factory_.live_, this);
  for (Ring* ring : {&rx_, &tx_, &fill_, &done_}) {
    if (ring->map != nullptr) munmap(ring->map, ring->map_size);
  }
  fd_.reset();
  for (FrameRef f = chain_first_; f != kNoFrame; f = factory_.pool_.meta(f).next) factory_.pool_.set_owner(f, owner_);
  // A socket that was made but never bound has buffers too.
  factory_.pool_.reclaim(owner_);
}

Result<> Xsk::map_ring(Ring& ring, const xdp_ring_offset& at, std::uint64_t page_offset, std::size_t entry_size) {
  ring.map_size = at.desc + limits::kRing * entry_size;
  void* map = mmap(nullptr, ring.map_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd(),
                   static_cast<off_t>(page_offset));
  if (map == MAP_FAILED) return fail_errno(errno, "mapping an AF_XDP ring");
  ring.map = map;
  auto* base = static_cast<std::uint8_t*>(map);
  ring.producer = reinterpret_cast<std::uint32_t*>(base + at.producer);
  ring.consumer = reinterpret_cast<std::uint32_t*>(base + at.consumer);
  ring.entries = base + at.desc;
  return {};
}

Result<> Xsk::set_up_rings() {
  const int size = limits::kRing;
  for (const int option : {XDP_UMEM_FILL_RING, XDP_UMEM_COMPLETION_RING, XDP_RX_RING, XDP_TX_RING}) {
    if (setsockopt(fd(), SOL_XDP, option, &size, sizeof size) != 0) return fail_errno(errno, "AF_XDP ring");
  }
  xdp_mmap_offsets at{};
  socklen_t len = sizeof at;
  if (getsockopt(fd(), SOL_XDP, XDP_MMAP_OFFSETS, &at, &len) != 0 || len != sizeof at)
    return fail_errno(errno, "AF_XDP ring offsets");
  if (auto ok = map_ring(fill_, at.fr, XDP_UMEM_PGOFF_FILL_RING, 8); !ok) return ok;
  if (auto ok = map_ring(done_, at.cr, XDP_UMEM_PGOFF_COMPLETION_RING, 8); !ok) return ok;
  if (auto ok = map_ring(rx_, at.rx, XDP_PGOFF_RX_RING, sizeof(xdp_desc)); !ok) return ok;
  return map_ring(tx_, at.tx, XDP_PGOFF_TX_RING, sizeof(xdp_desc));
}

// Whole bundles, straight from the pool, so that the control thread needs no stock of its own.
void Xsk::first_fill(std::size_t n) {
  auto* entries = static_cast<std::uint64_t*>(fill_.entries);
  fill_missing_ = n;
  for (FramePool::Bundle bundle; fill_missing_ >= bundle.size() && factory_.pool_.take(bundle);) {
    for (const FrameRef f : bundle) {
      factory_.pool_.set_owner(f, owner_);
      entries[fill_.cached_producer++ & kMask] = std::uint64_t{f} * limits::kFrameSize;
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
    entries[fill_.cached_producer++ & kMask] = std::uint64_t{f} * limits::kFrameSize;
  }
  fill_missing_ -= done;
  if (done > 0) store(fill_.producer, fill_.cached_producer);
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
    const xdp_desc& d = entries[(rx_.cached_consumer + taken) & kMask];
    ++taken;
    const auto f = static_cast<FrameRef>(d.addr / limits::kFrameSize);
    FrameMeta& m = cache.meta(f);
    factory_.pool_.set_owner(f, 0);
    m = FrameMeta{};
    m.offset = static_cast<std::uint16_t>(d.addr % limits::kFrameSize);
    m.len = static_cast<std::uint16_t>(d.len);
    m.total = d.len;
    const bool more = (d.options & kPacketContinues) != 0;
    if (chain_first_ == kNoFrame) {
      if (!more) {
        batch.frames[batch.n++] = f;
        continue;
      }
      chain_first_ = chain_last_ = f;
      chain_too_long_ = false;
      continue;
    }
    FrameMeta& first = cache.meta(chain_first_);
    if (chain_too_long_ || first.total + d.len > limits::kFrameChain * (limits::kFrameSize - limits::kFrameHeadroom)) {
      chain_too_long_ = true;
      cache.free_one(f);
    } else {
      cache.meta(chain_last_).next = f;
      chain_last_ = f;
      first.total += d.len;
    }
    if (more) continue;
    if (chain_too_long_) {
      cache.free_chain(chain_first_);
      long_chains_.add(1);
    } else {
      batch.frames[batch.n++] = chain_first_;
    }
    chain_first_ = kNoFrame;
  }
  rx_.cached_consumer += taken;
  store(rx_.consumer, rx_.cached_consumer);
  fill_missing_ += taken;
  fill(cache, fill_missing_);
}

void Xsk::collect(FrameCache& cache) {
  const std::uint32_t ready = load(done_.producer) - done_.cached_consumer;
  if (ready == 0) return;
  const auto* entries = static_cast<const std::uint64_t*>(done_.entries);
  for (std::uint32_t i = 0; i < ready; ++i) {
    const auto f = static_cast<FrameRef>(entries[(done_.cached_consumer + i) & kMask] / limits::kFrameSize);
    factory_.pool_.set_owner(f, 0);
    cache.free_one(f);
  }
  done_.cached_consumer += ready;
  store(done_.consumer, done_.cached_consumer);
}

// Writes one frame's descriptors; false when the ring has no room for all of them.
bool Xsk::put(FrameCache& cache, FrameRef frame) {
  std::uint32_t buffers = 1;
  for (FrameRef f = cache.meta(frame).next; f != kNoFrame; f = cache.meta(f).next) ++buffers;
  if (limits::kRing - (tx_.cached_producer - tx_.cached_consumer) < buffers) {
    tx_.cached_consumer = load(tx_.consumer);
    if (limits::kRing - (tx_.cached_producer - tx_.cached_consumer) < buffers) return false;
  }
  auto* entries = static_cast<xdp_desc*>(tx_.entries);
  for (FrameRef f = frame; f != kNoFrame;) {
    FrameMeta& m = cache.meta(f);
    xdp_desc& d = entries[tx_.cached_producer++ & kMask];
    d.addr = std::uint64_t{f} * limits::kFrameSize + m.offset;
    d.len = m.len;
    d.options = m.next == kNoFrame ? 0 : kPacketContinues;
    if (m.csum_start != 0) {
      const TxMetadata md{kMetadataChecksum, m.csum_start, m.csum_offset, 0, 0};
      std::memcpy(cache.data(f) - sizeof md, &md, sizeof md);
      d.options |= kHasMetadata;
    }
    factory_.pool_.set_owner(f, owner_);
    f = m.next;
  }
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
  if (getsockopt(fd(), SOL_XDP, XDP_STATISTICS, &s, &len) != 0) return long_chains_.get();
  // rx_fill_ring_empty_descs counts the same frames as rx_dropped in copy mode.
  return s.rx_dropped + s.rx_ring_full + long_chains_.get();
}

}  // namespace heddle::dp
