// SPDX-License-Identifier: Apache-2.0
#include "datapath/port.h"

#include <algorithm>

namespace heddle::dp {
namespace {

constexpr std::array<KindTraits, 5> kTraits{{
    {.kind = PortKind::netdev,
     .type = "system",
     .noun = "network device",
     .has_device = true,
     .made_by_us = false,
     .outlives = true,
     .is_tunnel = false,
     .has_peer = false,
     .may_shape = true,
     .stands_alone = true},
    {.kind = PortKind::tap,
     .type = "tap",
     .noun = "tap device",
     .has_device = true,
     .made_by_us = true,
     .outlives = false,
     .is_tunnel = false,
     .has_peer = false,
     .may_shape = true,
     .stands_alone = true},
    {.kind = PortKind::internal,
     .type = "internal",
     .noun = "internal port",
     .has_device = true,
     .made_by_us = true,
     .outlives = true,
     .is_tunnel = false,
     .has_peer = false,
     .may_shape = true,
     .stands_alone = true},
    {.kind = PortKind::vxlan,
     .type = "vxlan",
     .noun = "tunnel",
     .has_device = false,
     .made_by_us = false,
     .outlives = false,
     .is_tunnel = true,
     .has_peer = false,
     .may_shape = false,
     .stands_alone = false},
    {.kind = PortKind::patch,
     .type = "patch",
     .noun = "patch port",
     .has_device = false,
     .made_by_us = false,
     .outlives = false,
     .is_tunnel = false,
     .has_peer = true,
     .may_shape = false,
     .stands_alone = false},
}};

consteval bool in_order() {
  for (std::size_t i = 0; i < kTraits.size(); ++i)
    if (static_cast<std::size_t>(kTraits[i].kind) != i) return false;
  return true;
}
static_assert(in_order(), "traits() looks rows up by position");

}  // namespace

const KindTraits& traits(PortKind kind) { return kTraits.at(static_cast<std::size_t>(kind)); }

std::array<PortKind, 5> all_kinds() {
  std::array<PortKind, kTraits.size()> out{};
  std::ranges::transform(kTraits, out.begin(), &KindTraits::kind);
  return out;
}

std::optional<PortKind> kind_of_type(std::string_view type) {
  const auto row = std::ranges::find(kTraits, type, [](const KindTraits& t) { return std::string_view(t.type); });
  if (row == kTraits.end()) return std::nullopt;
  return row->kind;
}

bool same_end_point(const TunnelSpec& a, const TunnelSpec& b) {
  if (a.v6 != b.v6 || a.protocol != b.protocol) return false;
  return (a.group && b.group) || (a.remote == b.remote && a.local == b.local);
}

bool may_become(const PortSpec& from, const PortSpec& to) {
  PortSpec device = to;
  device.mac = from.mac;
  device.mtu = from.mtu;
  return device == from;
}

Result<> check_qos(const PortSpec& port, const QosSpec& qos) {
  const std::string where = "QoS of port " + port.name + ": ";
  if (!port.traits().may_shape)
    return fail(Errc::unsupported, where + "a " + port.traits().noun +
                                       " has no queues of its own: set it on the port by which the frames leave");
  if (qos.max_rate == 0) return fail(Errc::invalid, where + "max-rate must not be 0");
  if (qos.queues.size() > limits::kQueues)
    return fail(Errc::limit, where + "at most " + std::to_string(limits::kQueues) + " queues");
  if (!qos.queues.empty() && qos.queues.rbegin()->first > limits::kQueueMax)
    return fail(Errc::invalid, where + "queue numbers end at " + std::to_string(limits::kQueueMax));
  return {};
}

}  // namespace heddle::dp
