// SPDX-License-Identifier: Apache-2.0
#include "vswitchd/peer_commands.h"

#include <fmt/format.h>

#include "base/limits.h"

namespace heddle::vswitchd {
namespace {

using ofproto::SwitchPort;

const char* peer_type(const std::string& datapath) { return datapath == "kernel" ? "system" : "netdev"; }

std::string number_text(const SwitchPort& port) {
  return port.ofport == limits::kOfportLocal ? "65534" : std::to_string(port.ofport);
}

// ovs-vswitchd(8): the names of the bridges, one a line.
Result<std::string> list_bridges(const SwitchesByType& switches) {
  std::string text;
  for (const auto& [type, sw] : switches)
    for (const std::string& bridge : sw->bridges()) text += bridge + "\n";
  return text;
}

// Of each bridge the ports: name, OpenFlow number, number in the datapath, type.
Result<std::string> show_by_bridge(const SwitchesByType& switches) {
  std::string text;
  for (const auto& [type, sw] : switches) {
    if (sw->bridges().empty()) continue;
    text += fmt::format("{0}@heddle-{1}:\n", peer_type(type), type);
    for (const std::string& bridge : sw->bridges()) {
      text += fmt::format("  {}:\n", bridge);
      for (const std::string& name : sw->ports()) {
        const SwitchPort* port = sw->port(name);
        if (port->bridge != bridge) continue;
        text += fmt::format("    {} {}/{}: ({})\n", name, number_text(*port), static_cast<int>(port->number),
                            port->config.spec.traits().type);
      }
    }
  }
  return text;
}

Result<std::string> show_by_datapath(const SwitchesByType& switches) {
  std::string text;
  for (const auto& [type, sw] : switches) {
    if (sw->bridges().empty()) continue;
    text += fmt::format("{0}@heddle-{1}:\n", peer_type(type), type);
    for (const std::string& name : sw->ports()) {
      const SwitchPort* port = sw->port(name);
      text +=
          fmt::format("  port {}: {} ({})\n", static_cast<int>(port->number), name, port->config.spec.traits().type);
    }
  }
  return text;
}

Result<std::string> show_sizes(const SwitchesByType& switches) {
  std::size_t bridges = 0;
  std::size_t ports = 0;
  std::size_t stations = 0;
  for (const auto& [type, sw] : switches) {
    ports += sw->ports().size();
    for (const std::string& bridge : sw->bridges()) {
      ++bridges;
      stations += (*sw->find_bridge(bridge))->fdb().stats().entries;
    }
  }
  return fmt::format("bridges:{} ports:{} macs:{}\n", bridges, ports, stations);
}

Result<std::string> nothing_to_do(const SwitchesByType& /*switches*/) { return std::string{}; }

constexpr const char* kNoFlows = "there are no flow tables and no flow cache yet; fdb-show has the forwarding database";
constexpr const char* kNoBonds = "there are no bonds; a bond device of the kernel can be a port";
constexpr const char* kNoProtocol = "this protocol is not spoken; the vsctl(8) columns for it have no effect";

}  // namespace

const std::vector<PeerCommand>& peer_commands() {
  static const std::vector<PeerCommand> table{
      {"bfd/show", "", kNoProtocol, nullptr},
      {"bond/list", "", kNoBonds, nullptr},
      {"bond/show", "", kNoBonds, nullptr},
      {"cfm/show", "", kNoProtocol, nullptr},
      {"coverage/show", "", "there are no coverage counters; drops and port-stats count what happens to frames",
       nullptr},
      {"dpctl/dump-flows", "", kNoFlows, nullptr},
      {"dpctl/show", "", "the ports by datapath", show_by_datapath},
      {"dpif-netdev/pmd-stats-show", "", "there are no polling threads; port-stats counts frames", nullptr},
      {"dpif/dump-flows", "", kNoFlows, nullptr},
      {"dpif/show", "", "the ports by datapath and bridge", show_by_bridge},
      {"lacp/show", "", kNoBonds, nullptr},
      {"memory/show", "", "the numbers of bridges, ports and known stations", show_sizes},
      {"ofproto/list", "", "the bridges", list_bridges},
      {"ofproto/trace", "", kNoFlows, nullptr},
      {"ovsdb-server/compact", "[DATABASE]", "nothing: the database folds its journal by itself", nothing_to_do},
      {"rstp/show", "", kNoProtocol, nullptr},
      {"stp/show", "", kNoProtocol, nullptr},
      {"upcall/show", "", kNoFlows, nullptr},
  };
  return table;
}

Result<std::string> run_peer_command(const PeerCommand& command, const SwitchesByType& switches,
                                     const std::vector<std::string>& args) {
  if (command.function == nullptr) return fail(Errc::unsupported, fmt::format("{}: {}", command.name, command.help));
  const std::size_t most = *command.usage == 0 ? 0 : 1;
  if (args.size() > most)
    return fail(Errc::invalid, fmt::format("usage: {}{}{}", command.name, most == 0 ? "" : " ", command.usage));
  return command.function(switches);
}

}  // namespace heddle::vswitchd
