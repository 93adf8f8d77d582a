// SPDX-License-Identifier: Apache-2.0
// A forwarder with ports that only write down what is sent, and a configuration made by hand: no devices, no threads,
// no privileges. One World per test; at its end every packet buffer must be back.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include "datapath/user/forwarder.h"
#include "tests/unit/packet/frames.h"

namespace heddle::dp::test {

using packet::test::Bytes;

inline Bytes content(FrameCache& cache, FrameRef f) {
  Bytes out;
  for (; f != kNoFrame; f = cache.meta(f).next) out.insert(out.end(), cache.data(f), cache.data(f) + cache.meta(f).len);
  return out;
}

class FakeIo final : public PortIo {
 public:
  struct Sent {
    Bytes bytes;
    std::uint16_t csum_start;
    std::uint8_t csum_offset;
    bool operator==(const Sent&) const = default;
  };
  void receive(unsigned /*queue*/, FrameCache& /*cache*/, Batch& /*batch*/, WorkerCounters& /*c*/) override {}
  void send(unsigned /*queue*/, FrameCache& cache, std::span<const FrameRef> frames, WorkerCounters& c) override {
    for (const FrameRef f : frames) {
      const FrameMeta& m = cache.meta(f);
      sent.push_back({content(cache, f), m.csum_start, m.csum_offset});
      EXPECT_EQ(sent.back().bytes.size(), m.total);
      c.tx_packets.add(1);
      c.tx_bytes.add(m.total);
      cache.free_chain(f);
    }
  }
  [[nodiscard]] bool pending(unsigned /*queue*/) const override { return stuck > 0; }
  void nudge(unsigned /*queue*/, FrameCache& /*cache*/) override {
    ++nudged;
    if (stuck > 0) --stuck;
  }
  [[nodiscard]] unsigned queues() const override { return 1; }
  [[nodiscard]] int fd(unsigned /*queue*/) const override { return -1; }
  [[nodiscard]] bool cheap_to_poll() const override { return true; }
  [[nodiscard]] bool takes_partial() const override { return partial; }
  [[nodiscard]] std::vector<std::pair<std::string, std::string>> info() const override { return {{"io", "fake"}}; }

  std::vector<Sent> sent;
  unsigned stuck = 0;  // so many nudges until nothing is pending
  unsigned nudged = 0;
  bool partial = false;
};

// How a frame arrives.
struct Arrival {
  bool maybe_partial = false;
  std::vector<std::size_t> cuts = {};  // offsets at which a new buffer begins
};

class World {
 public:
  explicit World(unsigned workers = 1, unsigned me = 0)
      : pool(make_pool()), mail(workers), forwarder(me, *pool, paths, mail, learn_wakeup), workers_(workers), me_(me) {
    config.ports.resize(limits::kPorts);
    config.bridges.resize(limits::kBridges);
    config.rx.resize(workers);
    for (auto& b : bridges) b.fdb.store(new FdbTable(1000));
  }
  ~World() {
    EXPECT_EQ(buffers_at_home(), pool->count()) << "buffers leaked";
    for (auto& b : bridges) delete b.fdb.load();
    for (std::uint32_t n = 1; n < next_path_; ++n) delete paths.replace(n, nullptr);
  }
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  // --- configuration: takes effect with the next frame ---
  PortNo device(const PortPolicy& policy, PortKind kind = PortKind::netdev) {
    const PortNo no = make_port(policy, kind);
    ports[no].io = make_io(no, shared_[no].get(), static_cast<std::uint8_t>(me_));
    shared_[no]->up = true;
    return no;
  }
  PortNo tunnel(const TunnelSpec& spec, const PortPolicy& policy) {
    const PortNo no = make_port(policy, PortKind::vxlan);
    ports[no].tunnel_spec = spec;
    return no;
  }
  // Two ends of one link; the policies may be of two bridges.
  std::pair<PortNo, PortNo> patch(const PortPolicy& one, const PortPolicy& other) {
    const PortNo a = make_port(one, PortKind::patch);
    const PortNo b = make_port(other, PortKind::patch);
    ports[a].peer = b;
    ports[b].peer = a;
    shared_[a]->up = shared_[b]->up = true;
    return {a, b};
  }
  std::uint32_t underlay(std::uint8_t worker = 0) {
    underlays_.push_back(std::make_unique<PortShared>(workers_));
    return make_io(PortNo::none, underlays_.back().get(), worker);
  }
  // A path of a tunnel port out of `slot`; `local` and `remote` of one family.
  std::uint32_t path(PortNo port, const IpAddr& local, const IpAddr& remote, std::uint32_t slot, unsigned mtu = 1550) {
    const TunnelSpec& v = ports[port].tunnel_spec;
    auto p = std::make_unique<TunnelPath>();
    p->port = port;
    p->remote = remote;
    p->usable = true;
    p->mtu = mtu;
    p->io = slot;
    p->head = packet::make_encap_template(*MacAddr::parse("02:aa:00:00:00:02"), *MacAddr::parse("02:aa:00:00:00:01"),
                                          local, remote, v.vxlan().dst_port, v.vxlan().vni, v.tos, v.ttl, v.df);
    delete paths.replace(next_path_, p.release());
    return next_path_++;
  }
  void commit() { dirty_ = true; }

