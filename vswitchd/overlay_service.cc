// SPDX-License-Identifier: Apache-2.0
#include "vswitchd/overlay_service.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/asio/post.hpp>
#include <utility>

#include "base/limits.h"
#include "base/log.h"
#include "vswitchd/grid.h"
#include "vswitchd/text.h"
#include "vswitchd/tls_files.h"

namespace heddle::vswitchd {
namespace {

using ofproto::Origin;
using overlay::Vni;

constexpr auto kStatusInterval = std::chrono::seconds(1);
constexpr const char* kNoReflector =
    "options:control=reflector: no reflector is set; vsctl set-reflector tcp:HOST (or ssl:HOST)";

std::map<std::string, ofproto::Handler*> handlers_of(const std::map<std::string, OverlayService::Datapath>& datapaths) {
  std::map<std::string, ofproto::Handler*> out;
  for (const auto& [type, datapath] : datapaths) out[type] = datapath.handler;
  return out;
}

std::string host_name() {
  std::array<char, 256> name{};
  return gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "";
}

}  // namespace

OverlayService::OverlayService(boost::asio::io_context& io, const ovsdb::Database& db, const RemoteConfig& remotes,
                               std::map<std::string, Datapath> datapaths, OverlayWriter::LookAgain look_again)
    : io_(io),
      db_(db),
      remotes_(remotes),
      datapaths_(std::move(datapaths)),
      writer_(io, handlers_of(datapaths_), std::move(look_again)),
      tls_(ovsdb::Tls::make()),
      timer_(io) {}

OverlayService::~OverlayService() {
  for (const auto& [type, datapath] : datapaths_) datapath.news->stop();
}

// --- settings ---

OverlayService::Settings OverlayService::read_settings() const {
  Settings out;
  for (const auto& root : db_.rows("Open_vSwitch")) {
    const auto& config = root->get("other_config");
    out.servers = config.at("reflector").value_or("");
    out.name = config.at("vtep-name").value_or(host_name());
    const auto hold = parse_number(config.at("reflector-hold-time").value_or("")).value_or(limits::kHoldSeconds);
    out.hold = std::chrono::seconds(std::clamp<std::uint64_t>(hold, 1, 86400));
  }
  out.tls = tls_files(db_, remotes_.tls);
  return out;
}

void OverlayService::use(const Settings& settings) {
  while (!networks_.empty()) drop_network(networks_.begin()->first);
  settings_ = settings;
  settings_problem_.clear();
  source_.reset();
  overlay::ReflectorSource::Config config{{}, settings.name, settings.hold};
  for (const std::string_view text : split_list(settings.servers)) {
    const auto target = ovsdb::Target::parse(text);
    if (target && !target->passive)
      config.servers.push_back(*target);
    else
      settings_problem_ = fmt::format(
          "other_config:reflector: {}",
          target ? fmt::format("{} does not connect; take tcp:, ssl: or unix:", text) : target.error().text);
  }
  if (config.servers.empty()) return;
  tls_->use(settings.tls);
  overlay::VtepSet::Sink& sink = *this;
  source_ = std::make_unique<overlay::ReflectorSource>(io_, tls_, config, sink);
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
    const auto [it, fresh] = out.try_emplace(vni, Network{name, port->bridge, port->datapath, policy.bridge, policy.tag,
                                                          now->number, tunnel.v6, tunnel.local});
    if (!fresh)
      refused_[name] = fmt::format(
          "options:control=reflector: port {} has network {} already; give this one another key", it->second.port, vni);
  }
  for (const auto& [name, reason] : before)
    if (!refused_.contains(name)) writer_.touch(name);
  for (const auto& [name, reason] : refused_)
    if (!before.contains(name)) writer_.touch(name);
  return out;
}

void OverlayService::configure(const Desired& desired) {
  if (const Settings settings = read_settings(); settings != settings_) use(settings);
  std::map<Vni, Network> want = wanted(desired);
  if (source_ == nullptr) want.clear();
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
  source_->add_network(vni, network.local);
  tell_stations(vni, network);
}

// What the source has told goes by its own words: VtepSet says of each that it is withdrawn.
void OverlayService::drop_network(Vni vni) {
  if (source_) source_->remove_network(vni);
  const auto it = networks_.find(vni);
  places_.erase({it->second.datapath, it->second.bridge_id, it->second.vlan});
  writer_.touch(it->second.port);
  networks_.erase(it);
}

