// SPDX-License-Identifier: Apache-2.0
#include "datapath/user/tunnel_input.h"

#include <algorithm>
#include <array>
#include <utility>

#include "datapath/user/socket_underlay.h"
#include "packet/ecn.h"
#include "packet/headers.h"

namespace heddle::dp {
namespace {

// Cuts a frame to `len` bytes, at least one. The rest is padding, or bytes beyond the end that the outer header claims.
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

// A port with the packet's sender as its remote comes before a multipoint port, and of those one with the packet's
// destination as its local address before one without. A packet to a group is for the network's multipoint port alone.
std::expected<const PortConf*, Drop> TunnelInput::port_for(const packet::VxlanOuter& outer) const {
  const auto& tunnels = round_.config->tunnels;
  const IpAddr src = outer.src_addr();
  const IpAddr dst = outer.dst_addr();
  static const IpAddr any6 = IpAddr::v6_bytes(std::array<std::uint8_t, 16>{}.data());
  static const IpAddr any4;
  if (dst.is_multicast()) {
    const auto it = tunnels.find({outer.vni, outer.dst_port, dst.is_v6() ? any6 : any4});
    if (it == tunnels.end()) return std::unexpected(Drop::unknown_vni);
    const auto port = std::ranges::find(it->second, dst, [](const PortConf* p) { return p->tunnel_spec.group; });
    if (port == it->second.end()) return std::unexpected(Drop::wrong_group);
    return *port;
  }
  for (const IpAddr* remote : {&src, src.is_v6() ? &any6 : &any4}) {
    const auto it = tunnels.find({outer.vni, outer.dst_port, *remote});
    if (it == tunnels.end()) continue;
    const PortConf* open = nullptr;
    for (const PortConf* p : it->second) {
      if (p->tunnel_spec.local == dst) return p;
      if (!p->tunnel_spec.local) open = p;
    }
    if (open != nullptr) return open;
  }
  return std::unexpected(Drop::unknown_vni);
}

// See TunnelSpec::strict_ingress. Without a route the remote's packets are taken as a looser tunnel's.
bool TunnelInput::may_come_by(const PortConf& port, int device) const {
  if (port.tunnel_spec.strict_ingress && port.path != 0) {
    const TunnelPath* path = paths_.at(port.path);
    if (path != nullptr && !path->devices.empty()) return std::ranges::binary_search(path->devices, device);
  }
  return !is_guests(device);
}

bool TunnelInput::is_guests(int device) const { return std::ranges::binary_search(round_.config->untrusted, device); }

std::optional<Drop> TunnelInput::check(FrameRef f, packet::VxlanOuter& outer) {
  const FrameMeta& m = cache_.meta(f);
  if (const auto bad = packet::parse_vxlan(cache_.data(f), m.len, m.total, outer)) return bad;
  if (m.next != kNoFrame && m.len < outer.inner_offset + sizeof(packet::EthHeader)) return Drop::truncated;
  checksums_.finish_inner(f, outer);
  if (!packet::udp_checksum_ok(checksums_.segments(f), outer)) return Drop::bad_udp_checksum;
  return std::nullopt;
}

void TunnelInput::strip(FrameRef f, const packet::VxlanOuter& outer) {
  FrameMeta& m = cache_.meta(f);
  m.offset = static_cast<std::uint16_t>(m.offset + outer.inner_offset);
  m.len = static_cast<std::uint16_t>(m.len - outer.inner_offset);
  trim(cache_, f, outer.inner_len);
}

std::optional<Drop> TunnelInput::carry_congestion_marks(FrameRef f, const packet::VxlanOuter& outer) {
  if ((outer.tos & packet::kEcnMask) == 0) return std::nullopt;
  packet::L2 l2;
  if (const auto bad = packet::parse_l2(cache_.data(f), cache_.meta(f).len, l2)) return bad;
  return packet::ecn_decap_frame(outer.tos, cache_.data(f), cache_.meta(f).len, l2);
}

std::optional<TunnelInput::Arrival> TunnelInput::decapsulate(FrameRef f, const IoConf& underlay) {
  packet::VxlanOuter outer;
  std::optional<Drop> bad = check(f, outer);
  const PortConf* port = nullptr;
  if (!bad) {
    const auto found = port_for(outer);
    if (found)
      port = *found;
    else
      bad = found.error();
  }
  // By a device of the guests' a packet is theirs, whatever group they send to.
  if (!bad || *bad == Drop::wrong_group || *bad == Drop::unknown_vni) {
    const int device = underlay.device != 0 ? underlay.device : arrival_device(cache_.data(f));
    if (port != nullptr ? !may_come_by(*port, device) : outer.dst_addr().is_multicast() && is_guests(device))
      bad = Drop::wrong_ingress;
  }
  if (bad) {
    round_.counters(*underlay.shared).drop(*bad);
    cache_.free_chain(f);
    return std::nullopt;
  }
  const IpAddr source = outer.src_addr();
  strip(f, outer);
  WorkerCounters& c = round_.counters(*port->shared);
  c.rx_packets.add(1);
  c.rx_bytes.add(cache_.meta(f).total);
  if (const auto why = carry_congestion_marks(f, outer)) {
    c.drop(*why);
    cache_.free_chain(f);
    return std::nullopt;
  }
  return Arrival{port, source};
}

}  // namespace heddle::dp