  FdbTable& fdb(unsigned bridge = 0) { return *bridges.at(bridge).fdb.load(); }
  void know(VlanId vlan, const MacAddr& mac, PortNo port, std::uint32_t path = 0, unsigned bridge = 0) {
    if (!fdb(bridge).put(fdb_key(vlan, mac), fdb_value(port, path), 1)) throw std::runtime_error("table full");
  }

  // --- traffic ---
  FrameRef make_frame(const Bytes& bytes, const Arrival& how = {}) {
    FrameCache& cache = forwarder.cache();
    std::vector<std::size_t> ends = how.cuts;
    ends.push_back(bytes.size());
    FrameRef first = kNoFrame;
    FrameRef last = kNoFrame;
    std::size_t from = 0;
    for (const std::size_t end : ends) {
      const FrameRef f = cache.alloc();
      if (f == kNoFrame) throw std::runtime_error("no buffer");
      if (end - from > limits::kFrameSize - limits::kFrameHeadroom) throw std::runtime_error("cut it smaller");
      std::copy(bytes.begin() + static_cast<std::ptrdiff_t>(from), bytes.begin() + static_cast<std::ptrdiff_t>(end),
                cache.data(f));
      cache.meta(f).len = static_cast<std::uint16_t>(end - from);
      if (last == kNoFrame) first = f;
      if (last != kNoFrame) cache.meta(last).next = f;
      last = f;
      from = end;
    }
    cache.meta(first).total = static_cast<std::uint32_t>(bytes.size());
    cache.meta(first).maybe_partial = how.maybe_partial;
    return first;
  }
  void begin() {
    if (std::exchange(dirty_, false)) build();
    forwarder.begin(config, std::chrono::seconds(now) + fraction);
  }
  void arrive_at_slot(std::uint32_t slot, const Bytes& bytes, const Arrival& how = {}) {
    begin();
    Batch batch;
    batch.frames[batch.n++] = make_frame(bytes, how);
    forwarder.input(slot, batch);
    forwarder.flush();
  }
  void arrive(PortNo port, const Bytes& bytes, const Arrival& how = {}) {
    arrive_at_slot(ports.at(port).io, bytes, how);
  }

  // --- what came of it; taken, so that the next look is at something new ---
  std::vector<FakeIo::Sent> sent_by_slot(std::uint32_t slot) { return std::exchange(ios.at(slot)->sent, {}); }
  std::vector<FakeIo::Sent> sent(PortNo port) { return sent_by_slot(ports.at(port).io); }
  // The one frame that was sent there.
  Bytes one(PortNo port) { return one_by_slot(ports.at(port).io); }
  Bytes one_by_slot(std::uint32_t slot) {
    auto all = sent_by_slot(slot);
    EXPECT_EQ(all.size(), 1U) << "frames sent by slot " << slot;
    return all.empty() ? Bytes{} : all.front().bytes;
  }
  using Drops = std::map<std::string, std::uint64_t>;  // "port:reason"; underlays are "u0", "u1"...
  Drops drops() {
    Drops fresh;
    const auto look = [&](const std::string& who, const PortShared& s) {
      auto& seen = seen_[&s];
      for (std::size_t i = 0; i < kDropCount; ++i) {
        std::uint64_t sum = 0;
        for (const auto& w : s.worker) sum += w.counters.drops[i].get();
        if (sum != seen[i]) fresh[who + ":" + std::string(drop_name(static_cast<Drop>(i)))] = sum - seen[i];
        seen[i] = sum;
      }
    };
    for (const auto& [no, s] : shared_) look(std::to_string(static_cast<int>(no)), *s);
    for (std::size_t i = 0; i < underlays_.size(); ++i) look("u" + std::to_string(i), *underlays_[i]);
    return fresh;
  }
  static Drops only(PortNo port, Drop why) {
    return {{std::to_string(static_cast<int>(port)) + ":" + std::string(drop_name(why)), 1}};
  }
  static Drops only_underlay(unsigned n, Drop why) {
    return {{"u" + std::to_string(n) + ":" + std::string(drop_name(why)), 1}};
  }
  std::vector<LearnRecord> learned(PortNo port) {
    std::vector<LearnRecord> out;
    LearnRecord r;
    while (shared_.at(port)->worker[me_].learned.pop(r)) out.push_back(r);
    return out;
  }
  PortCounters counters(PortNo port) {
    PortCounters sum;
    for (const auto& w : shared_.at(port)->worker) w.counters.add_to(sum);
    return sum;
  }
  PortShared& shared(PortNo port) { return *shared_.at(port); }
  FakeIo& io(PortNo port) { return *ios.at(ports.at(port).io); }

