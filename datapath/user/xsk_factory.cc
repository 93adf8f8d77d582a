// SPDX-License-Identifier: Apache-2.0
// AF_XDP sockets set up: packet memory registered, rings mapped, bound to their queues.
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <thread>

#include "datapath/user/xsk.h"
#include "datapath/user/xsk_abi.h"

namespace heddle::dp {
namespace {

Result<> register_memory(int fd, const void* memory, std::size_t size, std::uint32_t chunk, XskFeatures& features) {
  UmemRegistration r{
      reinterpret_cast<std::uint64_t>(memory), size, chunk, 0, kXdpUmemTxMetadataLen, sizeof(TxMetadata)};
  features.tx_metadata = setsockopt(fd, SOL_XDP, XDP_UMEM_REG, &r, sizeof r) == 0;
  if (features.tx_metadata) return {};
  r.flags = 0;
  r.tx_metadata_len = 0;
  if (setsockopt(fd, SOL_XDP, XDP_UMEM_REG, &r, kOldUmemRegistration) == 0) return {};
  return fail_errno(errno,
                    "registering " + std::to_string(size >> 10) + " KiB of packet memory (locked memory limit?)");
}

sockaddr_xdp address_of(const XskFactory::Place& place) {
  sockaddr_xdp to{};
  to.sxdp_family = AF_XDP;
  to.sxdp_ifindex = static_cast<std::uint32_t>(place.ifindex);
  to.sxdp_queue_id = place.queue;
  return to;
}

constexpr auto kLately = std::chrono::seconds(1);
constexpr auto kPatience = std::chrono::milliseconds(200);

}  // namespace

// The kernel lets go of a queue some time after its socket was closed: a work queue does it (net/xdp/xsk_buff_pool.c,
// xp_put_pool()), once no frame on its way refers to the socket. So a device that was ours a moment ago is waited for.
Result<> XskFactory::bind_to(int fd, const sockaddr_xdp& to, const Place& place) {
  const auto closed = closed_.find(place.ifindex);
  const TimePoint begin = Clock::now();
  const bool ours = closed != closed_.end() && begin - closed->second < kLately;
  auto pause = std::chrono::milliseconds(1);
  while (bind(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0) {
    const int err = errno;
    const std::string what = "AF_XDP on " + place.device + " queue " + std::to_string(to.sxdp_queue_id);
    if (err != EBUSY) return fail_errno(err, what);
    if (!ours || Clock::now() - begin > kPatience)
      return fail(Errc::exists, what + ": another socket has it; it is taken over as soon as that is closed");
    std::this_thread::sleep_for(pause);
    pause *= 2;
  }
  return {};
}

// A socket with newly registered memory.
Result<> XskFactory::bind_first(int fd, const Place& place, XskFeatures& features) {
  sockaddr_xdp to = address_of(place);
  to.sxdp_flags = XDP_COPY | XDP_USE_NEED_WAKEUP | kXdpUseSg;
  auto bound = bind_to(fd, to, place);
  features.multi_buffer = bound.has_value();
  if (bound || bound.error().code == Errc::exists) return bound;
  to.sxdp_flags = XDP_COPY | XDP_USE_NEED_WAKEUP;
  return bind_to(fd, to, place);
}

void XskFactory::remember_closed(int ifindex) {
  const TimePoint now = Clock::now();
  if (closed_.size() >= limits::kPorts)
    std::erase_if(closed_, [&](const auto& device) { return now - device.second >= kLately; });
  closed_[ifindex] = now;
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

Result<std::unique_ptr<Xsk>> XskFactory::open(const Place& place, std::size_t fill) {
  reaper_.finish(place.ifindex);
  Fd fd(socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0));
  if (!fd) return fail_errno(errno, "AF_XDP socket");
  const auto owner = free_owner();
  if (!owner) return std::unexpected(owner.error());
  std::unique_ptr<Xsk> xsk(new Xsk(*this, std::move(fd), *owner));
  const auto ok = fill == 0 ? open_alone(*xsk, place) : share(*xsk, place, fill);
  if (!ok) return std::unexpected(ok.error());
  xsk->ifindex_ = place.ifindex;
  live_.push_back(xsk.get());
  return xsk;
}

// Longer frames than small buffers take lie in several of them, if the kernel can do that (Linux 6.6).
Result<> XskFactory::open_alone(Xsk& xsk, const Place& place) {
  constexpr unsigned kHeader = ETH_HLEN + 2 * 4;  // and two VLAN tags
  if (features_.multi_buffer && place.mtu + kHeader + XDP_PACKET_HEADROOM <= Xsk::kSmall) xsk.frame_size_ = Xsk::kSmall;
  if (auto ok = xsk.take_memory(); !ok) return ok;
  if (auto ok = register_memory(xsk.fd(), xsk.own_, xsk.own_bytes(), xsk.frame_size_, xsk.features_); !ok) return ok;
  if (auto ok = xsk.set_up_rings(Xsk::kOwnRing); !ok) return ok;
  xsk.fill_own();
  return bind_first(xsk.fd(), place, xsk.features_);
}

Result<> XskFactory::share(Xsk& xsk, const Place& place, std::size_t fill) {
  const auto other = std::find_if(live_.begin(), live_.end(), [](const Xsk* x) { return x->own_ == nullptr; });
  if (other == live_.end()) {
    if (auto ok = register_memory(xsk.fd(), pool_.memory(), pool_.memory_size(), limits::kFrameSize, features_); !ok)
      return ok;
  }
  if (auto ok = xsk.set_up_rings(limits::kRing); !ok) return ok;

  // Without a buffer in the fill ring the first frames would be lost: fill before binding.
  xsk.first_fill(fill);

  if (other == live_.end()) {
    if (auto ok = bind_first(xsk.fd(), place, features_); !ok) return ok;
  } else {
    sockaddr_xdp to = address_of(place);
    to.sxdp_flags = XDP_SHARED_UMEM;
    to.sxdp_shared_umem_fd = static_cast<std::uint32_t>((*other)->fd());
    if (auto ok = bind_to(xsk.fd(), to, place); !ok) return ok;
  }
  xsk.features_ = features_;
  return {};
}

Xsk::~Xsk() {
  std::erase(factory_.live_, this);
  if (ifindex_ != 0) factory_.remember_closed(ifindex_);
  // A worker of many sockets waits on the descriptor until it is closed; what nobody will read must not wake it.
  if (rx_.map != nullptr) store(rx_.consumer, load(rx_.producer));
  for (Ring* ring : {&rx_, &tx_, &fill_, &done_}) {
    if (ring->map != nullptr) munmap(ring->map, ring->map_size);
  }
  if (own_ != nullptr) {
    munmap(own_, own_bytes());  // the kernel holds the pages as long as it needs them
    factory_.reaper_.close(std::move(fd_), ifindex_);
  }
  fd_.reset();
  for (FrameRef f = chain_first_; f != kNoFrame; f = factory_.pool_.meta(f).next) factory_.pool_.set_owner(f, owner_);
  // A socket that was made but never bound has buffers too.
  if (own_ == nullptr || chain_first_ != kNoFrame) factory_.pool_.reclaim(owner_);
}

Result<> Xsk::take_memory() {
  void* memory = mmap(nullptr, own_bytes(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return fail_errno(errno, "packet memory of " + std::to_string(own_bytes()) + " bytes");
  own_ = static_cast<std::uint8_t*>(memory);
  return {};
}

Result<> Xsk::map_ring(Ring& ring, const xdp_ring_offset& at, std::uint64_t page_offset, std::size_t entry_size) {
  ring.map_size = at.desc + (mask_ + 1) * entry_size;
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

Result<> Xsk::set_up_rings(std::uint32_t entries) {
  mask_ = entries - 1;
  const int size = static_cast<int>(entries);
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

}  // namespace heddle::dp
