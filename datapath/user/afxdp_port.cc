// SPDX-License-Identifier: Apache-2.0
#include "datapath/user/afxdp_port.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <linux/if_link.h>
#include <sys/socket.h>

#include <cstring>

#include "base/byte_order.h"
#include "base/log.h"
#include "base/shell_word.h"

namespace heddle::dp {
namespace {

struct AddressKey {
  std::uint8_t bytes[16];
  std::uint32_t v6;
};

AddressKey key_of(const IpAddr& a) {
  AddressKey key{};
  std::memcpy(key.bytes, a.data(), a.size());
  key.v6 = a.is_v6() ? 1 : 0;
  return key;
}

class Port final : public AfxdpPort {
 public:
  Port(XdpPrograms& programs, AfxdpConfig config) : programs_(programs), config_(std::move(config)) {}
  ~Port() override;
  Port(const Port&) = delete;
  Port& operator=(const Port&) = delete;

  Result<> load();
  Result<> load(XdpPrograms::Variant variant);
  Result<> attach();
  Result<> connect_sockets();
  Result<> open_sockets(XskFactory& factory);
  Result<> promiscuous();

  void receive(unsigned queue, FrameCache& cache, Batch& batch, WorkerCounters& /*counters*/) override {
    sockets_[queue]->receive(cache, batch);
    for (std::uint32_t i = 0; i < batch.n; ++i) cache.meta(batch.frames[i]).maybe_partial = true;
  }
  void send(unsigned queue, FrameCache& cache, std::span<const FrameRef> frames, WorkerCounters& counters) override;
  [[nodiscard]] bool pending(unsigned queue) const override { return sockets_[queue]->pending(); }
  void nudge(unsigned queue, FrameCache& cache) override { sockets_[queue]->nudge(cache); }
  [[nodiscard]] unsigned queues() const override { return static_cast<unsigned>(sockets_.size()); }
  [[nodiscard]] int fd(unsigned queue) const override { return sockets_[queue]->fd(); }
  [[nodiscard]] bool cheap_to_poll() const override { return true; }
  [[nodiscard]] bool takes_partial() const override { return partial_; }
  [[nodiscard]] std::uint64_t rx_lost() const override {
    std::uint64_t sum = 0;
    for (const auto& s : sockets_) sum += s->rx_lost();
    return sum;
  }
  [[nodiscard]] std::vector<std::pair<std::string, std::string>> info() const override {
    return {{"io", "afxdp"},
            {"xdp_mode", native_ ? "native" : "generic"},
            {"queues", std::to_string(queues())},
            {"vlan_tags", vlan_tags_ ? "restored" : "in frames only"},
            {"multi_buffer", multi_buffer_ ? "true" : "false"},
            {"packet_memory", sockets_.front()->shares_memory() ? "shared" : "own"}};
  }
  [[nodiscard]] int device() const override { return config_.ifindex; }
  void set_tunnel_ports(const std::set<std::uint16_t>& ports) override;
  void set_local_addresses(const std::set<IpAddr>& addresses) override;
  void use_features() {
    const XskFeatures& features = sockets_.front()->features();
    multi_buffer_ = features.multi_buffer;
    partial_ = config_.virtual_device && features.tx_metadata;
  }

