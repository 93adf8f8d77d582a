// SPDX-License-Identifier: Apache-2.0
#include "vswitchd/plan.h"

#include <algorithm>
#include <utility>

namespace heddle::vswitchd {
namespace {

using ofproto::SwitchPort;

class LiveSwitch final : public SwitchView {
 public:
  explicit LiveSwitch(const ofproto::Switch& sw) : sw_(sw) {}
  [[nodiscard]] std::vector<std::string> ports() const override { return sw_.ports(); }
  [[nodiscard]] std::vector<std::string> bridges() const override { return sw_.bridges(); }
  [[nodiscard]] const SwitchPort* port(const std::string& name) const override { return sw_.port(name); }
  [[nodiscard]] const ofproto::BridgeConfig* bridge(const std::string& name) const override { return sw_.bridge(name); }

 private:
  const ofproto::Switch& sw_;
};

bool bridge_may_stay(const Desired& want, const std::string& datapath, const std::string& name) {
  const auto it = want.bridges.find(name);
  return it == want.bridges.end() ? want.broken_bridges.contains(name) : it->second.datapath == datapath;
}

bool may_stay(const Desired& want, const std::string& datapath, const SwitchPort& port) {
  const std::string& name = port.config.spec.name;
  if (const auto it = want.ports.find(name); it != want.ports.end())
    return it->second->datapath == datapath && it->second->bridge == port.bridge &&
           dp::may_become(port.config.spec, it->second->config.spec);
  const auto broken = want.broken.find(name);
  return broken != want.broken.end() && broken->second.bridge == port.bridge &&
         bridge_may_stay(want, datapath, port.bridge);
}

class Planner {
 public:
  Planner(const Desired& want, const SwitchViews& now, const FormerNumber& former)
      : want_(want), now_(now), former_(former) {}

  // One name may be in two switches, when it moves.
  [[nodiscard]] std::set<std::string> all_names() const {
    std::set<std::string> names;
    for (const auto& [datapath, sw] : now_)
      for (std::string& name : sw->ports()) names.insert(std::move(name));
    for (const auto& [name, port] : want_.ports) names.insert(names.end(), name);
    for (const auto& [name, broken] : want_.broken) names.insert(names.end(), name);
    return names;
  }

  void plan_port(const std::string& name) {
    bool stays = false;
    for (const auto& [datapath, sw] : now_) {
      const SwitchPort* port = sw->port(name);
      if (port == nullptr) continue;
      if (may_stay(want_, datapath, *port))
        stays = true;
      else
        plan_.stale_ports.push_back({datapath, name});
    }
    std::string& error = plan_.errors[name];
    if (const auto remark = want_.remarks.find(name); remark != want_.remarks.end()) error = remark->second;
    if (const auto broken = want_.broken.find(name); broken != want_.broken.end())
      error = stays ? broken->second.error + "; the port keeps its former settings" : broken->second.error;
    if (const auto port = want_.ports.find(name); port != want_.ports.end())
      plan_.ports.push_back({port->second, former_ ? former_(port->second->row) : std::nullopt});
  }

  void plan_bridges() {
    for (const auto& [datapath, sw] : now_)
      for (std::string& name : sw->bridges())
        if (!bridge_may_stay(want_, datapath, name)) plan_.stale_bridges.push_back({datapath, std::move(name)});
    for (const auto& [name, bridge] : want_.bridges) {
      const ofproto::BridgeConfig* now = now_.at(bridge.datapath)->bridge(name);
      if (now == nullptr || *now != bridge.config) plan_.bridges.push_back({bridge.datapath, name});
    }
  }

  // Ports that ask for a number come first, then those that had one, so that no other takes it.
  Plan finish() {
    std::ranges::stable_sort(plan_.ports, {}, [](const Plan::Port& port) {
      return port.want->config.ofport_request ? 0 : port.former_number ? 1 : 2;
    });
    return std::move(plan_);
  }

 private:
  const Desired& want_;
  const SwitchViews& now_;
  const FormerNumber& former_;
  Plan plan_;
};

}  // namespace

std::unique_ptr<const SwitchView> view_of(const ofproto::Switch& sw) { return std::make_unique<LiveSwitch>(sw); }

Plan make_plan(const Desired& want, const SwitchViews& now, const FormerNumber& former,
               const std::set<std::string>* names) {
  Planner planner(want, now, former);
  for (const std::string& name : names != nullptr ? *names : planner.all_names()) planner.plan_port(name);
  planner.plan_bridges();
  Plan plan = planner.finish();
  plan.all = names == nullptr;
  return plan;
}

}  // namespace heddle::vswitchd
