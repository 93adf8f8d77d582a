// SPDX-License-Identifier: Apache-2.0
#include "overlay/reflector_source.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "base/limits.h"
#include "base/log.h"

namespace heddle::overlay {
namespace {

using ovsdb::Follower;
using ovsdb::Uuid;

constexpr Duration kTick = std::chrono::seconds(5);

std::int64_t seconds_of_day() {
  return std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch()).count();
}

Follower::Config follower_config(const ReflectorSource::Config& config) {
  return {.servers = config.servers,
          .database = "Overlay",
          .version = "1",
          .columns = {{"Vtep", {"name", "boot"}},
                      {"Member", {"vni", "vtep", "ip", "flood"}},
                      {"Mac", {"vni", "mac", "vtep", "ip", "fixed"}}},
          .lock = "sweeper"};
}

std::string text(const Json& row, const char* column) {
  const auto it = row.find(column);
  return it != row.end() && it->is_string() ? it->get<std::string>() : std::string();
}

}  // namespace

ReflectorSource::ReflectorSource(boost::asio::io_context& io, std::shared_ptr<ovsdb::Tls> tls, const Config& config,
                                 VtepSet::Sink& sink)
    : config_(config),
      boot_(Uuid::random().to_string()),
      known_(sink, config.hold),
      follower_(io, std::move(tls), follower_config(config), *this),
      timer_(io),
      work_soon_(io, [this] { work(); }) {
  follower_.start(conditions());
  every_so_often();
}

ReflectorSource::~ReflectorSource() = default;

// --- this host ---

// A network without an address of its own has that by which the reflector is reached: remotes take the same way.
std::optional<IpAddr> ReflectorSource::address_of(Vni vni) const {
  const auto it = networks_.find(vni);
  if (it != networks_.end() && it->second) return it->second;
  return IpAddr::parse(follower_.status().local);
}

Follower::Conditions ReflectorSource::conditions() const {
  Json networks = Json::array({Json::array({"vtep", "==", config_.name})});
  for (const auto& [vni, address] : networks_) networks.push_back(Json::array({"vni", "==", vni}));
  return {{"Vtep", Json::array({Json::array({"name", "==", config_.name})})}, {"Member", networks}, {"Mac", networks}};
}

void ReflectorSource::add_network(Vni vni, const std::optional<IpAddr>& address) {
  if (networks_.size() >= limits::kOverlayNetworks && !networks_.contains(vni)) return;
  networks_[vni] = address;
  follower_.set_conditions(conditions());
  work_soon_();
}

void ReflectorSource::remove_network(Vni vni) {
  if (networks_.erase(vni) == 0) return;
  claims_.remove_network(vni);
  known_.remove_network(vni);
  follower_.set_conditions(conditions());
  work_soon_();
}

void ReflectorSource::add_station(Vni vni, const MacAddr& mac, bool fixed) {
  if (!networks_.contains(vni)) return;
  claims_.add({vni, mac}, fixed, Clock::now());
  work_soon_();
}

void ReflectorSource::remove_station(Vni vni, const MacAddr& mac) {
  claims_.remove({vni, mac});
  work_soon_();
}

SourceStatus ReflectorSource::status() const {
  const Follower::Status& f = follower_.status();
  SourceStatus out{f.in_step, f.server, f.last_error};
  if (!out.last_error.empty()) return out;
  if (!rival_.empty()) {
    out.last_error = "another host has the VTEP name " + config_.name +
                     ": set Open_vSwitch.other_config:vtep-name to a name of its own on one of the two";
  } else if (!problem_.empty()) {
    out.last_error = problem_;
  } else if (const Vni* vni = without_address(); f.in_step && vni != nullptr) {
    out.last_error = "network " + std::to_string(*vni) +
                     " has no VTEP address, as the reflector is not reached by TCP: set options:local_ip";
  } else if (std::string other = twin(); !other.empty()) {
    out.last_error = std::move(other);
  } else if (rows_.refused > 0) {
    out.last_error = "there are more stations than the " + std::to_string(limits::kOverlayMacs) +
                     " that are possible: " + std::to_string(rows_.refused) + " were passed over";
  } else if (!rows_.bad.empty()) {
    out.last_error = std::to_string(rows_.bad.size()) + " rows with a wrong number, MAC or address were passed over";
  }
  return out;
}

