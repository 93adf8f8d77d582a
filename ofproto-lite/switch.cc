// SPDX-License-Identifier: Apache-2.0
#include "ofproto-lite/switch.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <ranges>
#include <utility>

namespace heddle::ofproto {

Switch::Switch(dp::Datapath& datapath, Handler& handler)
    : provider_{.ports = datapath.ports(), .bridges = datapath.bridges(), .handler = handler} {}

// --- bridges ---

Result<Bridge*> Switch::find_bridge(const std::string& name) {
  if (const auto it = bridges_.find(name); it != bridges_.end()) return it->second.get();
  if (bridges_.empty()) return fail(Errc::not_found, "bridge " + name + " does not exist; there are no bridges");
  return fail(Errc::not_found,
              fmt::format("bridge {} does not exist; bridges: {}", name, fmt::join(std::views::keys(bridges_), ", ")));
}

Result<> Switch::add_bridge(const std::string& name, const BridgeConfig& config) {
  if (bridges_.contains(name)) return fail(Errc::exists, "bridge " + name + " exists already");
  auto made = Bridge::make(provider_, name, config);
  if (!made) return std::unexpected(made.error());
  bridges_[name] = std::move(*made);
  return {};
}

Result<> Switch::set_bridge(const std::string& name, const BridgeConfig& config) {
  const auto bridge = find_bridge(name);
  if (!bridge) return std::unexpected(bridge.error());
  return (*bridge)->set(config);
}

void Switch::remove_bridge(const std::string& name) {
  const auto it = bridges_.find(name);
  if (it == bridges_.end()) return;
  for (const auto& [port_name, port] : it->second->ports()) {
    numbers_.erase(port.number);
    ports_.erase(port_name);
  }
  it->second->close();
  bridges_.erase(it);
}

const BridgeConfig* Switch::bridge(const std::string& name) const {
  const auto it = bridges_.find(name);
  return it == bridges_.end() ? nullptr : &it->second->config();
}

std::vector<std::string> Switch::bridges() const {
  const auto names = std::views::keys(bridges_);
  return {names.begin(), names.end()};
}

std::optional<dp::MirrorCounters> Switch::mirror_counters(const std::string& bridge, const std::string& mirror) const {
  const auto it = bridges_.find(bridge);
  return it == bridges_.end() ? std::nullopt : it->second->mirror_counters(mirror);
}

// --- ports ---

const SwitchPort* Switch::port(const std::string& name) const {
  const auto it = ports_.find(name);
  return it == ports_.end() ? nullptr : it->second;
}

const std::string* Switch::port_name(dp::PortNo number) const {
  const auto it = numbers_.find(number);
  return it == numbers_.end() ? nullptr : &it->second->config.spec.name;
}

std::vector<std::string> Switch::ports() const {
  const auto names = std::views::keys(ports_);
  return {names.begin(), names.end()};
}

Result<> Switch::add_port(const std::string& bridge_name, const PortConfig& config) {
  const auto bridge = find_bridge(bridge_name);
  if (!bridge) return std::unexpected(bridge.error());
  const std::string& name = config.spec.name;
  if (const SwitchPort* other = port(name))
    return fail(Errc::exists, "port " + name + " is already in bridge " + other->bridge + "; remove it there first");
  const auto added = (*bridge)->add_port(config);
  if (!added) return std::unexpected(added.error());
  ports_[name] = numbers_[(*added)->number] = *added;
  return {};
}

Result<> Switch::set_port(const PortConfig& config) {
  const SwitchPort* found = port(config.spec.name);
  if (found == nullptr) return fail(Errc::not_found, "port " + config.spec.name + " does not exist");
  return bridges_.at(found->bridge)->set_port(config);
}

Result<> Switch::remove_port(const std::string& name) {
  const SwitchPort* found = port(name);
  if (found == nullptr) return fail(Errc::not_found, "port " + name + " does not exist");
  Bridge& bridge = *bridges_.at(found->bridge);
  numbers_.erase(found->number);
  ports_.erase(name);
  return bridge.remove_port(name);
}

void Switch::refresh(dp::PortNo number) {
  if (const auto it = numbers_.find(number); it != numbers_.end())
    bridges_.at(it->second->bridge)->refresh(*it->second);
}

}  // namespace heddle::ofproto