 private:
  XdpPrograms& programs_;
  AfxdpConfig config_;
  std::vector<std::unique_ptr<Xsk>> sockets_;
  XdpProgram xdp_;
  Fd link_;  // after the sockets: destroyed first, so the device stops delivering before they close
  bool promiscuous_ = false;
  bool native_ = false;
  bool vlan_tags_ = false;
  bool multi_buffer_ = false;
  bool partial_ = false;
  std::set<std::uint16_t> tunnel_ports_;
  std::set<IpAddr> local_addresses_;
};

// The variant that restores VLAN tags first; it is refused by older kernels and by drivers that do not tell tags.
Result<> Port::load() {
  if (!config_.underlay && load(XdpPrograms::bridge_port_tags)) return {};
  return load(config_.underlay ? XdpPrograms::underlay : XdpPrograms::bridge_port);
}

Result<> Port::load(XdpPrograms::Variant variant) {
  auto loaded = programs_.load(variant, config_.ifindex, config_.device);
  if (!loaded) return std::unexpected(loaded.error());
  xdp_ = std::move(*loaded);
  vlan_tags_ = variant == XdpPrograms::bridge_port_tags;
  return {};
}

Result<> Port::attach() {
  int err = 0;
  for (const std::uint32_t mode : {XDP_FLAGS_DRV_MODE, XDP_FLAGS_SKB_MODE}) {
    bpf_link_create_opts options{};
    options.sz = sizeof options;
    options.flags = mode;
    const int fd = bpf_link_create(xdp_.program.get(), config_.ifindex, BPF_XDP, &options);
    if (fd >= 0) {
      link_.reset(fd);
      native_ = mode == XDP_FLAGS_DRV_MODE;
      return {};
    }
    err = -fd;
    if (err == EBUSY || err == EEXIST) {
      return fail(Errc::exists, "network device " + config_.device +
                                    " already runs another XDP program: remove it (ip link set dev " +
                                    shell_word(config_.device) + " xdp off) or stop the program that owns it");
    }
    if (!vlan_tags_) continue;
    // A device-bound program runs in native mode only.
    if (auto ok = load(XdpPrograms::bridge_port); !ok) return ok;
    if (auto ok = connect_sockets(); !ok) return ok;
  }
  return fail_errno(err, "attaching XDP to network device " + config_.device);
}

Result<> Port::open_sockets(XskFactory& factory) {
  for (unsigned q = 0; q < config_.queues; ++q) {
    auto socket = factory.open({config_.ifindex, q, config_.device, config_.mtu}, config_.fill);
    if (!socket) return std::unexpected(socket.error());
    sockets_.push_back(std::move(*socket));
  }
  return connect_sockets();
}

Result<> Port::connect_sockets() {
  for (unsigned q = 0; q < sockets_.size(); ++q) {
    const int fd = sockets_[q]->fd();
    if (const int err = bpf_map_update_elem(xdp_.sockets.get(), &q, &fd, BPF_ANY); err != 0)
      return fail_errno(-err, "handing " + config_.device + " queue " + std::to_string(q) + " to AF_XDP");
  }
  return {};
}

Port::~Port() {
  if (promiscuous_) config_.promiscuous->drop(config_.ifindex);
}

Result<> Port::promiscuous() {
  if (auto ok = config_.promiscuous->add(config_.ifindex, config_.device); !ok) return ok;
  promiscuous_ = true;
  return {};
}

void Port::send(unsigned queue, FrameCache& cache, std::span<const FrameRef> frames, WorkerCounters& counters) {
  std::uint64_t bytes = 0;
  // Sizes first: a frame that was sent belongs to the kernel.
  std::array<std::uint32_t, 64> sizes;
  for (std::size_t at = 0; at < frames.size(); at += sizes.size()) {
    const auto part = frames.subspan(at, std::min(sizes.size(), frames.size() - at));
    for (std::size_t i = 0; i < part.size(); ++i) sizes[i] = cache.meta(part[i]).total;
    const std::size_t sent = sockets_[queue]->send(cache, part);
    for (std::size_t i = 0; i < sent; ++i) bytes += sizes[i];
    counters.tx_packets.add(sent);
    for (std::size_t i = sent; i < part.size(); ++i) cache.free_chain(part[i]);
    if (sent < part.size()) counters.drop(Drop::tx_queue_full, part.size() - sent);
  }
  counters.tx_bytes.add(bytes);
}

template <typename T, typename KeyOf>
void update_set(int map, std::set<T>& have, const std::set<T>& want, const std::string& device, KeyOf key_for) {
  const std::uint8_t one = 1;
  for (const T& v : have) {
    if (want.contains(v)) continue;
    const auto key = key_for(v);
    bpf_map_delete_elem(map, &key);
  }
  for (const T& v : want) {
    const auto key = key_for(v);
    if (bpf_map_update_elem(map, &key, &one, BPF_ANY) != 0)
      spdlog::warn("{}: the XDP filter is full; some tunnel traffic takes the slower path through the host", device);
  }
  have = want;
}

void Port::set_tunnel_ports(const std::set<std::uint16_t>& ports) {
  update_set(xdp_.tunnel_ports.get(), tunnel_ports_, ports, config_.device, [](std::uint16_t p) { return htons(p); });
}

void Port::set_local_addresses(const std::set<IpAddr>& addresses) {
  update_set(xdp_.local_addresses.get(), local_addresses_, addresses, config_.device, key_of);
}

}  // namespace

Result<std::unique_ptr<AfxdpPort>> AfxdpPort::open(XskFactory& factory, XdpPrograms& programs,
                                                   const AfxdpConfig& config) {
  auto port = std::make_unique<Port>(programs, config);
  if (auto ok = port->load(); !ok) return std::unexpected(ok.error());
  // Sockets before the program: no frame finds the program without a socket.
  if (auto ok = port->open_sockets(factory); !ok) return std::unexpected(ok.error());
  if (auto ok = port->attach(); !ok) return std::unexpected(ok.error());
  if (config.promiscuous != nullptr) {
    if (auto ok = port->promiscuous(); !ok) return std::unexpected(ok.error());
  }
  port->use_features();
  return port;
}

}  // namespace heddle::dp