// Null: every network has one.
const Vni* ReflectorSource::without_address() const {
  const auto it = std::ranges::find_if(networks_, [this](const auto& n) { return !address_of(n.first); });
  return it == networks_.end() ? nullptr : &it->first;
}

// Another VTEP with an address of ours: remotes cannot tell the two apart.
std::string ReflectorSource::twin() const {
  for (const auto& [uuid, row] : rows_.members)
    if (row.vtep != config_.name && networks_.contains(row.vni) && row.ip == address_of(row.vni))
      return "VTEP " + row.vtep + " has this VTEP's address " + row.ip.to_string() + " in network " +
             std::to_string(row.vni) + ": give one of the two another";
  return {};
}

// --- what the reflector has ---

void ReflectorSource::dump_begins() {
  rows_ = {};
  claims_.restart();
  known_.begin();
}

void ReflectorSource::row_is(const std::string& table, const std::string& uuid, const Json& row) {
  const auto id = Uuid::parse(uuid);
  if (!id) return;
  if (table == "Vtep") {
    vtep_is(*id, text(row, "boot"));
  } else if (table == "Member") {
    member_is(*id, member_row(row));
  } else {
    mac_is(*id, mac_row(row));
  }
}

// None of ours ever changes a Member or Mac row but by delete and insert.
void ReflectorSource::row_changed(const std::string& table, const std::string& uuid, const Json& difference) {
  const auto id = Uuid::parse(uuid);
  if (!id) return;
  if (table == "Vtep") {
    if (difference.contains("boot")) vtep_is(*id, text(difference, "boot"));
  } else if (const auto member = rows_.members.find(*id); table == "Member" && member != rows_.members.end()) {
    Json row = to_json(member->second);
    row.update(difference);
    member_gone(*id);
    member_is(*id, member_row(row));
  } else if (const auto mac = rows_.macs.find(*id); table == "Mac" && mac != rows_.macs.end()) {
    Json row = to_json(mac->second);
    row.update(difference);
    mac_gone(*id);
    mac_is(*id, mac_row(row));
  }
}

void ReflectorSource::row_gone(const std::string& table, const std::string& uuid) {
  const auto id = Uuid::parse(uuid);
  if (!id) return;
  rows_.bad.erase(*id);
  if (table == "Vtep") {
    vtep_gone(*id);
  } else if (table == "Member") {
    member_gone(*id);
  } else {
    mac_gone(*id);
  }
  work_soon_();
}

// The name's last comer has it: a host that was there before, and sees another's boot, stops writing.
void ReflectorSource::vtep_is(const Uuid& uuid, const std::string& boot) {
  const bool was_ours = rows_.boot == boot_;
  rows_.vtep = uuid;
  rows_.boot = boot;
  if (boot == boot_) {
    rival_.clear();
  } else if (was_ours) {
    rival_ = boot;
    spdlog::error("reflector: {}", status().last_error);
  }
  work_soon_();
}

void ReflectorSource::vtep_gone(const Uuid& uuid) {
  if (rows_.vtep != uuid) return;
  rows_.vtep.reset();
  rival_.clear();
}

// A row that takes another's place may come before that is told to be gone.
void ReflectorSource::member_is(const Uuid& uuid, const std::optional<MemberRow>& row) {
  if (!row) {
    rows_.bad.insert(uuid);
    return;
  }
  rows_.members[uuid] = *row;
  rows_.member_of[{row->vni, row->vtep}] = uuid;
  if (row->vtep == config_.name || !networks_.contains(row->vni)) return;
  if (row->flood && row->ip != address_of(row->vni))
    known_.put_member(row->vni, row->vtep, row->ip);
  else
    known_.remove_member(row->vni, row->vtep);
}

