// SPDX-License-Identifier: Apache-2.0
#include "ofproto-lite/mirrors.h"

#include <algorithm>

#include "base/limits.h"

namespace heddle::ofproto {
namespace {

dp::PortNo number_of(const PortsByName& ports, const std::string& name) {
  const auto it = ports.find(name);
  return it == ports.end() ? dp::PortNo::none : it->second.number;
}

std::vector<dp::PortNo> numbers_of(const PortsByName& ports, const std::set<std::string>& names) {
  std::vector<dp::PortNo> out;
  for (const std::string& name : names)
    if (const dp::PortNo number = number_of(ports, name); number != dp::PortNo::none) out.push_back(number);
  return out;
}

}  // namespace

void Mirrors::assign_slots(const std::vector<MirrorConfig>& mirrors) {
  std::erase_if(slots_, [&](const auto& item) {
    return std::ranges::find(mirrors, item.first, &MirrorConfig::name) == mirrors.end();
  });
  std::set<unsigned> used;
  for (const auto& [name, slot] : slots_) used.insert(slot);
  for (const MirrorConfig& mirror : mirrors) {
    if (slots_.contains(mirror.name)) continue;
    unsigned slot = 0;
    while (used.contains(slot)) ++slot;
    if (slot >= limits::kMirrors) continue;
    used.insert(slot);
    slots_[mirror.name] = slot;
  }
}

std::map<unsigned, dp::MirrorSpec> Mirrors::resolve(const std::vector<MirrorConfig>& mirrors,
                                                    const PortsByName& ports) {
  assign_slots(mirrors);
  std::map<unsigned, dp::MirrorSpec> out;
  for (const MirrorConfig& mirror : mirrors) {
    const auto place = slot(mirror.name);
    if (!place) continue;
    dp::MirrorSpec spec{mirror.all, numbers_of(ports, mirror.from), numbers_of(ports, mirror.to), mirror.vlans, {}, {}};
    if (mirror.output.empty())
      spec.output_vlan = mirror.output_vlan;
    else
      spec.output = number_of(ports, mirror.output);
    if (spec.output != dp::PortNo::none || spec.output_vlan) out[*place] = std::move(spec);
  }
  return out;
}

std::optional<unsigned> Mirrors::slot(const std::string& mirror) const {
  const auto it = slots_.find(mirror);
  return it == slots_.end() ? std::nullopt : std::optional(it->second);
}

}  // namespace heddle::ofproto
