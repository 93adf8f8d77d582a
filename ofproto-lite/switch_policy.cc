// SPDX-License-Identifier: Apache-2.0
// What a bridge's configuration asks of the datapath beside its ports: fail mode, flood VLANs, mirrors; and egress
// shaping.
#include <algorithm>

#include "base/log.h"
#include "ofproto-lite/switch.h"

namespace heddle::ofproto {

// A mirror keeps its slot, and with it its counters, while it is there.
void Switch::assign_slots(Bridge& bridge) const {
  const auto& mirrors = bridge.config.mirrors;
  std::erase_if(bridge.slots, [&](const auto& item) {
    return std::ranges::find(mirrors, item.first, &MirrorConfig::name) == mirrors.end();
  });
  std::set<unsigned> used;
  for (const auto& [name, slot] : bridge.slots) used.insert(slot);
  for (const MirrorConfig& mirror : mirrors) {
    if (bridge.slots.contains(mirror.name)) continue;
    unsigned slot = 0;
    while (used.contains(slot)) ++slot;
    if (slot >= limits::kMirrors) continue;
    used.insert(slot);
    bridge.slots[mirror.name] = slot;
  }
}

// A mirror whose output port is not there selects nothing: its frames would have nowhere to go.
dp::BridgePolicy Switch::resolve(const std::string& name, Bridge& bridge) const {
  assign_slots(bridge);
  const auto number = [&](const std::string& port_name) {
    const SwitchPort* found = port(port_name);
    return found != nullptr && found->bridge == name ? found->number : dp::PortNo::none;
  };
  const auto numbers = [&](const std::set<std::string>& names) {
    std::vector<dp::PortNo> out;
    for (const std::string& port_name : names)
      if (const dp::PortNo n = number(port_name); n != dp::PortNo::none) out.push_back(n);
    return out;
  };
  dp::BridgePolicy policy{bridge.config.secure, bridge.config.flood_vlans, {}};
  for (const MirrorConfig& mirror : bridge.config.mirrors) {
    const auto slot = bridge.slots.find(mirror.name);
    if (slot == bridge.slots.end()) continue;
    dp::MirrorSpec spec{mirror.all, numbers(mirror.from), numbers(mirror.to), mirror.vlans, {}, {}};
    if (mirror.output.empty())
      spec.output_vlan = mirror.output_vlan;
    else
      spec.output = number(mirror.output);
    if (spec.output != dp::PortNo::none || spec.output_vlan) policy.mirrors[slot->second] = std::move(spec);
  }
  return policy;
}

// Who was learned on a port that is a mirror's now, or in a VLAN that is flooded now, is not to be found there.
void Switch::forget_stations(dp::BridgeId bridge, const dp::BridgePolicy& old, const dp::BridgePolicy& now) {
  const auto outputs = [](const dp::BridgePolicy& policy) {
    std::set<dp::PortNo> out;
    for (const auto& [slot, mirror] : policy.mirrors)
      if (mirror.output != dp::PortNo::none) out.insert(mirror.output);
    return out;
  };
  const auto before = outputs(old);
  for (const dp::PortNo port : outputs(now))
    if (!before.contains(port)) handler_.call([&](Fdb& fdb) { return fdb.flush({.port = port}); });
  const dp::VlanSet fresh = now.flood_vlans & ~old.flood_vlans;
  for (std::size_t vlan = 0; vlan < fresh.size() && fresh.any(); ++vlan)
    if (fresh.test(vlan))
      handler_.call([&](Fdb& fdb) { return fdb.flush({.bridge = bridge, .vlan = static_cast<dp::VlanId>(vlan)}); });
}

Result<> Switch::push_policy(const std::string& name, Bridge& bridge) {
  dp::BridgePolicy next = resolve(name, bridge);
  if (next == bridge.policy) return {};
  if (auto r = bridges_facet_.set(bridge.id, next); !r)
    return fail(r.error().code, "bridge " + name + ": " + r.error().text);
  forget_stations(bridge.id, bridge.policy, next);
  bridge.policy = std::move(next);
  return {};
}

std::optional<dp::MirrorCounters> Switch::mirror_counters(const std::string& bridge, const std::string& mirror) const {
  const auto it = bridges_.find(bridge);
  if (it == bridges_.end()) return std::nullopt;
  const auto slot = it->second.slots.find(mirror);
  if (slot == it->second.slots.end()) return std::nullopt;
  return bridges_facet_.mirror_counters(it->second.id, slot->second);
}

}  // namespace heddle::ofproto
