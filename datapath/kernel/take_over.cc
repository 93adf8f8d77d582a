// SPDX-License-Identifier: Apache-2.0
#include "datapath/kernel/take_over.h"

#include <algorithm>
#include <cstring>

#include "base/log.h"

namespace heddle::dp {

TakeOver::TakeOver(const Programs& programs) : going_on_(programs.taken_over()) {
  if (!going_on_) return;
  programs.names.for_each([this](const hd_name_key& key, const hd_name& value) {
    const std::string name(value.name, strnlen(value.name, sizeof value.name));
    if (key.is_bridge != 0) {
      bridges_[name] = static_cast<BridgeId>(key.number);
    } else {
      ports_[name] = {static_cast<PortNo>(key.number), static_cast<PortKind>(value.kind),
                      static_cast<int>(value.ifindex), value.made_clsact != 0};
    }
  });
  spdlog::info("kernel datapath: taking over {} bridges and {} ports", bridges_.size(), ports_.size());
}

std::optional<TakeOver::Port> TakeOver::port(const std::string& name, PortKind kind) const {
  const auto it = ports_.find(name);
  if (it == ports_.end() || it->second.kind != kind) return std::nullopt;
  return it->second;
}

bool TakeOver::reserves(PortNo no) const {
  return std::ranges::any_of(ports_, [no](const auto& p) { return p.second.no == no; });
}

std::optional<BridgeId> TakeOver::bridge(const std::string& name) const {
  const auto it = bridges_.find(name);
  if (it == bridges_.end()) return std::nullopt;
  return it->second;
}

bool TakeOver::made_clsact(int ifindex) const {
  return std::ranges::any_of(ports_,
                             [&](const auto& p) { return p.second.made_clsact && p.second.ifindex == ifindex; });
}

}  // namespace heddle::dp
