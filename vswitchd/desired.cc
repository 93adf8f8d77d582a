// SPDX-License-Identifier: Apache-2.0
#include "vswitchd/desired.h"

#include <utility>

namespace heddle::vswitchd {

void Difference::merge(Difference later) {
  all = all || later.all;
  root = root || later.root;
  names.merge(later.names);
  ports.merge(later.ports);
  bridges.merge(later.bridges);
  warnings.merge(later.warnings);
}

std::string canonical_datapath(const std::string& type, const DatapathOffer& offer) {
  if (type == "system") return "kernel";
  if (type == "netdev") return "user";
  if (!type.empty()) return type;
  if (!offer.standard.empty()) return offer.standard;
  return offer.types.contains("kernel") ? "kernel" : "user";
}

std::set<std::string> offered_words(const DatapathOffer& offer) {
  std::set<std::string> words;
  for (const auto& [type, kinds] : offer.types) words.insert(type);
  if (words.contains("kernel")) words.insert("system");
  if (words.contains("user")) words.insert("netdev");
  return words;
}

std::set<std::string> offered_interface_types(const DatapathOffer& offer) {
  std::set<std::string> types;
  for (const auto& [datapath, kinds] : offer.types)
    for (const dp::PortKind kind : kinds) types.insert(dp::traits(kind).type);
  return types;
}

}  // namespace heddle::vswitchd
