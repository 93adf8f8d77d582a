// SPDX-License-Identifier: Apache-2.0
#include "datapath/user/mirrors.h"

namespace heddle::dp {

void Mirrors::add_copies(const Ingress& in, Decision& d) {
  if (!d.admitted) return;
  std::uint32_t slots = in.port->derived.mirrors_in;
  for (const Output& to : d.outputs()) slots |= to.port->derived.mirrors_out;
  if (slots == 0) return;
  copies_.clear();
  for (const MirrorRule& m : in.port->rules->mirrors) {
    if ((slots & 1U << m.slot) == 0 || !m.wants(d.vlan)) continue;
    if (!m.spec.output_vlan) {
      to_port(in, m, d.vlan);
    } else if (d.drop != Drop::reserved_multicast) {
      // Another bridge of the output VLAN would take a frame to a reserved address for its neighbour's.
      to_vlan(in, m);
    }
  }
  d.copies = copies_;
}

// A port without the bridge's rules is gone or has moved to another bridge. A multipoint tunnel gets no copies, since
// the mirror does not say which remote is meant.
void Mirrors::to_port(const Ingress& in, const MirrorRule& mirror, VlanId vlan) {
  const PortConf* out = round_.config->port(mirror.spec.output);
  if (out == nullptr || out->rules != in.port->rules || out->multipoint()) return;
  MirrorCopy copy{&mirror, {out, out->path, vlan}, std::nullopt};
  if (out->is_down()) copy.drop = Drop::port_down;
  copies_.push_back(copy);
}

// The port that the frame came by gets a copy too.
void Mirrors::to_vlan(const Ingress& in, const MirrorRule& mirror) {
  const VlanId vlan = *mirror.spec.output_vlan;
  for (const auto& member : round_.config->bridges[static_cast<std::size_t>(in.port->policy.bridge)]) {
    const PortConf& out = *member;
    if (!out.derived.carried[vlan] || out.multipoint() || out.is_down()) continue;
    if (out.tunnel() && in.port->tunnel() && out.tunnel_spec.split_horizon) continue;
    copies_.push_back({&mirror, {&out, out.path, vlan}, std::nullopt});
  }
}

}  // namespace heddle::dp
