// SPDX-License-Identifier: Apache-2.0
// A frame's way out of and into a tunnel: VXLAN decapsulation and encapsulation, and the answer to a guest whose packet
// does not fit. The rest of the walk is in forwarder.cc.
#include <array>

#include "datapath/user/forwarder.h"
#include "packet/flow_hash.h"
#include "packet/headers.h"
#include "packet/icmp_error.h"

namespace heddle::dp {
namespace {

// Cuts a frame to `len` bytes, at least one: what follows is padding, or bytes that the outer header does not own up
// to.
void trim(FrameCache& cache, FrameRef f, std::uint32_t len) {
  cache.meta(f).total = len;
  while (len > cache.meta(f).len) {
    len -= cache.meta(f).len;
    f = cache.meta(f).next;
  }
  FrameMeta& last = cache.meta(f);
  last.len = static_cast<std::uint16_t>(len);
  if (last.next != kNoFrame) cache.free_chain(std::exchange(last.next, kNoFrame));
}

}  // namespace

const PortConf* Forwarder::tunnel_for(const packet::VxlanOuter& outer) const {
  const IpAddr src = outer.src_addr();
  const IpAddr dst = outer.dst_addr();
  const IpAddr any = src.is_v6() ? IpAddr::v6_bytes(std::array<std::uint8_t, 16>{}.data()) : IpAddr{};
  for (const IpAddr& remote : {src, any}) {
    const auto it = config_->tunnels.find({outer.vni, outer.dst_port, remote});
    if (it == config_->tunnels.end()) continue;
    const PortConf* open = nullptr;
    for (const PortConf* p : it->second) {
      if (p->tunnel_spec.local == dst) return p;
      if (!p->tunnel_spec.local) open = p;
    }
    if (open != nullptr) return open;
  }
  return nullptr;
}

// A Linux sender computes the outer checksum as it will be once the inner one is finished ("local checksum offload",
// Documentation/networking/checksum-offloads.rst): an unfinished inner one must be finished before the outer is judged.
void Forwarder::finish_inner_checksum(FrameRef f, const packet::VxlanOuter& outer) {
  FrameMeta& m = cache_.meta(f);
  if (!m.maybe_partial || m.len < outer.inner_offset) return;
  std::uint8_t* inner = cache_.data(f) + outer.inner_offset;
  const std::size_t contiguous = m.len - outer.inner_offset;
  packet::L2 l2;
  packet::L3L4 l;
  m.maybe_partial = false;
  if (packet::parse_l2(inner, contiguous, l2) || packet::parse_l3(inner, contiguous, outer.inner_len, l2, l)) return;
  if (!packet::looks_partial(inner, l)) return;
  segments(f);
  chain_.front().data += outer.inner_offset;
  chain_.front().len -= outer.inner_offset;
  packet::complete_partial(chain_, l);
}

void Forwarder::decapsulate(FrameRef f, const IoConf& underlay) {
  FrameMeta& m = cache_.meta(f);
  WorkerCounters& c = underlay.shared->worker[worker_].counters;
  packet::VxlanOuter outer;
  std::optional<Drop> bad = packet::parse_vxlan(cache_.data(f), m.len, m.total, outer);
  if (!bad && m.next != kNoFrame && m.len < outer.inner_offset + sizeof(packet::EthHeader)) bad = Drop::truncated;
  if (!bad) {
    finish_inner_checksum(f, outer);
    segments(f);
    if (!packet::udp_checksum_ok(chain_, outer)) bad = Drop::bad_udp_checksum;
  }
  const PortConf* port = bad ? nullptr : tunnel_for(outer);
  if (!bad && port == nullptr) bad = Drop::unknown_vni;
  if (bad) {
    c.drop(*bad);
    cache_.free_chain(f);
    return;
  }
  const IpAddr source = outer.src_addr();
  std::uint8_t* inner = cache_.data(f) + outer.inner_offset;
  m.offset = static_cast<std::uint16_t>(m.offset + outer.inner_offset);
  m.len = static_cast<std::uint16_t>(m.len - outer.inner_offset);
  trim(cache_, f, outer.inner_len);
  WorkerCounters& pc = counters(*port);
  pc.rx_packets.add(1);
  pc.rx_bytes.add(m.total);
  if ((outer.tos & packet::kEcnMask) != 0) {
    packet::L2 l2;
    bad = packet::parse_l2(inner, m.len, l2);
    if (!bad) bad = packet::ecn_decap_frame(outer.tos, inner, m.len, l2);
    if (bad) return drop(f, *port, *bad);
  }
  bridge(f, *port, port->multipoint() ? &source : nullptr);
}

void Forwarder::to_tunnel(const Transit& t, FrameRef f, const packet::L2& l2, const Target& to) {
  const PortConf& out = *to.port;
  const TunnelPath* path = to.path == 0 ? nullptr : paths_.at(to.path);
  if (path == nullptr || !path->usable) return drop(f, out, Drop::no_route);
  FrameMeta& m = cache_.meta(f);
  const packet::EncapTemplate& head = path->head;
  const unsigned overhead = head.len - static_cast<unsigned>(sizeof(packet::EthHeader));
  if (m.total + overhead > path->mtu) {
    std::uint16_t type = l2.eth_type;
    std::uint16_t headers = l2.l3_offset;
    (void)packet::skip_vlan_tags(cache_.data(f), m.len, type, headers);
    const unsigned room = path->mtu > overhead + headers ? path->mtu - overhead - headers : 0;
    answer_too_big(t, f, l2, room);
    return drop(f, out, Drop::tunnel_mtu);
  }
  if (m.offset < head.len) return drop(f, out, Drop::no_frame);
  settle_checksum(f, l2, false);
  const std::uint32_t hash = packet::inner_hash(cache_.data(f), m.len, l2);
  const auto inner = packet::inner_ip(cache_.data(f), m.len, l2);
  std::uint8_t tos = out.tunnel_spec.tos_inherit && inner ? inner->tos : out.tunnel_spec.tos;
  tos = packet::ecn_encap(tos, inner ? inner->tos : 0);
  const std::uint8_t ttl = out.tunnel_spec.ttl_inherit && inner ? inner->ttl : out.tunnel_spec.ttl;
  WorkerCounters& c = counters(out);
  c.tx_packets.add(1);
  c.tx_bytes.add(m.total);
  packet::write_encap(cache_.data(f) - head.len, head, m.total, packet::vxlan_source_port(hash), tos, ttl, ip_id_++);
  m.offset = static_cast<std::uint16_t>(m.offset - head.len);
  m.len = static_cast<std::uint16_t>(m.len + head.len);
  m.total += head.len;
  if (out.tunnel_spec.csum) {
    segments(f);
    packet::write_outer_udp_checksum(chain_, head);
  }
  queue(path->io, f);
}

// RFC 1812 4.3.2.8 asks for a limit on such answers; it is per ingress port, so that one guest cannot use up another's.
void Forwarder::answer_too_big(const Transit& t, FrameRef f, const packet::L2& l2, unsigned mtu) {
  constexpr unsigned kPerSecond = 100;
  IcmpBudget& budget = icmp_[static_cast<std::size_t>(t.in->no)];
  if (budget.second != now_) budget = {now_, 0};
  if (budget.sent >= kPerSecond || t.in->tunnel() || t.mirrored) return;
  const FrameRef answer = cache_.alloc();
  if (answer == kNoFrame) return;
  const FrameMeta& m = cache_.meta(f);
  const std::size_t size = packet::build_too_big({cache_.data(f), m.len}, m.total, l2, mtu,
                                                 {cache_.data(answer), limits::kFrameSize - limits::kFrameHeadroom});
  if (size == 0) {
    cache_.free_one(answer);
    return;
  }
  ++budget.sent;
  counters(*t.in).icmp_too_big.add(1);
  FrameMeta& am = cache_.meta(answer);
  am.len = static_cast<std::uint16_t>(size);
  am.total = static_cast<std::uint32_t>(size);
  Transit back = t;
  (void)packet::parse_l2(cache_.data(answer), size, back.l2);
  deliver(back, answer, {t.in, 0});
}

}  // namespace heddle::dp
