// SPDX-License-Identifier: Apache-2.0
#include "datapath/control/device_stack.h"

#include <vector>

namespace heddle::dp {

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
  std::vector<int> to_do(bases.begin(), bases.end());
  while (!to_do.empty()) {
    const int device = to_do.back();
    to_do.pop_back();
    const auto add = [&](int upper) {
      if (upper != 0 && bases.insert(upper).second) to_do.push_back(upper);
    };
    for (const auto& [index, place] : places_) {
      if (index == device) add(place.master);
      if (place.lower == device) add(index);
    }
  }
  return bases;
}

std::set<int> DeviceStack::below(int device) const {
  std::set<int> found{device};
  std::vector<int> to_do{device};
  while (!to_do.empty()) {
    const int upper = to_do.back();
    to_do.pop_back();
    const auto add = [&](int lower) {
      if (lower != 0 && found.insert(lower).second) to_do.push_back(lower);
    };
    for (const auto& [index, place] : places_) {
      if (index == upper) add(place.lower);
      if (place.master == upper) add(index);
    }
  }
  return found;
}

}  // namespace heddle::dp
