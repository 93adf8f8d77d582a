// SPDX-License-Identifier: Apache-2.0
#include "datapath/user/tunnel_output.h"

#include "packet/flow_hash.h"
#include "packet/headers.h"
#include "packet/icmp_error.h"

namespace heddle::dp {
namespace {

// Bytes of the outer IP packet beside the inner frame.
unsigned overhead(const TunnelPath& path) { return path.head.len - static_cast<unsigned>(sizeof(packet::EthHeader)); }

}  // namespace

TunnelOutput::TunnelOutput(const Round& round, FrameCache& cache, FrameChecksums& checksums, OutputQueues& queues,
                           const TunnelPaths& paths)
    : round_(round),
      cache_(cache),
      checksums_(checksums),
      queues_(queues),
      fragments_(round, cache, queues),
      paths_(paths),
      icmp_(limits::kPorts) {}

std::optional<Drop> TunnelOutput::send(FrameRef f, const packet::L2& l2, const Output& to) {
  const TunnelPath* path = to.path == 0 ? nullptr : paths_.at(to.path);
  if (path == nullptr || !path->usable) return Drop::no_route;
  const bool fits = cache_.meta(f).total + overhead(*path) <= path->mtu;
  if (!fits && (to.port->tunnel_spec.df || !TunnelFragments::possible(*path))) return Drop::tunnel_mtu;
  if (cache_.meta(f).total + overhead(*path) > UINT16_MAX) return Drop::tunnel_mtu;
  if (cache_.meta(f).offset < path->head.len) return Drop::no_frame;
  encapsulate(f, l2, *to.port, path->head);
  if (!fits) return fragments_.send(f, *path);
  queues_.put(path->io, f);
  return std::nullopt;
}

void TunnelOutput::encapsulate(FrameRef f, const packet::L2& l2, const PortConf& out,
                               const packet::EncapTemplate& head) {
  FrameMeta& m = cache_.meta(f);
  checksums_.finish(f, l2, false);
  const std::uint32_t hash = packet::inner_hash(cache_.data(f), m.len, l2);
  const auto inner = packet::inner_ip(cache_.data(f), m.len, l2);
  std::uint8_t tos = out.tunnel_spec.tos_inherit && inner ? inner->tos : out.tunnel_spec.tos;
  tos = packet::ecn_encap(tos, inner ? inner->tos : 0);
  const std::uint8_t ttl = out.tunnel_spec.ttl_inherit && inner ? inner->ttl : out.tunnel_spec.ttl;
  WorkerCounters& c = round_.counters(*out.shared);
  c.tx_packets.add(1);
  c.tx_bytes.add(m.total);
  packet::write_encap(cache_.data(f) - head.len, head, m.total, packet::vxlan_source_port(hash), tos, ttl, ip_id_++);
  m.offset = static_cast<std::uint16_t>(m.offset - head.len);
  m.len = static_cast<std::uint16_t>(m.len + head.len);
  m.total += head.len;
  if (out.tunnel_spec.csum) packet::write_outer_udp_checksum(checksums_.segments(f), head);
}

// The MTU that the answer names: bytes of the guest's IP packet.
unsigned TunnelOutput::room_for_packet(FrameRef f, const packet::L2& l2, const TunnelPath& path) {
  std::uint16_t type = l2.eth_type;
  std::uint16_t headers = l2.l3_offset;
  (void)packet::skip_vlan_tags(cache_.data(f), cache_.meta(f).len, type, headers);
  const unsigned taken = overhead(path) + headers;
  return path.mtu > taken ? path.mtu - taken : 0;
}

FrameRef TunnelOutput::too_big_answer(const Ingress& in, FrameRef f, const packet::L2& l2, const Output& to) {
  constexpr unsigned kPerSecond = 100;
  IcmpBudget& budget = icmp_[static_cast<std::size_t>(in.port->no)];
  if (budget.second != round_.seconds) budget = {round_.seconds, 0};
  const TunnelPath* path = paths_.at(to.path);
  if (path == nullptr || budget.sent >= kPerSecond || in.port->tunnel()) return kNoFrame;
  const FrameRef answer = cache_.alloc();
  if (answer == kNoFrame) return kNoFrame;
  const FrameMeta& m = cache_.meta(f);
  const std::size_t size = packet::build_too_big({cache_.data(f), m.len}, m.total, l2, room_for_packet(f, l2, *path),
                                                 {cache_.data(answer), limits::kFrameSize - limits::kFrameHeadroom});
  if (size == 0) {
    cache_.free_one(answer);
    return kNoFrame;
  }
  ++budget.sent;
  round_.counters(*in.port->shared).icmp_too_big.add(1);
  cache_.meta(answer).len = static_cast<std::uint16_t>(size);
  cache_.meta(answer).total = static_cast<std::uint32_t>(size);
  return answer;
}

}  // namespace heddle::dp
