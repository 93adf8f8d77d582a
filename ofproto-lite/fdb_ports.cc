// SPDX-License-Identifier: Apache-2.0
#include "ofproto-lite/fdb_ports.h"

#include <ranges>

namespace heddle::ofproto {

Result<> FdbPorts::add(dp::PortNo number, dp::BridgeId bridge, std::string name, bool tunnel) {
  const auto [it, fresh] = ports_.try_emplace(number);
  if (!fresh && it->second.bridge != bridge)
    return fail(Errc::exists, "port " + name + ": its number is in use in another bridge; remove it there first");
  it->second.bridge = bridge;
  it->second.name = std::move(name);
  it->second.tunnel = tunnel;
  if (fresh) by_count_[bridge].emplace(0, number);
  return {};
}

void FdbPorts::remove(dp::PortNo number) {
  const auto it = ports_.find(number);
  if (it == ports_.end()) return;
  const auto counts = by_count_.find(it->second.bridge);
  counts->second.erase({it->second.learned_count, number});
  if (counts->second.empty()) by_count_.erase(counts);
  ports_.erase(it);
}

FdbPorts::Port* FdbPorts::find(dp::PortNo number) {
  const auto it = ports_.find(number);
  return it == ports_.end() ? nullptr : &it->second;
}

const FdbPorts::Port* FdbPorts::find(dp::PortNo number) const {
  const auto it = ports_.find(number);
  return it == ports_.end() ? nullptr : &it->second;
}

std::string FdbPorts::name(dp::PortNo number) const {
  const Port* port = find(number);
  return port == nullptr ? "a removed port" : port->name;
}

std::vector<dp::PortNo> FdbPorts::all() const {
  const auto numbers = std::views::keys(ports_);
  return {numbers.begin(), numbers.end()};
}

std::vector<dp::PortNo> FdbPorts::of(dp::BridgeId bridge) const {
  std::vector<dp::PortNo> out;
  if (const auto counts = by_count_.find(bridge); counts != by_count_.end())
    for (const auto& [count, number] : counts->second) out.push_back(number);
  return out;
}

FdbPorts::Port* FdbPorts::fullest(dp::BridgeId bridge) {
  const auto counts = by_count_.find(bridge);
  if (counts == by_count_.end()) return nullptr;
  const auto& [count, number] = *counts->second.rbegin();
  return count == 0 ? nullptr : &ports_.at(number);
}

void FdbPorts::attach(FdbEntry& entry) {
  Port& port = ports_.at(entry.target.port);
  if (entry.origin == Origin::learned) {
    port.learned.push_back(entry);
    recount(entry.target.port, port, 1);
  } else {
    port.lasting.push_back(entry);
  }
}

void FdbPorts::detach(FdbEntry& entry) {
  Port& port = ports_.at(entry.target.port);
  entry.of_port.unlink();
  if (entry.origin == Origin::learned) recount(entry.target.port, port, -1);
}

void FdbPorts::make_youngest(FdbEntry& entry) {
  List& learned = ports_.at(entry.target.port).learned;
  learned.splice(learned.end(), learned, learned.iterator_to(entry));
}

void FdbPorts::recount(dp::PortNo number, Port& port, int change) {
  auto& counts = by_count_.at(port.bridge);
  auto node = counts.extract({port.learned_count, number});
  port.learned_count += static_cast<std::size_t>(change);
  node.value().first = port.learned_count;
  counts.insert(std::move(node));
}

}  // namespace heddle::ofproto
