// SPDX-License-Identifier: Apache-2.0
#include "datapath/user/emitter.h"

#include <cstring>

#include "packet/headers.h"

namespace heddle::dp {
namespace {

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

Emitter::Emitter(const Round& round, FrameCache& cache, FrameChecksums& checksums, SourceReports& reports,
                 OutputQueues& queues, TunnelOutput& tunnels, PatchQueue& patches)
    : round_(round),
      cache_(cache),
      checksums_(checksums),
      reports_(reports),
      queues_(queues),
      tunnels_(tunnels),
      patches_(patches) {}

void Emitter::emit(FrameRef f, const Ingress& in, const Decision& d) {
  reports_.note(in, d);
  if (!d.copies.empty()) emit_copies(f, in, d);
  if (d.drop) return drop(f, *d.counted_at, *d.drop);
  const std::span<const Output> outputs = d.outputs();
  // The checksum is the same in every copy: finish it once. A single output may be able to take it unfinished.
  if (outputs.size() > 1) checksums_.finish(f, in.l2, false);
  for (const Output& to : outputs.first(outputs.size() - 1)) {
    const FrameRef copy = cache_.copy(f);
    if (copy == kNoFrame) {
      round_.counters(*to.port->shared).drop(Drop::no_frame);
      continue;
    }
    deliver(copy, in, to);
  }
  deliver(f, in, outputs.back());
}

void Emitter::emit_copies(FrameRef f, const Ingress& in, const Decision& d) {
  checksums_.finish(f, in.l2, false);
  for (const MirrorCopy& c : d.copies) {
    const FrameRef copy = c.drop ? kNoFrame : cache_.copy(f);
    if (copy == kNoFrame) {
      round_.counters(*c.to.port->shared).drop(c.drop.value_or(Drop::no_frame));
      continue;
    }
    MirrorShared::PerWorker& mine = c.mirror->shared->worker[round_.worker];
    mine.packets.add(1);
    mine.bytes.add(cache_.meta(copy).total);
    deliver(copy, in, c.to, Role::mirror_copy);
  }
}

void Emitter::deliver(FrameRef f, const Ingress& in, const Output& to, Role role) {
  const PortPolicy& p = to.port->policy;
  packet::L2 l2 = in.l2;
  const bool untagged =
      p.vlan_mode == VlanMode::access || to.vlan == 0 || (p.vlan_mode == VlanMode::native_untagged && to.vlan == p.tag);
  const auto priority = static_cast<std::uint16_t>(l2.vlan_tpid != 0 ? l2.vlan_tci & ~kVidMask : 0);
  set_tag(cache_, f, l2, !untagged, static_cast<std::uint16_t>(priority | to.vlan));
  if (to.port->tunnel()) {
    to_tunnel(f, l2, in, to, role);
  } else {
    to_device(f, l2, *to.port);
  }
}

void Emitter::to_device(FrameRef f, const packet::L2& l2, const PortConf& out) {
  if (out.io == kNoIo) {
    const auto why = traits(out.kind).has_peer ? patches_.put(f, out) : Drop::port_down;
    if (why) drop(f, out, *why);
    return;
  }
  const unsigned mtu = out.shared->mtu.load(std::memory_order_relaxed);
  // As the kernel's bridge, which keeps one tag beside the frame: neither that nor another one in the frame counts.
  constexpr unsigned kTag = 4;
  const unsigned beside = l2.vlan_tpid != 0 ? kTag : 0;
  if (mtu != 0 && cache_.meta(f).total > mtu + sizeof(packet::EthHeader) + kTag + beside)
    return drop(f, out, Drop::oversize);
  checksums_.finish(f, l2, round_.config->ios[out.io]->io->takes_partial());
  queues_.put(out.io, f);
}

void Emitter::to_tunnel(FrameRef f, const packet::L2& l2, const Ingress& in, const Output& to, Role role) {
  const auto why = tunnels_.send(f, l2, to);
  if (!why) return;
  if (*why == Drop::tunnel_mtu && role == Role::frame && !cache_.meta(f).to_be_cut) {
    const FrameRef answer = tunnels_.too_big_answer(in, f, l2, to);
    if (answer != kNoFrame) {
      Ingress back = in;
      (void)packet::parse_l2(cache_.data(answer), cache_.meta(answer).len, back.l2);
      deliver(answer, back, {in.port, 0, to.vlan});
    }
  }
  drop(f, *to.port, *why);
}

}  // namespace heddle::dp
