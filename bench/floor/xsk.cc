// SPDX-License-Identifier: Apache-2.0
#include "bench/floor/xsk.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <cerrno>
#include <thread>
#include <utility>

#include "base/clock.h"
#include "floor_xdp.skel.h"

#ifndef SO_PREFER_BUSY_POLL
#define SO_PREFER_BUSY_POLL 69
#endif
#ifndef SO_BUSY_POLL_BUDGET
#define SO_BUSY_POLL_BUDGET 70
#endif

namespace heddle::bench {
namespace {

constexpr int kMaxTxSkbBudget = 9;  // XDP_MAX_TX_SKB_BUDGET, Linux 6.17; not in Debian 12's headers

Result<> set_option(int fd, int level, int option, const void* value, socklen_t size, const char* name) {
  if (::setsockopt(fd, level, option, value, size) != 0) return fail_errno(errno, name);
  return {};
}
Result<> set_option(int fd, int level, int option, int value, const char* name) {
  return set_option(fd, level, option, &value, sizeof value, name);
}

}  // namespace

Result<Umem> Umem::make(std::uint32_t frames, bool huge_pages) {
  const std::uint64_t bytes = std::uint64_t{frames} * kFrameSize;
  const int flags = MAP_PRIVATE | MAP_ANONYMOUS | (huge_pages ? MAP_HUGETLB : 0);
  void* base = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, flags | MAP_POPULATE, -1, 0);
  if (base == MAP_FAILED) return fail_errno(errno, "packet memory");
  return Umem(static_cast<std::uint8_t*>(base), bytes);
}

Umem::Umem(Umem&& other) noexcept : base_(std::exchange(other.base_, nullptr)), bytes_(other.bytes_) {}

Umem::~Umem() {
  if (base_ != nullptr) ::munmap(base_, bytes_);
}

Result<std::unique_ptr<Xsk>> Xsk::open(const NetDevice& device, const Umem& umem, const Xsk* first,
                                       const XskOptions& options) {
  auto xsk = std::make_unique<Xsk>();
  const auto r = run_in_netns(device.netns, [&] { return xsk->set_up(device, umem, first, options); });
  if (!r) return std::unexpected(r.error());
  return xsk;
}

Xsk::~Xsk() { floor_xdp__destroy(bpf_); }