void ReflectorSource::member_gone(const Uuid& uuid) {
  const auto it = rows_.members.find(uuid);
  if (it == rows_.members.end()) return;
  const MemberRow row = it->second;
  rows_.members.erase(it);
  const auto now = rows_.member_of.find({row.vni, row.vtep});
  if (now == rows_.member_of.end() || now->second != uuid) return;
  rows_.member_of.erase(now);
  known_.remove_member(row.vni, row.vtep);
}

void ReflectorSource::mac_is(const Uuid& uuid, const std::optional<MacRow>& row) {
  if (!row) {
    rows_.bad.insert(uuid);
    return;
  }
  if (rows_.macs.size() >= limits::kOverlayMacs) {
    ++rows_.refused;
    return;
  }
  const StationClaims::Key key{row->vni, row->mac};
  rows_.macs[uuid] = *row;
  rows_.mac_of[key] = uuid;
  const bool ours = row->vtep == config_.name;
  claims_.row_is(key, ours);
  if (ours || !networks_.contains(row->vni) || row->ip == address_of(row->vni))
    known_.remove_mac(row->vni, row->mac);
  else
    known_.put_mac(row->vni, row->mac, row->ip);
  work_soon_();
}

void ReflectorSource::mac_gone(const Uuid& uuid) {
  const auto it = rows_.macs.find(uuid);
  if (it == rows_.macs.end()) return;
  const MacRow row = it->second;
  rows_.macs.erase(it);
  const StationClaims::Key key{row.vni, row.mac};
  const auto now = rows_.mac_of.find(key);
  if (now == rows_.mac_of.end() || now->second != uuid) return;
  rows_.mac_of.erase(now);
  claims_.row_gone(key);
  known_.remove_mac(row.vni, row.mac);
}

void ReflectorSource::in_step() {
  if (!in_step_since_) in_step_since_ = Clock::now();
  if (rows_.boot != rival_) rival_.clear();
  known_.in_step(Clock::now());
  work_soon_();
}

void ReflectorSource::lost(const std::string& /*why*/) {
  busy_ = false;
  if (on_its_way_) claims_.unknown(*std::exchange(on_its_way_, std::nullopt));
  known_.lost(Clock::now());
}

// --- what we write ---

void ReflectorSource::work() {
  if (!follower_.status().in_step || busy_ || !rival_.empty()) return;
  const bool old_enough = in_step_since_ && Clock::now() - *in_step_since_ >= config_.hold;
  claims_.settle(old_enough);
  if (!write_place()) write_stations();
}

void ReflectorSource::send(Json operations, std::function<void(const Result<Json>&)> then) {
  busy_ = true;
  follower_.transact(std::move(operations),
                     [this, alive = std::weak_ptr(alive_), then = std::move(then)](Result<Json> r) {
                       if (alive.expired()) return;
                       busy_ = false;
                       then(r);
                     });
}

// The VTEP itself and its memberships. False: there is nothing to write.
bool ReflectorSource::write_place() {
  Json operations = Json::array();
  if (rows_.boot != boot_ || !rows_.vtep)
    put_vtep(operations, config_.name, IpAddr::parse(follower_.status().local), boot_, seconds_of_day());
  for (const auto& [vni, own] : networks_) {
    const auto address = address_of(vni);
    if (!address) continue;
    const MemberRow want{vni, config_.name, *address, true};
    const auto now = rows_.member_of.find({vni, config_.name});
    if (now == rows_.member_of.end() || rows_.members.at(now->second) != want) put_member(operations, want);
    if (operations.size() > limits::kClaims) break;
  }
  for (const auto& [uuid, row] : rows_.members)
    if (row.vtep == config_.name && !networks_.contains(row.vni)) remove_member(operations, row.vni, row.vtep);
  if (operations.empty()) return false;
  send(std::move(operations), [this](const Result<Json>& done) {
    problem_ = done ? std::string() : "the reflector refuses this VTEP's rows: " + done.error().text;
    if (done) work_soon_();  // else every_so_often() tries again
  });
  return true;
}

