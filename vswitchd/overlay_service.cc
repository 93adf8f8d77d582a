// SPDX-License-Identifier: Apache-2.0
#include "vswitchd/overlay_service.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <utility>

#include "base/limits.h"
#include "base/log.h"
#include "vswitchd/grid.h"

namespace heddle::vswitchd {
namespace {

using ofproto::Origin;
using overlay::Vni;

constexpr auto kStatusInterval = std::chrono::seconds(1);
std::map<std::string, ofproto::Handler*> handlers_of(const std::map<std::string, OverlayService::Datapath>& datapaths) {
  std::map<std::string, ofproto::Handler*> out;
  for (const auto& [type, datapath] : datapaths) out[type] = datapath.handler;
  return out;
}

}  // namespace

OverlayService::OverlayService(boost::asio::io_context& io, const ovsdb::Database& db, const RemoteConfig& remotes,
                               std::string evpn_folder, std::map<std::string, Datapath> datapaths,
                               OverlayWriter::LookAgain look_again)
    : io_(io),
      datapaths_(std::move(datapaths)),
      writer_(io, handlers_of(datapaths_), std::move(look_again)),
      sources_(io, db, remotes, std::move(evpn_folder), *this),
      timer_(io) {}

OverlayService::~OverlayService() {
  for (const auto& [type, datapath] : datapaths_) datapath.news->stop();
}

// --- networks ---

std::map<Vni, OverlayService::Network> OverlayService::wanted(const Desired& desired) {
  std::map<Vni, Network> out;
  const std::map<std::string, std::string> before = std::exchange(refused_, {});
  for (const auto& [name, port] : desired.ports) {
    if (port->control.empty()) continue;
    const auto datapath = datapaths_.find(port->datapath);
    const ofproto::SwitchPort* now = datapath == datapaths_.end() ? nullptr : datapath->second.sw->port(name);
    if (now == nullptr || !now->config.spec.multipoint()) continue;
    const dp::TunnelSpec& tunnel = now->config.spec.tunnel;
    const dp::PortPolicy& policy = now->config.policy;
    const Vni vni = tunnel.vxlan().vni;
    const auto [it, fresh] =
        out.try_emplace(vni, Network{name, port->bridge, port->datapath, port->control, policy.bridge, policy.tag,
                                     now->number, tunnel.v6, tunnel.local});
    if (!fresh)
      refused_[name] = fmt::format("options:control={}: port {} has network {} already; give this one another key",
                                   port->control, it->second.port, vni);
  }
  for (const auto& [name, reason] : before)
    if (!refused_.contains(name)) writer_.touch(name);
  for (const auto& [name, reason] : refused_)
    if (!before.contains(name)) writer_.touch(name);
  return out;
}

void OverlayService::configure(const Desired& desired) {
  sources_.configure([this](const std::string& control) {
    for (auto it = networks_.begin(); it != networks_.end();) {
      const auto here = it++;
      if (here->second.control == control) drop_network(here->first);
    }
  });
  std::map<Vni, Network> want = wanted(desired);
  std::erase_if(want, [this](const auto& n) { return sources_.find(n.second.control) == nullptr; });
  std::vector<Vni> gone;
  for (const auto& [vni, network] : networks_)
    if (const auto it = want.find(vni); it == want.end() || it->second != network) gone.push_back(vni);
  for (const Vni vni : gone) drop_network(vni);
  if (networks_.empty() && !want.empty())
    for (const auto& [type, datapath] : datapaths_)
      datapath.news->start([this, type = type, alive = std::weak_ptr(alive_)] {
        boost::asio::post(io_, [this, type, alive] {
          if (!alive.expired()) take_news(type);
        });
      });
  for (const auto& [vni, network] : want)
    if (!networks_.contains(vni)) add_network(vni, network);
  if (networks_.empty())
    for (const auto& [type, datapath] : datapaths_) datapath.news->stop();
  watch_status();
}

void OverlayService::add_network(Vni vni, const Network& network) {
  networks_[vni] = network;
  places_[{network.datapath, network.bridge_id, network.vlan}] = vni;
  sources_.find(network.control)->add_network(vni, network.local);
  tell_stations(vni, network);
}

// What the source has told goes by its own words: VtepSet says of each that it is withdrawn.
void OverlayService::drop_network(Vni vni) {
  const auto it = networks_.find(vni);
  if (overlay::Source* source = sources_.find(it->second.control); source != nullptr) source->remove_network(vni);
  places_.erase({it->second.datapath, it->second.bridge_id, it->second.vlan});
  writer_.touch(it->second.port);
  networks_.erase(it);
}

// --- from here to the source ---

void OverlayService::tell_stations(Vni vni, const Network& network) {
  overlay::Source* source = sources_.find(network.control);
  const Datapath& datapath = datapaths_.at(network.datapath);
  const auto rows = datapath.handler->call([&](ofproto::Fdb& fdb) { return fdb.rows(network.bridge_id); });
  for (const ofproto::FdbRow& row : rows) {
    if (row.key.vlan != network.vlan || (row.origin != Origin::learned && row.origin != Origin::configured)) continue;
    const std::string* name = datapath.sw->port_name(row.target.port);
    if (name == nullptr || datapath.sw->port(*name)->config.spec.is_tunnel()) continue;
    source->add_station(vni, row.key.mac, row.origin == Origin::configured);
  }
}

void OverlayService::take_news(const std::string& datapath) {
  const StationNews::Taken taken = datapaths_.at(datapath).news->take();
  if (taken.all_lost) {
    spdlog::warn("overlay: too much news of stations at once: all are told anew");
    for (const auto& [vni, network] : networks_)
      if (network.datapath == datapath) tell_stations(vni, network);
  }
  for (const StationNews::Item& item : taken.items) {
    const auto vni = places_.find({datapath, item.key.bridge, item.key.vlan});
    if (vni == places_.end()) continue;
    overlay::Source* source = sources_.find(networks_.at(vni->second).control);
    if (item.here) {
      writer_.here(datapath, item.key, item.port);
      source->add_station(vni->second, item.key.mac, item.fixed);
    } else {
      writer_.not_here(datapath, item.key);
      source->remove_station(vni->second, item.key.mac);
    }
  }
}

// --- from the source to here ---

void OverlayService::members_changed(Vni vni) {
  const auto it = networks_.find(vni);
  if (it == networks_.end()) return;
  writer_.touch(it->second.port);
}

void OverlayService::mac_changed(Vni vni, const MacAddr& mac, const std::optional<IpAddr>& vtep) {
  const auto it = networks_.find(vni);
  if (it == networks_.end()) return;
  const Network& network = it->second;
  const dp::FdbKey key{network.bridge_id, network.vlan, mac};
  const Origin origin = OverlaySources::origin_of(network.control);
  if (vtep && vtep->is_v6() == network.v6)
    writer_.put(network.datapath, origin, key, {network.number, *vtep});
  else
    writer_.withdraw(network.datapath, origin, key);
}

std::string OverlayService::error_of(Vni vni, const Network& network) const {
  const overlay::Source* source = sources_.find(network.control);
  if (source == nullptr) return {};
  std::string error = source->problem_of(vni);
  if (error.empty()) error = source->status().last_error;
  return error.empty() ? error : fmt::format("{}: {}", network.control, error);
}

// The sources' state is polled: its changes come from many places, and a person does not see a second.
void OverlayService::watch_status() {
  timer_.cancel();
  std::map<Vni, std::string> errors;
  for (const auto& [vni, network] : networks_)
    if (std::string error = error_of(vni, network); !error.empty()) errors[vni] = std::move(error);
  for (const auto& [vni, network] : networks_) {
    const auto before = shown_.find(vni);
    const auto now = errors.find(vni);
    if ((before == shown_.end()) != (now == errors.end()) || (now != errors.end() && before->second != now->second))
      writer_.touch(network.port);
  }
  shown_ = std::move(errors);
  if (sources_.words().empty()) return;
  timer_.expires_after(kStatusInterval);
  timer_.async_wait([this, alive = std::weak_ptr(alive_)](const boost::system::error_code& stopped) {
    if (!stopped && !alive.expired()) watch_status();
  });
}

// --- what is known ---

OverlayPart OverlayService::part_of(const DesiredPort& port) const {
  if (port.control.empty()) return {};
  if (const std::string problem = sources_.problem_of(port.control); !problem.empty()) return {{}, problem};
  const std::string& name = port.config.spec.name;
  if (const auto refused = refused_.find(name); refused != refused_.end()) return {{}, refused->second};
  const auto network = networks_.find(port.config.spec.tunnel.vxlan().vni);
  if (network == networks_.end() || network->second.port != name) return {};
  const overlay::Source* source = sources_.find(network->second.control);
  if (source == nullptr) return {};
  const auto shown = shown_.find(network->first);
  OverlayPart part{{}, shown == shown_.end() ? "" : shown->second};
  for (const IpAddr& member : source->known().members(network->first))
    if (member.is_v6() == network->second.v6) part.members.push_back(member);
  if (const std::size_t all = part.members.size(); all > limits::kFloodList) {
    part.members.resize(limits::kFloodList);
    part.problem = fmt::format(
        "network {} has {} members, and a flood list {} at most: frames for everybody do not reach all of them; set "
        "other_config:flood-unknown=false, and use multicast where that matters",
        network->first, all, limits::kFloodList);
  }
  return part;
}

std::string OverlayService::show(const std::optional<std::string>& bridge) const {
  std::string out;
  for (const std::string& word : sources_.words()) {
    const overlay::SourceStatus status = sources_.find(word)->status();
    out += fmt::format("{} {}: {}\n", word, status.where, status.in_step ? "in step" : "not in step");
    if (word == "reflector") out += fmt::format("VTEP name: {}\n", sources_.vtep_name());
    if (!status.last_error.empty()) out += fmt::format("last error: {}\n", status.last_error);
  }
  if (out.empty()) return "neither a reflector nor EVPN is set\n";
  Grid grid({"network", "bridge", "port", "VLAN", "by", "what", "MAC", "VTEP", ""}, "rllrlllll");
  std::size_t rows = 0;
  for (const auto& [vni, network] : networks_) {
    if (bridge && *bridge != network.bridge) continue;
    const auto add = [&](const char* what, const std::string& mac, const std::string& vtep, bool stale) {
      if (++rows > limits::kShownRows) return;
      grid.add({std::to_string(vni), network.bridge, network.port, std::to_string(network.vlan), network.control, what,
                mac, vtep, stale ? "not confirmed" : ""});
    };
    const overlay::VtepSet& known = sources_.find(network.control)->known();
    for (const auto& m : known.member_list(vni))
      add("member", "",
          m.vtep == m.address.to_string() ? m.vtep : fmt::format("{} ({})", m.address.to_string(), m.vtep), m.stale);
    for (const auto& m : known.macs(vni)) add("station", m.mac.to_string(), m.vtep.to_string(), m.stale);
  }
  return out + grid.text();
}

}  // namespace heddle::vswitchd
