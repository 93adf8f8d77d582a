// SPDX-License-Identifier: Apache-2.0
#include "datapath/user/forwarder.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "packet/headers.h"

namespace heddle::dp {
namespace {

// IEEE 802.1D table 7-10: addresses that a bridge never forwards (spanning tree, pause, LLDP, ...).
bool is_reserved(const MacAddr& m) { return (m.to_u64() & 0xfffffffffff0ULL) == 0x0180c2000000ULL; }

constexpr std::uint16_t kVidMask = 0x0fff;
constexpr std::size_t kTagSize = 4;
constexpr std::size_t kAddresses = 12;

// Gives the frame the outer tag `tci`, or none. The tag's protocol stays when there was one.
void set_tag(FrameCache& cache, FrameRef f, packet::L2& l2, bool want, std::uint16_t tci) {
  FrameMeta& m = cache.meta(f);
  const bool has = l2.vlan_tpid != 0;
  if (has && !want) {
    std::uint8_t* at = cache.data(f);
    std::memmove(at + kTagSize, at, kAddresses);
    m.offset += kTagSize;
    m.len -= kTagSize;
    m.total -= kTagSize;
    l2.vlan_tpid = l2.vlan_tci = 0;
    l2.l3_offset -= kTagSize;
  } else if (want && (!has || l2.vlan_tci != tci)) {
    if (!has) {
      m.offset -= kTagSize;
      m.len += kTagSize;
      m.total += kTagSize;
      std::uint8_t* at = cache.data(f);
      std::memmove(at, at + kTagSize, kAddresses);
      l2.vlan_tpid = packet::kEthVlan;
      l2.l3_offset += kTagSize;
    }
    l2.vlan_tci = tci;
    const Be16 words[2] = {be16(l2.vlan_tpid), be16(tci)};
    std::memcpy(cache.data(f) + kAddresses, words, sizeof words);
  }
}

}  // namespace

Forwarder::Forwarder(unsigned worker, FramePool& pool, const TunnelPaths& paths, Mailboxes& mail, Signal& learned)
    : worker_(worker), cache_(pool), paths_(paths), mail_(mail), learned_(learned), icmp_(limits::kPorts) {}

void Forwarder::begin(const Config& config, std::chrono::nanoseconds now) {
  now_ns_ = static_cast<std::uint64_t>(now.count());
  now_ = static_cast<std::uint32_t>(std::chrono::duration_cast<std::chrono::seconds>(now).count());
  config_ = &config;
  if (version_ != config.version) adopt(config);
}

void Forwarder::adopt(const Config& config) {
  version_ = config.version;
  // Queued frames were flushed under the guard of the configuration they belong to, so the queues are empty here.
  tx_.resize(std::max(tx_.size(), config.ios.size()));
  out_.assign(config.ios.size(), {});
  pending_.clear();
  for (std::size_t i = 0; i < config.ios.size(); ++i) {
    const IoConf* io = config.ios[i].get();
    if (io == nullptr) continue;
    out_[i].owner = io->queue_worker.front();
    const auto q = io->queue_for(worker_);
    if (!q) continue;
    out_[i].own = static_cast<int>(*q);
    out_[i].pending = true;  // not known: the next nudge() finds out
    pending_.push_back(static_cast<std::uint32_t>(i));
    // With QoS the first queue carries everything, so that the port's rate is one.
    if (!io->qos || out_[i].owner == worker_) out_[i].queue = out_[i].own;
  }
  adopt_shapers();
}

void Forwarder::drop(FrameRef f, const PortConf& at, Drop why) {
  counters(at).drop(why);
  cache_.free_chain(f);
}

void Forwarder::input(std::uint32_t slot, const Batch& batch) {
  const IoConf& io = *config_->ios[slot];
  const PortConf* port = config_->port(io.port);
  std::uint64_t bytes = 0;
  // The frames lie in the cache of the core that received them. An underlay's inner headers are in the second line.
  constexpr std::size_t kLine = 64;
  for (std::uint32_t i = 0; i < batch.n; ++i) {
    __builtin_prefetch(cache_.data(batch.frames[i]));
    if (port == nullptr) __builtin_prefetch(cache_.data(batch.frames[i]) + kLine);
    bytes += cache_.meta(batch.frames[i]).total;
  }
  WorkerCounters& c = io.shared->worker[worker_].counters;
  c.rx_packets.add(batch.n);
  c.rx_bytes.add(bytes);
  for (std::uint32_t i = 0; i < batch.n; ++i) {
    if (port != nullptr) {
      bridge(batch.frames[i], *port, nullptr);
    } else {
      decapsulate(batch.frames[i], io);
    }
  }
  if (!patched_.empty()) arrive_at_peers();
}

std::size_t Forwarder::segments(FrameRef f) {
  chain_.clear();
  for (; f != kNoFrame; f = cache_.meta(f).next) chain_.push_back({cache_.data(f), cache_.meta(f).len});
  return chain_.size();
}

void Forwarder::bridge(FrameRef f, const PortConf& in, const IpAddr* outer_source) {
  if (!in.plain) return bridge_by_rules(f, in, outer_source);
  Transit t{f, &in, outer_source, {}, 0};
  if (!admit(t)) return;
  if (in.policy.learning && !t.l2.src.is_zero()) look_at_source(t);
  forward(t);
}

// What no bridge takes, and the ingress rules of IEEE 802.1Q 8.6.2; a tag with VLAN 0 carries a priority only. What no
// bridge forwards is let in for mirrors alone.
bool Forwarder::admit(Transit& t) {
  const auto refuse = [&](Drop why) {
    drop(t.frame, *t.in, why);
    return false;
  };
  if (const auto bad = packet::parse_l2(cache_.data(t.frame), cache_.meta(t.frame).len, t.l2)) return refuse(*bad);
  if (t.in->bridge == nullptr) return refuse(Drop::no_bridge);
  if (t.l2.src.is_multicast()) return refuse(Drop::source_multicast);
  t.reserved = is_reserved(t.l2.dst);
  if (t.reserved && t.in->mirrors_in == 0) return refuse(Drop::reserved_multicast);
  const PortPolicy& p = t.in->policy;
  const VlanId vid = t.l2.vlan_tpid != 0 ? t.l2.vlan_tci & kVidMask : 0;
  if (vid != 0 && p.vlan_mode == VlanMode::access)
    return refuse(t.reserved ? Drop::reserved_multicast : Drop::vlan_tagged_on_access);
  t.vlan = vid != 0 || p.vlan_mode == VlanMode::trunk ? vid : p.tag;
  return t.in->carried[t.vlan] || refuse(t.reserved ? Drop::reserved_multicast : Drop::vlan_not_member);
}

void Forwarder::look_at_source(const Transit& t) {
  FdbTable* fdb = t.in->bridge->fdb.load(std::memory_order_acquire);
  const std::uint64_t key = fdb_key(t.vlan, t.l2.src);
  FdbValue expected = fdb_value(t.in->no, t.in->path);
  if (t.outer_source != nullptr) {
    // The path's number is not known from the packet; an entry is right when its path leads to the packet's sender.
    const FdbValue v = fdb->find(key);
    const TunnelPath* path = fdb_port(v) == t.in->no ? paths_.at(fdb_path(v)) : nullptr;
    expected = path != nullptr && path->remote == *t.outer_source ? v : 0;
  }
  if (expected != 0 && fdb->find_source(key, expected, now_) == expected) return;
  auto& mine = t.in->shared->worker[worker_];
  LearnRecord record{key, t.in->policy.bridge, t.outer_source != nullptr, {}};
  if (t.outer_source != nullptr) record.remote = *t.outer_source;
  if (mine.learned.push(record)) {
    tell_handler_ = true;
  } else {
    mine.counters.learn_dropped.add(1);
  }
}

// False: nobody knows where it is, or everybody is meant.
bool Forwarder::destination(const Transit& t, Target& to) const {
  if (t.l2.dst.is_multicast()) return false;
  const FdbValue v = t.in->bridge->fdb.load(std::memory_order_acquire)->find(fdb_key(t.vlan, t.l2.dst));
  const PortConf* out = v == 0 ? nullptr : config_->port(fdb_port(v));
  if (out == nullptr || out->bridge != t.in->bridge) return false;
  to = {out, fdb_path(v)};
  return true;
}

void Forwarder::forward(const Transit& t) {
  Target to;
  if (!destination(t, to)) {
    flood_set(t);
    return targets_.empty() ? drop(t.frame, *t.in, Drop::no_destination) : deliver_all(t);
  }
  const Drop why = blocked(t, to);
  if (why != Drop::count_) return drop(t.frame, is_egress(why) ? *to.port : *t.in, why);
  deliver(t, t.frame, to);
}

// Drop::count_ when nothing forbids the frame to go there. A multipoint port without split horizon is a hub: it may
// send to any remote but the one the frame came from.
Drop Forwarder::blocked(const Transit& t, const Target& to) const {
  const PortConf& out = *to.port;
  if (&out == t.in && !out.multipoint()) return Drop::same_port;
  if (out.tunnel() && t.in->tunnel() && out.tunnel_spec.split_horizon) return Drop::split_horizon;
  if (&out == t.in && t.outer_source != nullptr) {
    const TunnelPath* path = paths_.at(to.path);
    if (path != nullptr && path->remote == *t.outer_source) return Drop::same_port;
  }
  if (out.policy.protected_port && t.in->policy.protected_port) return Drop::protected_port;
  if (!out.carried[t.vlan]) return Drop::egress_vlan;
  if (is_down(out)) return Drop::port_down;
  return Drop::count_;
}

void Forwarder::flood_set(const Transit& t) {
  targets_.clear();
  for (const auto& member : config_->bridges[static_cast<std::size_t>(t.in->policy.bridge)]) {
    const PortConf& out = *member;
    const std::span<const std::uint32_t> paths =
        out.multipoint() ? std::span<const std::uint32_t>(out.flood) : std::span(&out.path, 1);
    for (const std::uint32_t path : paths) {
      const Target to{&out, path};
      if (blocked(t, to) == Drop::count_) targets_.push_back(to);
    }
  }
}

void Forwarder::deliver_all(const Transit& t) {
  // The checksum is the same in every copy: finish it once. One target may be able to take it unfinished.
  if (targets_.size() > 1) settle_checksum(t.frame, t.l2, false);
  for (std::size_t i = 0; i + 1 < targets_.size(); ++i) {
    const FrameRef copy = cache_.copy(t.frame);
    if (copy == kNoFrame) {
      counters(*targets_[i].port).drop(Drop::no_frame);
      continue;
    }
    deliver(t, copy, targets_[i]);
  }
  deliver(t, t.frame, targets_.back());
}

// The walk of frames that come by a port which is not plain: policing, fail_mode, VLANs that are flooded, mirrors.
void Forwarder::bridge_by_rules(FrameRef f, const PortConf& in, const IpAddr* outer_source) {
  if (in.reserved) return drop(f, in, Drop::mirror_port);
  if (in.policer.limits() && !in.policer.pass(in.shared->policed, ticks_of_ns(now_ns_), cache_.meta(f).total))
    return drop(f, in, Drop::policed);
  Transit t{f, &in, outer_source, {}, 0};
  if (!admit(t)) return;
  if (in.rules) return forward_by_rules(t);
  if (in.policy.learning && !t.l2.src.is_zero()) look_at_source(t);
  forward(t);
}

// All ways out are known before the frame takes the first, for mirrors copy it as it came.
void Forwarder::forward_by_rules(const Transit& t) {
  const BridgeRules& rules = *t.in->rules;
  const bool floods = rules.flood_vlans[t.vlan];
  Drop why = Drop::count_;
  const PortConf* at = t.in;
  Target to{};
  targets_.clear();
  if (t.reserved) {
    why = Drop::reserved_multicast;
  } else if (rules.secure) {
    why = Drop::fail_secure;
  } else {
    if (!floods && t.in->policy.learning && !t.l2.src.is_zero()) look_at_source(t);
    if (!floods && destination(t, to)) {
      why = blocked(t, to);
      if (why == Drop::count_) targets_.push_back(to);
      if (is_egress(why)) at = to.port;
    } else {
      flood_set(t);
      if (targets_.empty()) why = Drop::no_destination;
    }
  }
  std::uint32_t slots = t.in->mirrors_in;
  for (const Target& target : targets_) slots |= target.port->mirrors_out;
  if (slots != 0) mirror(t, slots);
  if (why != Drop::count_) return drop(t.frame, *at, why);
  deliver_all(t);
}

void Forwarder::deliver(const Transit& t, FrameRef f, const Target& to) {
  const PortPolicy& p = to.port->policy;
  packet::L2 l2 = t.l2;
  const bool untagged =
      p.vlan_mode == VlanMode::access || t.vlan == 0 || (p.vlan_mode == VlanMode::native_untagged && t.vlan == p.tag);
  const auto priority = static_cast<std::uint16_t>(l2.vlan_tpid != 0 ? l2.vlan_tci & ~kVidMask : 0);
  set_tag(cache_, f, l2, !untagged, static_cast<std::uint16_t>(priority | t.vlan));
  if (to.port->tunnel()) {
    to_tunnel(t, f, l2, to);
  } else {
    to_device(f, l2, *to.port);
  }
}

void Forwarder::to_device(FrameRef f, const packet::L2& l2, const PortConf& out) {
  if (out.io == kNoIo) return traits(out.kind).has_peer ? to_peer(f, out) : drop(f, out, Drop::port_down);
  const unsigned mtu = out.shared->mtu.load(std::memory_order_relaxed);
  // As the kernel's bridge: one tag does not count.
  if (mtu != 0 && cache_.meta(f).total > mtu + l2.l3_offset) return drop(f, out, Drop::oversize);
  settle_checksum(f, l2, config_->ios[out.io]->io->takes_partial());
  queue(out.io, f);
}

void Forwarder::settle_checksum(FrameRef f, const packet::L2& l2, bool receiver_can) {
  FrameMeta& m = cache_.meta(f);
  if (!m.maybe_partial) return;
  m.maybe_partial = false;
  packet::L3L4 l;
  if (packet::parse_l3(cache_.data(f), m.len, m.total, l2, l)) return;
  if (!packet::looks_partial(cache_.data(f), l)) return;
  if (receiver_can && m.next == kNoFrame) {
    constexpr std::uint8_t kTcpField = 16;
    constexpr std::uint8_t kUdpField = 6;
    m.csum_start = l.l4_offset;
    m.csum_offset = l.l4_proto == packet::kProtoTcp ? kTcpField : kUdpField;
    return;
  }
  segments(f);
  packet::complete_partial(chain_, l);
}

void Forwarder::queue(std::uint32_t io, FrameRef f) {
  TxQueue& q = tx_[io];
  if (q.n == 0) dirty_.push_back(io);
  q.frames[q.n++] = f;
  if (q.n == q.frames.size()) send(io);
}

void Forwarder::resume(const Handover& item) {
  const IoConf* io = item.io < config_->ios.size() ? config_->ios[item.io].get() : nullptr;
  if (io == nullptr || io->generation != item.generation || out_[item.io].queue < 0) {
    cache_.free_chain(item.frame);
    if (io != nullptr) io->shared->worker[worker_].counters.drop(Drop::port_down);
    return;
  }
  queue(item.io, item.frame);
}

void Forwarder::send(std::uint32_t slot) {
  TxQueue& q = tx_[slot];
  const std::uint32_t n = std::exchange(q.n, 0);
  const IoConf* io = slot < config_->ios.size() ? config_->ios[slot].get() : nullptr;
  if (io == nullptr) {
    for (std::uint32_t i = 0; i < n; ++i) cache_.free_chain(q.frames[i]);
    return;
  }
  const WayOut& out = out_[slot];
  if (out.shaper != nullptr) return shape(slot, {q.frames.data(), n});
  if (out.queue >= 0) return transmit(slot, {q.frames.data(), n});
  WorkerCounters& c = io->shared->worker[worker_].counters;
  for (std::uint32_t i = 0; i < n; ++i) {
    if (mail_.put(worker_, out.owner, {slot, q.frames[i], io->generation})) continue;
    c.drop(Drop::mailbox_full);
    cache_.free_chain(q.frames[i]);
  }
}

// By a queue of ours.
void Forwarder::transmit(std::uint32_t slot, std::span<const FrameRef> frames) {
  if (frames.empty()) return;
  const IoConf& io = *config_->ios[slot];
  WayOut& out = out_[slot];
  const auto q = static_cast<unsigned>(out.queue);
  io.io->send(q, cache_, frames, io.shared->worker[worker_].counters);
  if (out.pending || !io.io->pending(q)) return;
  out.pending = true;
  pending_.push_back(slot);
}

void Forwarder::flush() {
  for (const std::uint32_t slot : dirty_) {
    if (tx_[slot].n > 0) send(slot);
  }
  dirty_.clear();
  if (!shapers_.empty()) release();
  if (tell_handler_) learned_.raise();
  tell_handler_ = false;
}

bool Forwarder::nudge() {
  std::erase_if(pending_, [&](std::uint32_t slot) {
    const auto q = static_cast<unsigned>(out_[slot].own);
    PortIo& io = *config_->ios[slot]->io;
    io.nudge(q, cache_);
    out_[slot].pending = io.pending(q);
    return !out_[slot].pending;
  });
  return !pending_.empty();
}

}  // namespace heddle::dp