bool ReflectorSource::write_stations() {
  StationClaims::Batch batch = claims_.next(limits::kClaims);
  StationClaims::Batch later;  // until their network has an address
  std::erase_if(batch.claims, [&](const StationClaims::Claim& c) {
    if (address_of(c.key.first)) return false;
    later.claims.push_back(c);
    return true;
  });
  claims_.unknown(later);
  if (batch.empty()) return false;
  Json operations = Json::array();
  for (const auto& [vni, mac] : batch.removals) remove_mac(operations, vni, mac, config_.name);
  for (const auto& c : batch.claims)
    claim(operations, {c.key.first, c.key.second, config_.name, *address_of(c.key.first), c.fixed});
  on_its_way_ = batch;
  send(std::move(operations), [this](const Result<Json>& done) {
    const StationClaims::Batch sent = *std::exchange(on_its_way_, std::nullopt);
    claims_.done(sent, !done.has_value());
    if (!done && sent.claims.size() == 1 && sent.removals.empty())
      spdlog::warn("reflector: {} in network {} cannot be claimed: another host has fixed it, or {}",
                   sent.claims.front().key.second.to_string(), sent.claims.front().key.first, done.error().text);
    work_soon_();
  });
  return true;
}

// --- time ---

void ReflectorSource::every_so_often() {
  timer_.expires_after(std::clamp<Duration>(config_.hold / 2, std::chrono::milliseconds(200), kTick));
  timer_.async_wait([this](const boost::system::error_code& stopped) {
    if (stopped) return;
    known_.tick(Clock::now());
    if (follower_.status().in_step && !busy_ && (!beaten_ || Clock::now() - *beaten_ >= kBeat)) beat();
    work_soon_();
    every_so_often();
  });
}

void ReflectorSource::beat() {
  beaten_ = Clock::now();
  if (rows_.boot != boot_) return;
  Json operations = Json::array();
  overlay::beat(operations, config_.name, seconds_of_day());
  const bool sweeps = follower_.status().locked;
  if (sweeps)
    operations.push_back(
        {{"op", "select"}, {"table", "Vtep"}, {"where", Json::array()}, {"columns", {"name", "heartbeat"}}});
  else
    heard_.clear();
  send(std::move(operations), [this, sweeps](const Result<Json>& done) {
    if (done && sweeps && done->size() == 2) sweep_others(done->at(1));
    work_soon_();
  });
}

// Clocks of hosts differ: what counts is that a heartbeat has not changed for long.
void ReflectorSource::sweep_others(const Json& result) {
  const auto rows = result.find("rows");
  if (rows == result.end() || !rows->is_array()) return;
  std::map<std::string, Heard> heard;
  Json operations = Json::array({Json{{"op", "assert"}, {"lock", "sweeper"}}});
  for (const Json& row : *rows) {
    const std::string name = text(row, "name");
    const auto beat = row.find("heartbeat");
    if (name.empty() || name == config_.name || beat == row.end() || !beat->is_number_integer()) continue;
    Heard now{beat->get<std::int64_t>(), Clock::now()};
    if (const auto before = heard_.find(name); before != heard_.end() && before->second.heartbeat == now.heartbeat)
      now.since = before->second.since;
    if (Clock::now() - now.since >= kDead) {
      spdlog::info("reflector: VTEP {} has been silent for long: its rows go", name);
      remove_vtep(operations, name);
    } else {
      heard[name] = now;
    }
  }
  heard_ = std::move(heard);
  if (operations.size() > 1) send(std::move(operations), [](const Result<Json>& /*done*/) {});
}

}  // namespace heddle::overlay
