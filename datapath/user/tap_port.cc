// SPDX-License-Identifier: Apache-2.0
#include "datapath/user/tap_port.h"

#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sys/ioctl.h>

#include <cerrno>
#include <cstring>

#include "base/fd.h"

namespace heddle::dp {
namespace {

// As in linux/virtio_net.h, which C++ cannot read (a member is called "class").
struct VnetHeader {
  std::uint8_t flags;
  std::uint8_t gso_type;
  std::uint16_t header_len;
  std::uint16_t gso_size;
  std::uint16_t csum_start;
  std::uint16_t csum_offset;
};
static_assert(sizeof(VnetHeader) == 10);
constexpr std::uint8_t kNeedsChecksum = 1;

Result<Fd> open_tap(const std::string& device) {
  Fd fd(::open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC));
  if (!fd) return fail_errno(errno, "/dev/net/tun (is the tun module loaded?)");
  if (device.empty() || device.size() >= IFNAMSIZ)
    return fail(Errc::invalid, "device name \"" + device + "\" must have 1 to 15 characters");
  ifreq request{};
  std::memcpy(request.ifr_name, device.c_str(), device.size());
  request.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
  if (ioctl(fd.get(), TUNSETIFF, &request) == 0) return fd;
  if (errno == EBUSY) return fail(Errc::exists, "tap device " + device + " is in use by another program");
  if (errno == EINVAL)
    return fail(Errc::exists, "a network device " + device + " exists and is not a tap: remove or rename it");
  return fail_errno(errno, "making tap device " + device);
}

class Port final : public PortIo {
 public:
  Port(Fd fd, std::string device, unsigned buffers)
      : fd_(std::move(fd)), device_(std::move(device)), buffers_(buffers) {}

  void receive(unsigned queue, FrameCache& cache, Batch& batch, WorkerCounters& counters) override;
  void send(unsigned queue, FrameCache& cache, std::span<const FrameRef> frames, WorkerCounters& counters) override;
  [[nodiscard]] unsigned queues() const override { return 1; }
  [[nodiscard]] int fd(unsigned /*queue*/) const override { return fd_.get(); }
  [[nodiscard]] bool cheap_to_poll() const override { return false; }
  [[nodiscard]] bool takes_partial() const override { return true; }
  [[nodiscard]] bool host_side() const override { return true; }
  [[nodiscard]] std::optional<Place> place() const override;
  void end_device() override { ioctl(fd_.get(), TUNSETPERSIST, 0); }
  [[nodiscard]] std::vector<std::pair<std::string, std::string>> info() const override { return {{"io", "tap"}}; }

 private:
  bool read_one(FrameCache& cache, Batch& batch, WorkerCounters& counters);
  Fd fd_;
  std::string device_;
  unsigned buffers_;
};

std::optional<PortIo::Place> Port::place() const {
  ifreq device{};
  if (ioctl(fd_.get(), TUNGETIFF, &device) != 0) return std::nullopt;  // EBADFD: it was removed
#ifndef TUNGETDEVNETNS
  constexpr auto TUNGETDEVNETNS = _IO('T', 227);  // Linux 5.8
#endif
  return Place{device.ifr_name, Fd(ioctl(fd_.get(), TUNGETDEVNETNS))};
}

// Reads into as many fresh buffers as a frame of the largest MTU may need, and gives back those it did not.
bool Port::read_one(FrameCache& cache, Batch& batch, WorkerCounters& counters) {
  std::array<FrameRef, limits::kFrameChain> frames;
  std::array<iovec, limits::kFrameChain + 1> parts;
  VnetHeader header{};
  parts[0] = {&header, sizeof header};
  constexpr std::size_t kRoom = limits::kFrameSize - limits::kFrameHeadroom;
  unsigned have = 0;
  for (; have < buffers_; ++have) {
    frames[have] = cache.alloc();
    if (frames[have] == kNoFrame) break;
    parts[have + 1] = {cache.data(frames[have]), kRoom};
  }
  const ssize_t got = have == 0 ? -1 : readv(fd_.get(), parts.data(), static_cast<int>(have + 1));
  const std::size_t size =
      got > static_cast<ssize_t>(sizeof header) ? static_cast<std::size_t>(got) - sizeof header : 0;
  std::size_t left = size;
  FrameRef last = kNoFrame;
  for (unsigned i = 0; i < have; ++i) {
    if (left == 0) {
      cache.free_one(frames[i]);
      continue;
    }
    FrameMeta& m = cache.meta(frames[i]);
    m.len = static_cast<std::uint16_t>(std::min(left, kRoom));
    left -= m.len;
    if (last != kNoFrame) cache.meta(last).next = frames[i];
    last = frames[i];
  }
  if (size == 0) {
    if (have == 0) counters.drop(Drop::no_frame);
    return false;
  }
  FrameMeta& first = cache.meta(frames[0]);
  first.total = static_cast<std::uint32_t>(size);
  // Asked for no offloads, so the kernel has finished the checksum; a header that says otherwise is honoured all the
  // same.
  first.maybe_partial = (header.flags & kNeedsChecksum) != 0;
  batch.frames[batch.n++] = frames[0];
  return true;
}

void Port::receive(unsigned /*queue*/, FrameCache& cache, Batch& batch, WorkerCounters& counters) {
  while (batch.n < batch.frames.size() && read_one(cache, batch, counters)) {
  }
}

void Port::send(unsigned /*queue*/, FrameCache& cache, std::span<const FrameRef> frames, WorkerCounters& counters) {
  for (const FrameRef frame : frames) {
    const FrameMeta& first = cache.meta(frame);
    VnetHeader header{};
    if (first.csum_start != 0) {
      header.flags = kNeedsChecksum;
      header.csum_start = first.csum_start;
      header.csum_offset = first.csum_offset;
    }
    std::array<iovec, limits::kFrameChain + 1> parts;
    int n = 0;
    parts[0] = {&header, sizeof header};
    for (FrameRef f = frame; f != kNoFrame && n < static_cast<int>(limits::kFrameChain); f = cache.meta(f).next)
      parts[static_cast<std::size_t>(++n)] = {cache.data(f), cache.meta(f).len};
    if (writev(fd_.get(), parts.data(), n + 1) >= 0) {
      counters.tx_packets.add(1);
      counters.tx_bytes.add(first.total);
    } else {
      // EIO: the device is down.
      counters.drop(errno == EAGAIN ? Drop::tx_queue_full : errno == EIO ? Drop::port_down : Drop::tx_error);
    }
    cache.free_chain(frame);
  }
}

}  // namespace

Result<std::unique_ptr<PortIo>> TapPort::open(const TapConfig& config) {
  auto fd = open_tap(config.device);
  if (!fd) return std::unexpected(fd.error());
  // Also clears the mark that an earlier run may have left.
  if (ioctl(fd->get(), TUNSETPERSIST, config.outlive ? 1 : 0) != 0)
    return fail_errno(errno, "making tap device " + config.device + " outlive the daemon");
  if (ioctl(fd->get(), TUNSETOFFLOAD, 0) != 0) return fail_errno(errno, "offloads of tap device " + config.device);
  constexpr unsigned kJumboBuffers = 3;  // 11 kB: MTU 9000 and tags
  return std::make_unique<Port>(std::move(*fd), config.device, kJumboBuffers);
}

void TapPort::remove(const std::string& device) {
  if (auto fd = open_tap(device)) ioctl(fd->get(), TUNSETPERSIST, 0);
}

}  // namespace heddle::dp
