// SPDX-License-Identifier: Apache-2.0
#include "vswitchd/applier.h"

#include <fmt/format.h>

#include <deque>
#include <utility>

#include "base/log.h"
#include "base/shell_word.h"
#include "vswitchd/qos_config.h"

namespace heddle::vswitchd {
namespace {

using ofproto::Switch;
using ofproto::SwitchPort;

// A rate of 0 stands for the device's speed.
std::optional<dp::QosSpec> effective_qos(const DesiredPort& want, const dp::PortState& state) {
  std::optional<dp::QosSpec> qos = want.qos;
  if (qos && qos->max_rate == 0) qos->max_rate = default_rate(state);
  return qos;
}

// Nothing is set in another network namespace: whoever moved a device there looks after it.
Result<> check_moved(const DesiredPort& want, const dp::PortState& state) {
  const dp::PortSpec& spec = want.config.spec;
  std::string wrong;
  if (spec.mtu && state.mtu != 0 && *spec.mtu != state.mtu)
    wrong = fmt::format("mtu {} instead of {} (ip link set {} mtu {})", state.mtu, *spec.mtu, shell_word(spec.name),
                        *spec.mtu);
  if (want.mac_asked && spec.mac && !state.mac.is_zero() && *spec.mac != state.mac)
    wrong += fmt::format("{}address {} instead of {} (ip link set {} address {})", wrong.empty() ? "" : ", ",
                         state.mac.to_string(), spec.mac->to_string(), shell_word(spec.name), spec.mac->to_string());
  if (wrong.empty()) return {};
  return fail(Errc::unsupported,
              "its device is in another network namespace, where the switch sets nothing, and has there " + wrong);
}

}  // namespace

Applier::Applier(const Desired& want, Switches switches, DeviceSetter set_device)
    : want_(want), switches_(std::move(switches)), set_device_(std::move(set_device)) {}

void Applier::begin(Plan plan) {
  plan_ = std::move(plan);
  if (plan_.all) {
    errors_.clear();
    adjusted_.clear();
    failed_.clear();
  }
  for (const auto& [name, error] : plan_.errors) start_anew(name, error);
  removed_ = applied_ = 0;
  bridges_done_ = false;
}

void Applier::start_anew(const std::string& name, const std::string& error) {
  adjusted_.erase(name);
  failed_.erase(name);
  if (error.empty())
    errors_.erase(name);
  else
    errors_[name] = error;
}

bool Applier::step(const std::function<bool()>& enough) {
  std::deque<dp::Ports::Batch> batches;
  for (const auto& [type, sw] : switches_) batches.emplace_back(sw->datapath_ports());
  while (removed_ < plan_.stale_ports.size()) {
    remove_port(plan_.stale_ports[removed_++]);
    if (enough()) return false;
  }
  if (!std::exchange(bridges_done_, true)) change_bridges();
  while (applied_ < plan_.ports.size()) {
    const Plan::Port& port = plan_.ports[applied_++];
    apply_port(port, *switches_.at(port.want->datapath));
    if (enough()) return false;
  }
  plan_ = {};
  removed_ = applied_ = 0;
  return true;
}

void Applier::look_at(const std::string& name, Switch& sw) {
  const auto want = want_.ports.find(name);
  const SwitchPort* port = sw.port(name);
  if (want == want_.ports.end() || port == nullptr || adjusted_[name] == sw.state(*port).ifindex) return;
  const auto remark = want_.remarks.find(name);
  start_anew(name, remark == want_.remarks.end() ? std::string{} : remark->second);
  apply_port({want->second, std::nullopt}, sw);
}

std::string Applier::error_of(const std::string& name) const {
  const auto it = errors_.find(name);
  return it == errors_.end() ? std::string{} : it->second;
}

// --- bridges ---

void Applier::change_bridges() {
  for (const Plan::Item& bridge : plan_.stale_bridges) remove_bridge(bridge);
  bridge_errors_.clear();
  for (const Plan::Item& bridge : plan_.bridges) apply_bridge(bridge);
  if (!bridge_errors_.empty()) add_ports_of_failed_bridges();
}

void Applier::remove_bridge(const Plan::Item& bridge) {
  switches_.at(bridge.datapath)->remove_bridge(bridge.name);
  if (const auto it = want_.bridges.find(bridge.name); it != want_.bridges.end())
    spdlog::warn(
        "bridge {}: moves from datapath {} to {}; its internal devices are made anew, IP addresses on them are lost "
        "and must be set again",
        bridge.name, bridge.datapath, it->second.datapath);
  else
    spdlog::info("removed bridge {}", bridge.name);
}

void Applier::apply_bridge(const Plan::Item& bridge) {
  Switch& sw = *switches_.at(bridge.datapath);
  const ofproto::BridgeConfig& config = want_.bridges.at(bridge.name).config;
  const bool is_new = !sw.has_bridge(bridge.name);
  if (const auto r = is_new ? sw.add_bridge(bridge.name, config) : sw.set_bridge(bridge.name, config); !r)
    bridge_errors_[bridge.name] = r.error().text;
  else if (is_new)
    spdlog::info("added bridge {}", bridge.name);
}

// They say so in their rows, also those that have not changed themselves.
void Applier::add_ports_of_failed_bridges() {
  for (const auto& [name, port] : want_.ports) {
    if (!bridge_errors_.contains(port->bridge) || plan_.errors.contains(name)) continue;
    const auto remark = want_.remarks.find(name);
    start_anew(name, remark == want_.remarks.end() ? std::string{} : remark->second);
    plan_.ports.push_back({port, std::nullopt});
  }
}

// --- ports ---

void Applier::note(const std::string& name, const Result<>& done) {
  if (done) return;
  again_.insert(name);
  failed_.insert(name);
  std::string& error = errors_[name];
  if (!error.empty()) error += "; ";
  error += done.error().text;
}

void Applier::remove_port(const Plan::Item& port) {
  Switch& sw = *switches_.at(port.datapath);
  const std::string bridge = sw.port(port.name)->bridge;
  if (auto r = sw.remove_port(port.name); !r) {
    again_.insert(port.name);
    spdlog::error("bridge {}: removing port {}: {}", bridge, port.name, r.error().text);
  } else {
    spdlog::info("bridge {}: removed port {}", bridge, port.name);
  }
}

void Applier::apply_port(const Plan::Port& port, Switch& sw) {
  const std::string& name = port.want->config.spec.name;
  if (const auto failed = bridge_errors_.find(port.want->bridge); failed != bridge_errors_.end())
    return note(name, fail(Errc::invalid, failed->second));
  const SwitchPort* now = sw.port(name);
  const Result<> done = now != nullptr ? change_port(*port.want, *now, sw) : add_port(port, sw);
  note(name, done);
  if (!done) return;
  now = sw.port(name);
  note(name, adjust_device(*port.want, *now, sw));
  if (const std::string error = sw.state(*now).qos_error; !error.empty()) note(name, fail(Errc::system, error));
  if (const std::string problem = overlay_(*port.want).problem; !problem.empty())
    note(name, fail(Errc::system, problem));
}

// With the members that are known at this moment.
ofproto::PortConfig Applier::whole_config(const DesiredPort& want) const {
  ofproto::PortConfig config = want.config;
  for (const IpAddr& member : overlay_(want).members)
    if (std::ranges::find(config.flood, member) == config.flood.end()) config.flood.push_back(member);
  return config;
}

Result<> Applier::change_port(const DesiredPort& want, const SwitchPort& now, Switch& sw) {
  ofproto::PortConfig config = whole_config(want);
  config.policy.bridge = now.config.policy.bridge;
  // A former number, or one that is not asked for any more, is no difference as long as the port has it.
  if (!config.ofport_request && now.config.ofport_request == now.ofport) config.ofport_request = now.ofport;
  const dp::PortState state = sw.state(now);
  config.qos = effective_qos(want, state);
  // What is not in force is asked for again: its cause may be gone.
  if (config == now.config && state.qos_error.empty() && state.error.empty()) return {};
  return sw.set_port(config);
}

Result<> Applier::add_port(const Plan::Port& port, Switch& sw) {
  const DesiredPort& want = *port.want;
  const std::string& name = want.config.spec.name;
  ofproto::PortConfig config = whole_config(want);
  if (!config.ofport_request) config.ofport_request = port.former_number;
  if (auto r = sw.add_port(want.bridge, config); !r) return r;
  spdlog::info("bridge {}: added port {}", want.bridge, name);
  const SwitchPort& now = *sw.port(name);
  const bool other_number = config.ofport_request != want.config.ofport_request && now.ofport != config.ofport_request;
  if (!want.qos && !other_number) return {};
  config = now.config;
  config.ofport_request = want.config.ofport_request;
  config.qos = effective_qos(want, sw.state(now));  // its rate may be the device's, which is known now
  return sw.set_port(config);
}

// A device of ours may have outlived the daemon or been changed by hand: what counts is what it has, not what we asked
// for last.
Result<> Applier::adjust_device(const DesiredPort& want, const SwitchPort& port, Switch& sw) {
  const dp::PortSpec& spec = port.config.spec;
  const dp::PortState state = sw.state(port);
  adjusted_[spec.name] = state.ifindex;
  if (!set_device_ || !spec.traits().has_device) return {};
  const auto mac = spec.mac && *spec.mac != state.mac ? spec.mac : std::nullopt;
  const auto mtu = spec.mtu && *spec.mtu != state.mtu ? spec.mtu : std::nullopt;
  if (state.present && state.moved) return check_moved(want, state);
  if (!state.present || state.ifindex == 0 || (!mac && !mtu)) return {};
  return set_device_(state.ifindex, mac, mtu);
}

}  // namespace heddle::vswitchd