  // Takes every buffer out of the pool, counts, and gives them back.
  std::size_t buffers_at_home() {
    FrameCache& cache = forwarder.cache();
    std::set<FrameRef> all;
    for (FrameRef f = cache.alloc_raw(); f != kNoFrame; f = cache.alloc_raw()) {
      EXPECT_TRUE(all.insert(f).second) << "buffer " << f << " is there twice";
    }
    for (const FrameRef f : all) cache.free_one(f);
    return all.size();
  }

  std::unique_ptr<FramePool> pool;
  TunnelPaths paths;
  Mailboxes mail;
  Signal learn_wakeup;
  Forwarder forwarder;
  std::array<BridgeShared, 2> bridges;
  std::map<PortNo, PortConf> ports;  // edit, then commit()
  std::vector<std::shared_ptr<FakeIo>> ios;
  Config config;
  std::uint32_t now = 1;                   // seconds
  std::chrono::nanoseconds fraction{0};    // beside them
  std::map<unsigned, BridgePolicy> rules;  // by bridge; edit, then commit()

 private:
  static std::unique_ptr<FramePool> make_pool() {
    auto p = FramePool::create(2 * limits::kRing + limits::kMailbox);
    if (!p) throw std::runtime_error(p.error().text);
    return std::move(*p);
  }
  PortNo make_port(const PortPolicy& policy, PortKind kind) {
    const auto no = static_cast<PortNo>(ports.size() + 1);
    shared_[no] = std::make_unique<PortShared>(workers_);
    PortConf& p = ports[no];
    p.no = no;
    p.kind = kind;
    p.policy = policy;
    p.shared = shared_[no].get();
    commit();
    return no;
  }
  std::uint32_t make_io(PortNo port, PortShared* shared, std::uint8_t worker) {
    auto conf = std::make_shared<IoConf>();
    ios.push_back(std::make_shared<FakeIo>());
    conf->io = ios.back();
    conf->generation = ios.size();
    conf->port = port;
    conf->shared = shared;
    conf->queue_worker = {worker};
    config.ios.push_back(std::move(conf));
    commit();
    return static_cast<std::uint32_t>(config.ios.size() - 1);
  }
  void build() {
    ++config.version;
    config.tunnels.clear();
    for (auto& members : config.bridges) members.clear();
    std::map<std::size_t, std::shared_ptr<const BridgeRules>> made;
    for (const auto& [bridge, policy] : rules) made[bridge] = BridgeRules::make(policy, nullptr, workers_);
    for (auto& [no, port] : ports) {
      const auto bridge = static_cast<std::size_t>(port.policy.bridge);
      port.bridge = bridge < bridges.size() ? &bridges[bridge] : nullptr;
      auto conf = std::make_shared<PortConf>(port);
      conf->rules = made[bridge];
      conf->derive();
      if (conf->bridge != nullptr) config.bridges[bridge].push_back(conf);
      if (conf->tunnel()) {
        const IpAddr any = port.tunnel_spec.v6 ? *IpAddr::parse("::") : IpAddr{};
        config
            .tunnels[{port.tunnel_spec.vxlan().vni, port.tunnel_spec.vxlan().dst_port,
                      port.tunnel_spec.remote.value_or(any)}]
            .push_back(conf.get());
      }
      config.ports[static_cast<std::size_t>(no)] = std::move(conf);
    }
  }

  unsigned workers_;
  unsigned me_;
  bool dirty_ = true;
  std::map<PortNo, std::unique_ptr<PortShared>> shared_;
  std::vector<std::unique_ptr<PortShared>> underlays_;
  std::uint32_t next_path_ = 1;
  std::map<const PortShared*, std::array<std::uint64_t, kDropCount>> seen_;
};

inline MacAddr mac(unsigned n) { return MacAddr::from_u64(0x020000000000ULL + n); }

inline PortPolicy access(VlanId tag = 0) {
  PortPolicy p;
  p.bridge = static_cast<BridgeId>(0);
  p.vlan_mode = VlanMode::access;
  p.tag = tag;
  return p;
}
inline PortPolicy trunk(std::initializer_list<VlanId> trunks = {}, VlanMode mode = VlanMode::trunk, VlanId tag = 0) {
  PortPolicy p;
  p.bridge = static_cast<BridgeId>(0);
  p.vlan_mode = mode;
  p.tag = tag;
  for (const VlanId v : trunks) p.trunks.set(v);
  return p;
}

struct Tag {
  std::uint16_t tpid;
  std::uint16_t tci;
};
inline Bytes frame(const MacAddr& dst, const MacAddr& src, std::optional<Tag> tag = {},
                   const Bytes& rest = packet::test::cat({{0x12, 0x34}, Bytes(60, 0x5a)})) {
  using packet::test::be16_bytes;
  using packet::test::bytes_of;
  Bytes out = packet::test::cat({bytes_of(dst), bytes_of(src)});
  if (tag) out = packet::test::cat({out, be16_bytes(tag->tpid), be16_bytes(tag->tci)});
  return packet::test::cat({out, rest});
}

}  // namespace heddle::dp::test
