// AF_XDP sockets set up: packet memory registered, rings mapped, bound to their queues.
#include <sys/mman.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "datapath/user/xsk.h"
#include "datapath/user/xsk_abi.h"

namespace heddle::dp {
namespace {

Result<> register_memory(int fd, const void* memory, std::size_t size, XskFeatures& features) {
  UmemRegistration r{reinterpret_cast<std::uint64_t>(memory),
                     size,
                     static_cast<std::uint32_t>(limits::kFrameSize),
                     0,
                     kXdpUmemTxMetadataLen,
                     sizeof(TxMetadata)};
  features.tx_metadata = setsockopt(fd, SOL_XDP, XDP_UMEM_REG, &r, sizeof r) == 0;
  if (features.tx_metadata) return {};
  r.flags = 0;
  r.tx_metadata_len = 0;
  if (setsockopt(fd, SOL_XDP, XDP_UMEM_REG, &r, kOldUmemRegistration) == 0) return {};
  return fail_errno(errno,
                    "registering " + std::to_string(size >> 10) + " KiB of packet memory (locked memory limit?)");
}

Result<> bind_to(int fd, const sockaddr_xdp& to, const std::string& device) {
  if (bind(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0) return {};
  const int err = errno;
  const std::string what = "AF_XDP on " + device + " queue " + std::to_string(to.sxdp_queue_id);
  if (err != EBUSY) return fail_errno(err, what);
  return fail(Errc::exists, what + ": another socket has it; it is taken over as soon as that is closed");
}

sockaddr_xdp address_of(int ifindex, unsigned queue) {
  sockaddr_xdp to{};
  to.sxdp_family = AF_XDP;
  to.sxdp_ifindex = static_cast<std::uint32_t>(ifindex);
  to.sxdp_queue_id = queue;
  return to;
}

// A socket with newly registered memory.
Result<> bind_first(int fd, int ifindex, unsigned queue, const std::string& device, XskFeatures& features) {
  sockaddr_xdp to = address_of(ifindex, queue);
  to.sxdp_flags = XDP_COPY | XDP_USE_NEED_WAKEUP | kXdpUseSg;
  features.multi_buffer = bind(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0;
  if (features.multi_buffer) return {};
  to.sxdp_flags = XDP_COPY | XDP_USE_NEED_WAKEUP;
  return bind_to(fd, to, device);
}

}  // namespace

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
  const auto ok = fill == 0 ? open_alone(*xsk, ifindex, queue, device) : share(*xsk, ifindex, queue, device, fill);
  if (!ok) return std::unexpected(ok.error());
  live_.push_back(xsk.get());
  return xsk;
}

Result<> XskFactory::open_alone(Xsk& xsk, int ifindex, unsigned queue, const std::string& device) {
  if (auto ok = xsk.take_memory(); !ok) return ok;
  if (auto ok = register_memory(xsk.fd(), xsk.own_, Xsk::kOwnBytes, xsk.features_); !ok) return ok;
  if (auto ok = xsk.set_up_rings(Xsk::kOwnRing); !ok) return ok;
  xsk.fill_own();
  return bind_first(xsk.fd(), ifindex, queue, device, xsk.features_);
}

Result<> XskFactory::share(Xsk& xsk, int ifindex, unsigned queue, const std::string& device, std::size_t fill) {
  const auto other = std::find_if(live_.begin(), live_.end(), [](const Xsk* x) { return x->own_ == nullptr; });
  if (other == live_.end()) {
    if (auto ok = register_memory(xsk.fd(), pool_.memory(), pool_.memory_size(), features_); !ok) return ok;
  }
  if (auto ok = xsk.set_up_rings(limits::kRing); !ok) return ok;

  // Without a buffer in the fill ring the first frames would be lost: fill before binding.
  xsk.first_fill(fill);

  if (other == live_.end()) {
    if (auto ok = bind_first(xsk.fd(), ifindex, queue, device, features_); !ok) return ok;
  } else {
    sockaddr_xdp to = address_of(ifindex, queue);
    to.sxdp_flags = XDP_SHARED_UMEM;
    to.sxdp_shared_umem_fd = static_cast<std::uint32_t>((*other)->fd());
    if (auto ok = bind_to(xsk.fd(), to, device); !ok) return ok;
  }
  xsk.features_ = features_;
  return {};
}

Xsk::~Xsk() {
  std::erase(factory_.live_, this);
  for (Ring* ring : {&rx_, &tx_, &fill_, &done_}) {
    if (ring->map != nullptr) munmap(ring->map, ring->map_size);
  }
  fd_.reset();
  if (own_ != nullptr) munmap(own_, kOwnBytes);
  for (FrameRef f = chain_first_; f != kNoFrame; f = factory_.pool_.meta(f).next) factory_.pool_.set_owner(f, owner_);
  // A socket that was made but never bound has buffers too.
  if (own_ == nullptr || chain_first_ != kNoFrame) factory_.pool_.reclaim(owner_);
}

Result<> Xsk::take_memory() {
  void* memory = mmap(nullptr, kOwnBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return fail_errno(errno, "packet memory of " + std::to_string(kOwnBytes) + " bytes");
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