Result<> Xsk::set_up(const NetDevice& device, const Umem& umem, const Xsk* first, const XskOptions& o) {
  fd_.reset(::socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0));
  if (!fd_) return fail_errno(errno, "AF_XDP socket");
  if (first == nullptr) {
    xdp_umem_reg region{};
    region.addr = reinterpret_cast<std::uint64_t>(umem.at(0));
    region.len = umem.bytes();
    region.chunk_size = kFrameSize;
    if (auto r = set_option(fd(), SOL_XDP, XDP_UMEM_REG, &region, sizeof region, "registering packet memory"); !r)
      return r;
  }
  if (auto r = map_rings(o); !r) return r;
  sockaddr_xdp address{};
  address.sxdp_family = AF_XDP;
  address.sxdp_ifindex = ::if_nametoindex(device.name.c_str());
  if (address.sxdp_ifindex == 0) return fail_errno(errno, "device " + device.name);
  if (first == nullptr) {
    address.sxdp_flags = static_cast<__u16>(XDP_COPY | (o.need_wakeup ? XDP_USE_NEED_WAKEUP : 0));
  } else {
    address.sxdp_flags = XDP_SHARED_UMEM;
    address.sxdp_shared_umem_fd = static_cast<__u32>(first->fd());
  }
  // The kernel frees a queue some time after the last socket was closed.
  const auto give_up = Clock::now() + std::chrono::seconds(3);
  while (::bind(fd(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    if (errno != EBUSY || Clock::now() > give_up)
      return fail_errno(errno, "binding an AF_XDP socket to " + device.name);
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  if (auto r = set_busy_poll(o); !r) return r;
  return attach(device, o);
}

Result<> Xsk::set_busy_poll(const XskOptions& o) {
  if (o.tx_budget > 0)
    if (auto r = set_option(fd(), SOL_XDP, kMaxTxSkbBudget, o.tx_budget, "transmit budget"); !r) return r;
  if (o.busy_poll_us == 0) return {};
  if (auto r = set_option(fd(), SOL_SOCKET, SO_PREFER_BUSY_POLL, 1, "SO_PREFER_BUSY_POLL"); !r) return r;
  if (auto r = set_option(fd(), SOL_SOCKET, SO_BUSY_POLL, o.busy_poll_us, "SO_BUSY_POLL"); !r) return r;
  return set_option(fd(), SOL_SOCKET, SO_BUSY_POLL_BUDGET, o.busy_poll_budget, "SO_BUSY_POLL_BUDGET");
}

template <typename T>
Result<> Xsk::map_ring(Ring<T>& ring, std::uint32_t size, const xdp_ring_offset& offset, std::uint64_t page) {
  void* m = ::mmap(nullptr, offset.desc + size * sizeof(T), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd(),
                   static_cast<off_t>(page));
  if (m == MAP_FAILED) return fail_errno(errno, "mapping a ring");
  auto* bytes = static_cast<std::uint8_t*>(m);
  ring.producer = reinterpret_cast<std::uint32_t*>(bytes + offset.producer);
  ring.consumer = reinterpret_cast<std::uint32_t*>(bytes + offset.consumer);
  ring.flags = reinterpret_cast<std::uint32_t*>(bytes + offset.flags);
  ring.entries = reinterpret_cast<T*>(bytes + offset.desc);
  ring.size = size;
  return {};
}

Result<> Xsk::map_rings(const XskOptions& o) {
  const int size = static_cast<int>(o.ring);
  for (const int ring : {XDP_UMEM_FILL_RING, XDP_UMEM_COMPLETION_RING, XDP_RX_RING, XDP_TX_RING})
    if (auto r = set_option(fd(), SOL_XDP, ring, size, "ring size"); !r) return r;
  xdp_mmap_offsets offset{};
  socklen_t length = sizeof offset;
  if (::getsockopt(fd(), SOL_XDP, XDP_MMAP_OFFSETS, &offset, &length) != 0) return fail_errno(errno, "ring offsets");
  if (auto r = map_ring(fill, o.ring, offset.fr, XDP_UMEM_PGOFF_FILL_RING); !r) return r;
  if (auto r = map_ring(completion, o.ring, offset.cr, XDP_UMEM_PGOFF_COMPLETION_RING); !r) return r;
  if (auto r = map_ring(rx, o.ring, offset.rx, XDP_PGOFF_RX_RING); !r) return r;
  return map_ring(tx, o.ring, offset.tx, XDP_PGOFF_TX_RING);
}

Result<> Xsk::attach(const NetDevice& device, const XskOptions& o) {
  bpf_ = floor_xdp__open_and_load();
  if (bpf_ == nullptr) return fail_errno(errno, "loading the XDP program (needs root)");
  const __u32 queue = 0;
  const int socket = fd();
  if (::bpf_map_update_elem(bpf_map__fd(bpf_->maps.sockets), &queue, &socket, BPF_ANY) != 0)
    return fail_errno(errno, "socket map");
  // A link instead of bpf_xdp_attach(): the kernel removes a link with the process.
  LIBBPF_OPTS(bpf_link_create_opts, options, .flags = o.skb_mode ? XDP_FLAGS_SKB_MODE : XDP_FLAGS_DRV_MODE);
  link_.reset(bpf_link_create(bpf_program__fd(bpf_->progs.take),
                              static_cast<int>(::if_nametoindex(device.name.c_str())), BPF_XDP, &options));
  if (!link_) return fail_errno(errno, "attaching the XDP program to " + device.name);
  return {};
}

}  // namespace heddle::bench
