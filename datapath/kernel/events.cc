// SPDX-License-Identifier: Apache-2.0
#include "datapath/kernel/events.h"

#include <bpf/libbpf.h>
#include <linux/if_packet.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>

#include "base/log.h"
#include "packet/headers.h"
#include "packet/icmp_error.h"

namespace heddle::dp {
namespace {

constexpr int kGoOn = 0;
constexpr int kStop = -1;

std::size_t learning_size() {
  static_assert(sizeof(hd_learning) % 8 == 0);  // the kernel's stride
  return HD_PORTS * sizeof(hd_learning);
}

// The frame as it was on the wire: the programs see tags beside it.
std::vector<std::uint8_t> whole_head(const hd_too_big_event& e) {
  const std::size_t len = std::min<std::size_t>(e.head_len, sizeof e.frame);
  std::vector<std::uint8_t> out(e.frame, e.frame + len);
  if (len < sizeof(packet::EthHeader)) return {};
  for (const hd_tag& t : {e.inner, e.tag}) {
    if (t.tpid == 0) continue;
    std::array<std::uint8_t, sizeof(packet::VlanTag)> tag{};
    const Be16 tci = be16(t.tci);
    std::memcpy(tag.data(), &t.tpid, 2);
    std::memcpy(tag.data() + 2, &tci, 2);
    constexpr std::ptrdiff_t kAddresses = 12;
    out.insert(out.begin() + kAddresses, tag.begin(), tag.end());
  }
  return out;
}

// Bytes before the IP packet in a frame that would fit, all tags in it but the outer one.
std::size_t headers_before_ip(const std::vector<std::uint8_t>& frame, const packet::L2& l2, std::size_t outer_tag) {
  std::uint16_t type = l2.eth_type;
  std::uint16_t at = l2.l3_offset;
  (void)packet::skip_vlan_tags(frame.data(), frame.size(), type, at);
  return at - outer_tag;
}

}  // namespace

Result<std::unique_ptr<Events>> Events::open(const Programs& programs, DeviceOf device_of) {
  std::unique_ptr<Events> e(new Events(std::move(device_of)));
  void* map = mmap(nullptr, learning_size(), PROT_READ | PROT_WRITE, MAP_SHARED, programs.learning(), 0);
  if (map == MAP_FAILED) return fail_errno(errno, "mapping the learning counters");
  e->learning_ = static_cast<hd_learning*>(map);
  e->ring_ = ring_buffer__new(programs.events(), on_event, e.get(), nullptr);
  if (e->ring_ == nullptr) return fail_errno(errno, "BPF ring buffer");
  e->epoll_.reset(epoll_create1(EPOLL_CLOEXEC));
  e->bell_.reset(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  e->packets_.reset(socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  for (const int fd : {ring_buffer__epoll_fd(e->ring_), e->bell_.get()}) {
    epoll_event interest{};
    interest.events = EPOLLIN;
    if (epoll_ctl(e->epoll_.get(), EPOLL_CTL_ADD, fd, &interest) != 0) return fail_errno(errno, "events: epoll");
  }
  if (!e->packets_) return fail_errno(errno, "packet socket");
  // Nothing of what waits is lost for good: whoever is still there will be reported again.
  ring_buffer__consume(e->ring_);
  for (std::size_t i = 0; i < HD_PORTS; ++i) {
    std::atomic_ref(e->learning_[i].pending).store(0);
    for (__u32& word : e->learning_[i].reserved) std::atomic_ref(word).store(0);  // a newer version's: see layout.h
  }
  return e;
}

Events::~Events() {
  if (ring_ != nullptr) ring_buffer__free(ring_);
  if (learning_ != nullptr) munmap(learning_, learning_size());
}

int Events::on_event(void* self, void* data, std::size_t size) { return static_cast<Events*>(self)->take(data, size); }

// The ring is written by the programs alone; sizes are checked all the same.
int Events::take(const void* data, std::size_t size) {
  hd_event head{};
  if (size < sizeof head) return kGoOn;
  std::memcpy(&head, data, sizeof head);
  if (head.port >= HD_PORTS) return kGoOn;
  if (head.type == HD_EVENT_TOO_BIG && size >= sizeof(hd_too_big_event)) {
    if (!out_.empty()) answer(*static_cast<const hd_too_big_event*>(data));
    return kGoOn;
  }
  if (head.type != HD_EVENT_LEARN || size < sizeof(hd_learn_event)) return kGoOn;
  std::atomic_ref(learning_[head.port].pending).fetch_sub(1);
  if (out_.empty()) return kGoOn;
  take_learned(*static_cast<const hd_learn_event*>(data));
  return n_ == out_.size() ? kStop : kGoOn;
}

void Events::take_learned(const hd_learn_event& e) {
  LearnEvent& event = out_[n_++];
  event.key = {static_cast<BridgeId>(e.bridge), e.station.vlan, {}};
  std::memcpy(event.key.mac.bytes.data(), e.station.mac, sizeof e.station.mac);
  event.target = {static_cast<PortNo>(e.head.port), std::nullopt};
  if (e.from_remote != 0) event.target.remote = e.v6 != 0 ? IpAddr::v6_bytes(e.remote) : IpAddr::v4_bytes(e.remote);
}

void Events::answer(const hd_too_big_event& e) {
  const auto port = static_cast<PortNo>(e.head.port);
  const int device = device_of_(port);
  const auto frame = whole_head(e);
  packet::L2 l2;
  if (device == 0 || packet::parse_l2(frame.data(), frame.size(), l2)) return;
  const std::size_t tag = e.tag.tpid != 0 ? sizeof(packet::VlanTag) : 0;
  const std::size_t inner = e.inner.tpid != 0 ? sizeof(packet::VlanTag) : 0;
  const std::size_t headers = headers_before_ip(frame, l2, tag);
  const auto mtu = static_cast<unsigned>(e.room > headers ? e.room - headers : 0);
  std::array<std::uint8_t, packet::kTooBigMax> out{};
  const std::size_t size = packet::build_too_big(frame, e.frame_len + tag + inner, l2, mtu, out);
  if (size == 0) return;
  sockaddr_ll to{};
  to.sll_family = AF_PACKET;
  to.sll_ifindex = device;
  if (sendto(packets_.get(), out.data(), size, 0, reinterpret_cast<const sockaddr*>(&to), sizeof to) < 0) {
    spdlog::debug("answering a frame that is too big, on device {}: {}", device, std::strerror(errno));
    return;
  }
  ++answered_[index(port)];
}

void Events::adopt(std::vector<LearnEvent> entries, std::function<bool(const FdbKey&)> stale) {
  const std::lock_guard lock(mutex_);
  adopted_ = std::move(entries);
  stale_ = std::move(stale);
  if (!adopted_.empty()) eventfd_write(bell_.get(), 1);
}

std::size_t Events::report_adopted(std::span<LearnEvent> out) {
  const std::lock_guard lock(mutex_);
  std::size_t n = 0;
  while (n < out.size() && !adopted_.empty()) {
    const LearnEvent& e = adopted_.back();
    if (!stale_(e.key)) {
      out[n++] = e;
      reported_.push_back(e.key);
    }
    adopted_.pop_back();
  }
  eventfd_t ignored = 0;
  eventfd_read(bell_.get(), &ignored);
  if (n > 0) eventfd_write(bell_.get(), 1);  // come again: to report more, or to see what was put
  return n;
}

std::size_t Events::poll(std::span<LearnEvent> out) {
  if (const std::size_t n = report_adopted(out); n > 0) return n;
  out_ = out;
  n_ = 0;
  ring_buffer__consume(ring_);
  out_ = {};
  return n_;
}

std::uint64_t Events::learn_dropped(PortNo port) const {
  return std::atomic_ref(learning_[index(port)].dropped).load(std::memory_order_relaxed);
}

void Events::reset(PortNo port) {
  std::atomic_ref(learning_[index(port)].dropped).store(0);
  answered_[index(port)] = 0;
}

}  // namespace heddle::dp
