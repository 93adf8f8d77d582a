// SPDX-License-Identifier: Apache-2.0
#include "datapath/kernel/kernel_bridges.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "base/log.h"

namespace heddle::dp {

std::size_t KernelBridges::free_number() const {
  std::set<BridgeId> taken = numbers();
  for (const auto& [name, id] : former_.bridges()) taken.insert(id);
  std::size_t number = 0;
  while (taken.contains(static_cast<BridgeId>(number))) ++number;
  return number;
}

Result<BridgeId> KernelBridges::add(const std::string& name) {
  if (bridges_.contains(name)) return fail(Errc::exists, "bridge " + name + " exists already");
  const auto id = former_.bridge(name).value_or(static_cast<BridgeId>(free_number()));
  if (static_cast<std::size_t>(id) >= limits::kBridges)
    return fail(Errc::limit, fmt::format("bridge {}: a switch has at most {} bridges", name, limits::kBridges));
  if (auto ok = fdb_.add_bridge(id); !ok) return fail(ok.error().code, "bridge " + name + ": " + ok.error().text);
  former_.claim_bridge(name);
  bridges_[name] = id;
  hd_name value{};
  std::strncpy(value.name, name.c_str(), sizeof value.name - 1);
  if (auto ok = programs_.names.put({static_cast<__u16>(id), 1}, value); !ok) spdlog::warn("{}", ok.error().text);
  return id;
}

void KernelBridges::remove(BridgeId bridge) {
  if (std::erase_if(bridges_, [&](const auto& b) { return b.second == bridge; }) == 0) return;
  ports_.on_bridge_removed(bridge);
  fdb_.remove_bridge(bridge);
  programs_.names.erase({static_cast<__u16>(bridge), 1});
}

Result<> KernelBridges::set(BridgeId bridge, const BridgePolicy& policy) {
  if (!numbers().contains(bridge))
    return fail(Errc::not_found, "no bridge number " + std::to_string(static_cast<int>(bridge)));
  if (auto ok = ports_.policies().put(bridge, policy); !ok) return ok;
  for (const auto& [slot, mirror] : policy.mirrors) {
    const PortEntry* out = mirror.output_vlan ? nullptr : ports_.registry().find(mirror.output);
    if (out != nullptr && out->multipoint())
      spdlog::warn("mirror to port {}: a multipoint tunnel gets no copies; use one with a remote_ip", out->name());
  }
  return ports_.on_bridge_policy(bridge);
}

std::set<BridgeId> KernelBridges::numbers() const {
  std::set<BridgeId> out;
  for (const auto& [name, id] : bridges_) out.insert(id);
  return out;
}

void KernelBridges::settle() {
  for (const auto& [name, id] : bridges_)
    if (!ports_.policies().knows(id))
      if (auto ok = set(id, {}); !ok) spdlog::error("kernel datapath: bridge {}: {}", name, ok.error().text);
  ports_.floods().settle(numbers());
  while (!former_.bridges().empty()) {
    const auto [name, id] = *former_.bridges().begin();
    fdb_.remove_bridge(id);
    ports_.policies().forget(id);
    programs_.names.erase({static_cast<__u16>(id), 1});
    former_.claim_bridge(name);
  }
}

}  // namespace heddle::dp
