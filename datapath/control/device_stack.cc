// SPDX-License-Identifier: Apache-2.0
#include "datapath/control/device_stack.h"

#include <utility>

namespace heddle::dp {
namespace {

// Adds all that is reached from `found`. `edges` calls its argument with (from, to) for each edge; 0 is no device.
template <typename Edges>
std::set<int> closure(std::set<int> found, Edges edges) {
  bool more = true;
  const auto edge = [&](int from, int to) {
    if (from != 0 && to != 0 && found.contains(from) && found.insert(to).second) more = true;
  };
  while (std::exchange(more, false)) edges(edge);
  return found;
}

}  // namespace

void DeviceStack::read(netlink::Netlink& kernel) {
  const auto links = kernel.links();
  if (!links) return;
  places_.clear();
  for (const auto& link : *links) on_link(link);
}

// A veth's `link` is its peer, and a tunnel device's the way of its outer packets: neither brings the frames of the
// other on.
void DeviceStack::on_link(const netlink::Link& link) {
  Place place{0, link.master};
  if (!link.link_netns && (link.kind == "vlan" || link.kind == "macvlan" || link.kind == "macvtap" ||
                           link.kind == "ipvlan" || link.kind == "ipvtap" || link.kind == "macsec"))
    place.lower = link.link;
  if (place.lower == 0 && place.master == 0)
    places_.erase(link.index);
  else
    places_[link.index] = place;
}

std::set<int> DeviceStack::above(std::set<int> bases) const {
  return closure(std::move(bases), [this](const auto& edge) {
    for (const auto& [index, place] : places_) edge(place.lower, index), edge(index, place.master);
  });
}

std::set<int> DeviceStack::below(int device) const {
  return closure({device}, [this](const auto& edge) {
    for (const auto& [index, place] : places_) edge(index, place.lower), edge(place.master, index);
  });
}

}  // namespace heddle::dp
