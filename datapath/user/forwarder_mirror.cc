// SPDX-License-Identifier: Apache-2.0
// Copies of frames for a bridge's mirrors. Which mirrors, and when: forward_by_rules() in forwarder.cc.
#include "datapath/user/forwarder.h"

namespace heddle::dp {

void Forwarder::mirror(const Transit& t, std::uint32_t slots) {
  // The checksum is the same in every copy: finish it once.
  settle_checksum(t.frame, t.l2, false);
  for (const MirrorRule& m : t.in->rules->mirrors) {
    if ((slots & 1U << m.slot) == 0 || !m.wants(t.vlan)) continue;
    Transit copy = t;
    copy.mirrored = true;
    if (m.spec.output_vlan) {
      if (t.reserved) continue;  // other bridges of that VLAN would take it for their neighbour's
      copy.vlan = *m.spec.output_vlan;
      for (const auto& member : config_->bridges[static_cast<std::size_t>(t.in->policy.bridge)])
        if (takes_copies(t, *member, copy.vlan)) mirror_to(copy, m, *member);
      continue;
    }
    const PortConf* out = config_->port(m.spec.output);
    // Of another bridge, or gone, or there is no telling which remote of a multipoint tunnel is meant.
    if (out == nullptr || out->rules != t.in->rules || out->multipoint()) continue;
    if (is_down(*out)) {
      counters(*out).drop(Drop::port_down);
    } else {
      mirror_to(copy, m, *out);
    }
  }
}

// Of a mirror into a VLAN. The port that the frame came by is one of those.
bool Forwarder::takes_copies(const Transit& t, const PortConf& out, VlanId vlan) const {
  if (!out.carried[vlan] || out.multipoint() || is_down(out)) return false;
  return !(out.tunnel() && t.in->tunnel() && out.tunnel_spec.split_horizon);
}

void Forwarder::mirror_to(const Transit& t, const MirrorRule& m, const PortConf& out) {
  const FrameRef copy = cache_.copy(t.frame);
  if (copy == kNoFrame) return counters(out).drop(Drop::no_frame);
  MirrorShared::PerWorker& mine = m.shared->worker[worker_];
  mine.packets.add(1);
  mine.bytes.add(cache_.meta(copy).total);
  deliver(t, copy, {&out, out.path});
}

}  // namespace heddle::dp
