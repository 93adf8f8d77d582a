// SPDX-License-Identifier: Apache-2.0
#include "datapath/user/patch_peers.h"

#include <utility>

namespace heddle::dp {

Result<> PatchPeers::check(const PortSpec& spec) {
  if (!spec.peer.empty() && spec.peer != spec.name) return {};
  return fail(Errc::invalid, "patch port " + spec.name + " needs the name of another patch port (options:peer)");
}

// The other end of the port `name`, when that names it too.
const PatchPeers::End* PatchPeers::partner(const std::string& name, const End& end) const {
  const auto it = ends_.find(end.peer);
  return it != ends_.end() && it->second.peer == name ? &it->second : nullptr;
}

PortNo PatchPeers::peer_of(const std::string& name) const {
  const auto it = ends_.find(name);
  const End* other = it == ends_.end() ? nullptr : partner(name, it->second);
  return other == nullptr ? PortNo::none : other->no;
}

void PatchPeers::tell(const End& end, bool up) {
  end.shared->up.store(up, std::memory_order_relaxed);
  changed_.insert(end.no);
  news_.raise();
}

PortNo PatchPeers::add(PortNo no, const PortSpec& spec, PortShared& shared) {
  const End& end = ends_[spec.name] = {no, spec.peer, &shared};
  const End* other = partner(spec.name, end);
  shared.up.store(other != nullptr, std::memory_order_relaxed);
  if (other == nullptr) return PortNo::none;
  tell(*other, true);
  return other->no;
}

PortNo PatchPeers::remove(const std::string& name) {
  const auto node = ends_.extract(name);
  if (node.empty()) return PortNo::none;
  const End& end = node.mapped();
  end.shared->up.store(false, std::memory_order_relaxed);
  changed_.erase(end.no);
  const End* other = partner(name, end);
  if (other == nullptr) return PortNo::none;
  tell(*other, false);
  return other->no;
}

std::set<PortNo> PatchPeers::take_changed() {
  news_.clear();
  return std::exchange(changed_, {});
}

}  // namespace heddle::dp
