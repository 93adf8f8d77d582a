// SPDX-License-Identifier: Apache-2.0
#include "vswitchd/control.h"

#include <fmt/format.h>

#include <algorithm>
#include <ranges>
#include <utility>

#include "base/drop_reason.h"
#include "base/limits.h"
#include "base/log.h"
#include "vswitchd/grid.h"
#include "vswitchd/log_commands.h"
#include "vswitchd/peer_commands.h"
#include "vswitchd/text.h"

namespace heddle::vswitchd {
namespace {

using ofproto::all_origins;
using ofproto::Bridge;
using ofproto::Origin;
using ofproto::origin_name;
using ofproto::Switch;

Result<dp::VlanId> read_vlan(const std::string& text) {
  const auto vlan = parse_number(text);
  if (!vlan || *vlan > limits::kVlanMax)
    return fail(Errc::invalid,
                fmt::format("VLAN \"{}\" must be a number from 0 to {}; 0 is untagged", text, limits::kVlanMax));
  return static_cast<dp::VlanId>(*vlan);
}

Result<MacAddr> read_mac(const std::string& text) {
  const auto mac = MacAddr::parse(text);
  if (!mac) return fail(Errc::invalid, "\"" + text + "\" is not a MAC address; write it like 02:00:00:00:00:01");
  return *mac;
}

Result<IpAddr> read_ip(const std::string& text) {
  const auto ip = IpAddr::parse(text);
  if (!ip)
    return fail(Errc::invalid, "\"" + text + "\" is not an IP address; write the VTEP's like 192.0.2.1 or 2001:db8::1");
  return *ip;
}

// ovs-appctl prints an error as it comes: it ends with a newline, as other text does.
ovsdb::RpcReply failure(const std::string& text) { return ovsdb::RpcReply::fail(ovsdb::Json(text + "\n")); }

ovsdb::RpcReply reply(const Result<std::string>& result) {
  return result ? ovsdb::RpcReply::ok(*result) : failure(result.error().text);
}

// The VTEP behind an entry: learned at a multipoint port, else the tunnel's own remote.
std::string remote_of(const Bridge& bridge, const std::string& name, const dp::FdbTarget& target) {
  if (target.remote) return target.remote->to_string();
  const ofproto::SwitchPort* port = bridge.port(name);
  const bool tunnel = port != nullptr && port->config.spec.is_tunnel();
  return tunnel && port->config.spec.tunnel.remote ? port->config.spec.tunnel.remote->to_string() : std::string{};
}

void add_drops(Grid& grid, const std::string& where, const dp::PortCounters& counters) {
  for (std::size_t i = 0; i < kDropCount; ++i) {
    if (counters.drops[i] == 0) continue;
    const auto reason = static_cast<Drop>(i);
    grid.add(
        {where, std::to_string(counters.drops[i]), std::string(drop_name(reason)), std::string(drop_text(reason))});
  }
}

std::uint64_t total_drops(const dp::PortCounters& counters) {
  std::uint64_t total = 0;
  for (const std::uint64_t n : counters.drops) total += n;
  return total;
}

}  // namespace

Control::Control(Ending ending) : ending_(std::move(ending)) {}

void Control::begin(std::map<std::string, Switch*> switches) {
  switches_ = std::move(switches);
  begun_ = true;
  for (const auto& command : std::exchange(waiting_, {})) command();
}

const std::vector<Control::Command>& Control::commands() {
  static const std::vector<Command> table{
      {"clients-show", "", 0, 0, "who is connected by which socket, and who was refused or cut off",
       &Control::clients_show},
      {"drops", "[PORT]", 0, 1, "lost frames by port and reason", &Control::drops},
      {"exit", "[--cleanup]", 0, 1, "end the daemon; --cleanup: and all forwarding, devices of ours removed",
       &Control::exit},
      {"fdb-add", "BRIDGE PORT VLAN MAC [REMOTE]", 4, 5,
       "add a static entry; REMOTE: address of the VTEP, for a multipoint tunnel port", &Control::fdb_add},
      {"fdb-del", "BRIDGE VLAN MAC", 3, 3, "remove an entry, static or learned", &Control::fdb_del},
      {"fdb-flush", "[BRIDGE]", 0, 1, "forget what was learned; static entries stay", &Control::fdb_flush},
      {"fdb-show", "BRIDGE", 1, 1, "the forwarding database", &Control::fdb_show},
      {"fdb-stats", "BRIDGE", 1, 1, "counters of the forwarding database", &Control::fdb_stats},
      {"fdb/flush", "[BRIDGE]", 0, 1, "as fdb-flush", &Control::fdb_flush},
      {"fdb/show", "BRIDGE", 1, 1, "as fdb-show", &Control::fdb_show},
      {"fdb/stats-show", "BRIDGE", 1, 1, "as fdb-stats", &Control::fdb_stats},
      {"help", "", 0, 0, "this list", &Control::help},
      {"list-commands", "", 0, 0, "this list", &Control::help},
      {"port-stats", "[PORT]", 0, 1, "packet counters by port", &Control::port_stats},
      {"qos-show", "PORT", 1, 1, "limits and counters of a port's queues", &Control::qos_show},
      {"qos/show", "PORT", 1, 1, "as qos-show", &Control::qos_show},
      {"version", "", 0, 0, "name and version of the program", &Control::version},
      {"vlog/list", "", 0, 0, "the log's level", &Control::vlog_list},
      {"vlog/reopen", "", 0, 0, "open the log file again, after it was renamed; as SIGHUP", &Control::vlog_reopen},
      {"vlog/set", "[LEVEL]...", 0, 16, "log level: off, err, warn, info, dbg or trace; or ANY:file:dbg and the like",
       &Control::vlog_set},
      {"vtep-show", "[BRIDGE]", 0, 1, "networks that a reflector has charge of: members, stations, who told",
       &Control::vtep_show},
  };
  return table;
}

Result<std::string> Control::run(const std::string& name, const Args& args) {
  const auto command = std::ranges::find(commands(), name, &Command::name);
  if (const auto peer = std::ranges::find(peer_commands(), name, &PeerCommand::name); peer != peer_commands().end())
    return cleaned_up_ ? fail(Errc::invalid, "the daemon is ending") : run_peer_command(*peer, switches_, args);
  if (command == commands().end())
    return fail(Errc::not_found, "\"" + name + "\" is not a command; \"help\" lists them");
  if (args.size() < command->min_args || args.size() > command->max_args)
    return fail(Errc::invalid, fmt::format("usage: {} {}", name, command->usage));
  if (cleaned_up_) return fail(Errc::invalid, "the daemon is ending");
  return (this->*command->function)(args);
}

void Control::add_to(ovsdb::RpcMethods& methods) {
  std::vector<std::string> names;
  for (const Command& command : commands()) names.emplace_back(command.name);
  for (const PeerCommand& command : peer_commands()) names.emplace_back(command.name);
  for (const std::string& name : names) {
    methods.add_deferred(name, [this, name](const ovsdb::Json& params, const ovsdb::Responder& respond) {
      if (begun_) return answer(name, params, respond);
      if (waiting_.size() >= limits::kClients) return respond(failure(name + ": the daemon is starting; try again"));
      waiting_.push_back([this, name, params, respond] { answer(name, params, respond); });
    });
  }
}

void Control::answer(const std::string& name, const ovsdb::Json& params, const ovsdb::Responder& respond) {
  Args args;
  for (const ovsdb::Json& param : params) {
    if (!param.is_string()) return respond(failure(name + ": parameters must be strings"));
    args.push_back(param.get<std::string>());
  }
  const auto result = run(name, args);
  respond(reply(result));
  if (name == "exit" && result) ending_.quit();
}

// --- the daemon itself ---

Result<std::string> Control::help(const Args& /*args*/) {
  Grid grid({"command", "arguments", ""}, "lll");
  for (const Command& command : commands()) grid.add({command.name, command.usage, command.help});
  for (const PeerCommand& command : peer_commands())
    if (command.function != nullptr) grid.add({command.name, command.usage, command.help});
  return grid.text();
}

Result<std::string> Control::version(const Args& /*args*/) { return "vswitchd (Heddle) " HEDDLE_VERSION "\n"; }

Result<std::string> Control::exit(const Args& args) {
  if (args.empty()) return std::string{};
  if (args[0] != "--cleanup") return fail(Errc::invalid, "\"" + args[0] + "\" is not known; usage: exit [--cleanup]");
  cleaned_up_ = true;
  ending_.clean_up();
  return std::string{};
}

Result<std::string> Control::vlog_list(const Args& /*args*/) { return list_log_levels(); }
Result<std::string> Control::vlog_reopen(const Args& /*args*/) { return reopen_log(); }
Result<std::string> Control::vlog_set(const Args& args) { return set_log_level(args); }

Result<std::string> Control::clients_show(const Args& /*args*/) { return show_clients(clients_()); }

// --- forwarding database ---

Result<Bridge*> Control::find_bridge(const std::string& name) const {
  std::vector<std::string> known;
  for (const auto& [type, sw] : switches_) {
    if (sw->has_bridge(name)) return sw->find_bridge(name);
    for (std::string& other : sw->bridges()) known.push_back(std::move(other));
  }
  if (known.empty()) return fail(Errc::not_found, "bridge " + name + " does not exist; there are no bridges");
  return fail(Errc::not_found, fmt::format("bridge {} does not exist; bridges: {}", name, fmt::join(known, ", ")));
}

Result<std::string> Control::vtep_show(const Args& args) {
  if (args.empty()) return vteps_(std::nullopt);
  if (auto bridge = find_bridge(args[0]); !bridge) return std::unexpected(bridge.error());
  return vteps_(args[0]);
}

Result<std::string> Control::fdb_show(const Args& args) {
  const auto bridge = find_bridge(args[0]);
  if (!bridge) return std::unexpected(bridge.error());
  const auto lines = (*bridge)->fdb().lines();
  Grid grid({"port", "VLAN", "MAC", "Age", "remote", "origin"}, "rrlrll");
  for (const auto& [port, row] : lines | std::views::take(limits::kShownRows))
    grid.add({port, std::to_string(row.key.vlan), row.key.mac.to_string(),
              row.origin == Origin::learned ? std::to_string(row.age) : "static", remote_of(**bridge, port, row.target),
              row.origin == Origin::learned ? "" : origin_name(row.origin)});
  if (lines.size() <= limits::kShownRows) return grid.text();
  return grid.text() + fmt::format("... and {} more\n", lines.size() - limits::kShownRows);
}

Result<std::string> Control::fdb_stats(const Args& args) {
  const auto bridge = find_bridge(args[0]);
  if (!bridge) return std::unexpected(bridge.error());
  const auto stats = (*bridge)->fdb().stats();
  const auto& config = (*bridge)->config();
  Grid grid({"bridge " + args[0], ""}, "lr");
  const auto line = [&](const std::string& what, std::uint64_t n) { grid.add({what, std::to_string(n)}); };
  const auto lines = [&](const char* what, const char* after, const auto& numbers) {
    for (const Origin origin : all_origins()) {
      const bool shown = origin == Origin::configured || (origin != Origin::learned && numbers[origin] > 0);
      const char* word = origin == Origin::configured ? "static" : origin_name(origin);
      if (shown) line(fmt::format("{} {}{}", what, word, after), numbers[origin]);
    }
  };
  line("entries", stats.entries);
  lines("of them", "", stats.of_origin);
  line("room for", config.fdb_capacity);
  line("aging time, seconds", static_cast<std::uint64_t>(config.aging.count()));
  line("learned", stats.learned);
  line("moved", stats.moved);
  line("expired", stats.expired);
  line("evicted to make room", stats.evicted);
  lines("refused: moves of", " entries", stats.refused_moves);
  line("refused: the bridge's own address on another port", stats.own_mac);
  line("refused: group or zero address as source", stats.bad_source);
  line("refused: table full of entries that do not age", stats.full);
  line("refused by the datapath", stats.datapath_refused);
  return grid.text();
}

Result<std::string> Control::fdb_flush(const Args& args) {
  std::size_t flushed = 0;
  if (args.empty()) {
    for (const auto& [type, sw] : switches_)
      for (const std::string& name : sw->bridges()) flushed += (*sw->find_bridge(name))->fdb().flush();
  } else {
    const auto bridge = find_bridge(args[0]);
    if (!bridge) return std::unexpected(bridge.error());
    flushed = (*bridge)->fdb().flush();
  }
  return fmt::format("{} {} flushed\n", flushed, flushed == 1 ? "entry" : "entries");
}

Result<std::string> Control::fdb_add(const Args& args) {
  const auto bridge = find_bridge(args[0]);
  if (!bridge) return std::unexpected(bridge.error());
  const auto vlan = read_vlan(args[2]);
  if (!vlan) return std::unexpected(vlan.error());
  const auto mac = read_mac(args[3]);
  if (!mac) return std::unexpected(mac.error());
  std::optional<IpAddr> remote;
  if (args.size() > 4) {
    const auto ip = read_ip(args[4]);
    if (!ip) return std::unexpected(ip.error());
    remote = *ip;
  }
  if (auto r = (*bridge)->fdb().add(args[1], *vlan, *mac, remote); !r) return std::unexpected(r.error());
  return std::string{};
}

Result<std::string> Control::fdb_del(const Args& args) {
  const auto bridge = find_bridge(args[0]);
  if (!bridge) return std::unexpected(bridge.error());
  const auto vlan = read_vlan(args[1]);
  if (!vlan) return std::unexpected(vlan.error());
  const auto mac = read_mac(args[2]);
  if (!mac) return std::unexpected(mac.error());
  if (auto r = (*bridge)->fdb().remove(*vlan, *mac); !r) return std::unexpected(r.error());
  return std::string{};
}

// --- counters ---

Result<std::vector<Control::Found>> Control::find_ports(const Args& args) const {
  std::vector<Found> found;
  std::vector<std::string> known;
  for (const auto& [type, sw] : switches_)
    for (const std::string& name : sw->ports()) {
      known.push_back(name);
      if (args.empty() || args[0] == name) found.push_back({sw, sw->port(name)});
    }
  if (!found.empty() || args.empty()) return found;
  if (known.empty()) return fail(Errc::not_found, "port " + args[0] + " does not exist; there are no ports");
  return fail(Errc::not_found, fmt::format("port {} does not exist; ports: {}", args[0], fmt::join(known, ", ")));
}

// Underlay devices come last: what is lost there has not reached a tunnel port yet.
Result<std::string> Control::drops(const Args& args) {
  std::vector<dp::UnderlayCounters> places;
  for (const auto& [type, sw] : switches_)
    for (dp::UnderlayCounters& u : sw->underlay_counters())
      if (args.empty() || args[0] == u.name) places.push_back(std::move(u));
  const auto ports = find_ports(args);
  if (!ports && places.empty()) return std::unexpected(ports.error());

  Grid grid({"port", "frames", "reason", ""}, "lrll");
  std::uint64_t all = 0;
  const auto add = [&](const std::string& where, const dp::PortCounters& counters) {
    all += total_drops(counters);
    add_drops(grid, where, counters);
  };
  if (ports)
    for (const auto& [sw, port] : *ports) add(port->config.spec.name, sw->counters(*port));
  for (const dp::UnderlayCounters& u : places) add(u.name, u.counters);
  return all > 0 ? grid.text() : "no drops\n";
}

Result<std::string> Control::port_stats(const Args& args) {
  const auto ports = find_ports(args);
  if (!ports) return std::unexpected(ports.error());
  Grid grid({"port", "bridge", "ofport", "rx packets", "rx bytes", "tx packets", "tx bytes", "drops",
             "learn events lost", "too-big answers"},
            "llrrrrrrrr");
  for (const auto& [sw, port] : *ports) {
    const auto c = sw->counters(*port);
    grid.add({port->config.spec.name, port->bridge,
              port->ofport == limits::kOfportLocal ? "LOCAL" : std::to_string(port->ofport),
              std::to_string(c.rx_packets), std::to_string(c.rx_bytes), std::to_string(c.tx_packets),
              std::to_string(c.tx_bytes), std::to_string(total_drops(c)), std::to_string(c.learn_dropped),
              std::to_string(c.icmp_too_big)});
  }
  return grid.text();
}

Result<std::string> Control::qos_show(const Args& args) {
  const auto ports = find_ports(args);
  if (!ports) return std::unexpected(ports.error());
  const auto& [sw, port] = ports->front();
  if (!port->config.qos) return fmt::format("port {} has no QoS\n", args[0]);
  const dp::QosSpec& spec = *port->config.qos;
  const auto counters = sw->queue_counters(*port);
  Grid grid({"queue", "min bit/s", "max bit/s", "burst bytes", "priority", "tx packets", "tx bytes", "dropped"},
            "rrrrrrrr");
  const auto rate = [](std::uint64_t n) { return n == 0 ? std::string("-") : std::to_string(n); };
  std::set<std::uint32_t> numbers;
  for (const auto& [number, queue] : spec.queues) numbers.insert(number);
  for (const auto& [number, count] : counters) numbers.insert(number);
  for (const std::uint32_t number : numbers) {
    const auto queue = spec.queues.find(number);
    const dp::QosQueue limits = queue == spec.queues.end() ? dp::QosQueue{} : queue->second;
    const auto found = counters.find(number);
    const dp::QueueCounters count = found == counters.end() ? dp::QueueCounters{} : found->second;
    grid.add({std::to_string(number), rate(limits.min_rate), rate(limits.max_rate), rate(limits.burst),
              std::to_string(limits.priority), std::to_string(count.tx_packets), std::to_string(count.tx_bytes),
              std::to_string(count.dropped)});
  }
  return fmt::format("port {}: at most {} bit/s\n", args[0], spec.max_rate) + grid.text();
}

}  // namespace heddle::vswitchd