// --- from here to the source ---

void OverlayService::tell_stations(Vni vni, const Network& network) {
  const Datapath& datapath = datapaths_.at(network.datapath);
  const auto rows = datapath.handler->call([&](ofproto::Fdb& fdb) { return fdb.rows(network.bridge_id); });
  for (const ofproto::FdbRow& row : rows) {
    if (row.key.vlan != network.vlan || (row.origin != Origin::learned && row.origin != Origin::configured)) continue;
    const std::string* name = datapath.sw->port_name(row.target.port);
    if (name == nullptr || datapath.sw->port(*name)->config.spec.is_tunnel()) continue;
    source_->add_station(vni, row.key.mac, row.origin == Origin::configured);
  }
}

void OverlayService::take_news(const std::string& datapath) {
  const StationNews::Taken taken = datapaths_.at(datapath).news->take();
  if (!source_) return;
  if (taken.all_lost) {
    spdlog::warn("overlay: too much news of stations at once: all are told anew");
    for (const auto& [vni, network] : networks_)
      if (network.datapath == datapath) tell_stations(vni, network);
  }
  for (const StationNews::Item& item : taken.items) {
    const auto vni = places_.find({datapath, item.key.bridge, item.key.vlan});
    if (vni == places_.end()) continue;
    if (item.here) {
      writer_.here(datapath, item.key, item.port);
      source_->add_station(vni->second, item.key.mac, item.fixed);
    } else {
      writer_.not_here(datapath, item.key);
      source_->remove_station(vni->second, item.key.mac);
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
  if (vtep && vtep->is_v6() == network.v6)
    writer_.put(network.datapath, key, {network.number, *vtep});
  else
    writer_.withdraw(network.datapath, key);
}

// The source's state is polled: its changes come from many places, and a person does not see a second.
void OverlayService::watch_status() {
  timer_.cancel();
  const std::string error = source_ ? source_->status().last_error : std::string{};
  if (std::exchange(shown_error_, error) != error) {
    for (const auto& [vni, network] : networks_) writer_.touch(network.port);
  }
  if (!source_) return;
  timer_.expires_after(kStatusInterval);
  timer_.async_wait([this, alive = std::weak_ptr(alive_)](const boost::system::error_code& stopped) {
    if (!stopped && !alive.expired()) watch_status();
  });
}

// --- what is known ---

OverlayPart OverlayService::part_of(const DesiredPort& port) const {
  if (port.control.empty()) return {};
  if (!settings_problem_.empty()) return {{}, settings_problem_};
  if (!source_) return {{}, kNoReflector};
  const std::string& name = port.config.spec.name;
  if (const auto refused = refused_.find(name); refused != refused_.end()) return {{}, refused->second};
  const auto network = networks_.find(port.config.spec.tunnel.vxlan().vni);
  if (network == networks_.end() || network->second.port != name) return {};
  OverlayPart part{{}, shown_error_.empty() ? "" : "reflector: " + shown_error_};
  for (const IpAddr& member : source_->known().members(network->first))
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
  if (!source_) return settings_problem_.empty() ? "no reflector is set\n" : settings_problem_ + "\n";
  const overlay::SourceStatus status = source_->status();
  std::string out = fmt::format("reflector {}: {}\n", status.where, status.in_step ? "in step" : "not in step");
  out += fmt::format("VTEP name: {}\n", settings_.name);
  if (!status.last_error.empty()) out += fmt::format("last error: {}\n", status.last_error);
  Grid grid({"network", "bridge", "port", "VLAN", "what", "MAC", "VTEP", ""}, "rllrllll");
  std::size_t rows = 0;
  for (const auto& [vni, network] : networks_) {
    if (bridge && *bridge != network.bridge) continue;
    const auto add = [&](const char* what, const std::string& mac, const std::string& vtep, bool stale) {
      if (++rows > limits::kShownRows) return;
      grid.add({std::to_string(vni), network.bridge, network.port, std::to_string(network.vlan), what, mac, vtep,
                stale ? "not confirmed" : ""});
    };
    for (const auto& m : source_->known().member_list(vni))
      add("member", "", fmt::format("{} ({})", m.address.to_string(), m.vtep), m.stale);
    for (const auto& m : source_->known().macs(vni)) add("station", m.mac.to_string(), m.vtep.to_string(), m.stale);
  }
  return out + grid.text();
}

}  // namespace heddle::vswitchd
