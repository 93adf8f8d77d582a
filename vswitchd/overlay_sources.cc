// SPDX-License-Identifier: Apache-2.0
#include "vswitchd/overlay_sources.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include "base/limits.h"
#include "vswitchd/text.h"
#include "vswitchd/tls_files.h"

namespace heddle::vswitchd {
namespace {

using overlay::evpn::EvpnSource;

constexpr const char* kNoReflector =
    "options:control=reflector: no reflector is set; vsctl set-reflector tcp:HOST (or ssl:HOST)";
constexpr const char* kNoEvpn =
    "options:control=evpn: EVPN is not set; vsctl set-evpn asn=NUMBER neighbors=ADDRESS[,ADDRESS]";

std::string host_name() {
  std::array<char, 256> name{};
  return gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "";
}

std::string bad(const char* key, std::string_view value, const char* right) {
  return fmt::format("other_config:{}={}: {}", key, value, right);
}

template <typename Map>
Duration hold_time(const Map& config, const char* key) {
  const auto seconds = parse_number(config.at(key).value_or("")).value_or(limits::kHoldSeconds);
  return std::chrono::seconds(std::clamp<std::uint64_t>(seconds, 1, 86400));
}

// An AS number (RFC 6793: 32 bits; 0 is reserved by RFC 7607).
std::optional<std::uint32_t> as_number(const std::string& text) {
  const auto number = parse_number(text);
  if (!number || *number == 0 || *number > 0xffffffff) return std::nullopt;
  return static_cast<std::uint32_t>(*number);
}

template <typename Map>
std::string read_bgp(const Map& config, EvpnSource::Config& out) {
  const std::string asn = config.at("evpn-asn").value_or("");
  const auto number = as_number(asn);
  if (!number) return bad("evpn-asn", asn, "must be a number from 1 to 4294967295");
  const std::string remote = config.at("evpn-remote-asn").value_or(asn);
  const auto remote_number = as_number(remote);
  if (!remote_number) return bad("evpn-remote-asn", remote, "must be a number from 1 to 4294967295");
  out.bgp.asn = *number;
  out.bgp.remote_asn = *remote_number;
  const std::string neighbors = config.at("evpn-neighbors").value_or("");
  for (const std::string_view text : split_list(neighbors)) {
    const auto address = IpAddr::parse(text);
    if (!address || address->is_any() || address->is_multicast())
      return bad("evpn-neighbors", neighbors, "must be addresses of BGP neighbors, separated by commas");
    out.bgp.neighbors.push_back(*address);
  }
  if (out.bgp.neighbors.empty()) return bad("evpn-neighbors", neighbors, "names no BGP neighbor");
  return {};
}

}  // namespace

OverlaySources::OverlaySources(boost::asio::io_context& io, const ovsdb::Database& db, const RemoteConfig& remotes,
                               std::string evpn_folder, overlay::VtepSet::Sink& sink)
    : io_(io),
      db_(db),
      remotes_(remotes),
      evpn_folder_(std::move(evpn_folder)),
      sink_(sink),
      tls_(ovsdb::Tls::make()) {}

// --- settings ---

void OverlaySources::read(ReflectorSettings& reflector, EvpnSettings& evpn) const {
  reflector.tls = tls_files(db_, remotes_.tls);
  for (const auto& root : db_.rows("Open_vSwitch")) {
    const auto& config = root->get("other_config");
    reflector.servers = config.at("reflector").value_or("");
    reflector.name = config.at("vtep-name").value_or(host_name());
    reflector.hold = hold_time(config, "reflector-hold-time");
    const auto frr = config.at("evpn-frr");
    evpn.wanted = frr || config.at("evpn-asn") || config.at("evpn-neighbors");
    if (!evpn.wanted) continue;
    evpn.config.own_frr = frr.has_value();
    evpn.config.folder = frr.value_or(evpn_folder_);
    evpn.config.hold = hold_time(config, "evpn-hold-time");
    if (!frr) evpn.problem = read_bgp(config, evpn.config);
    if (const auto vtep = config.at("evpn-vtep-ip")) {
      evpn.config.vtep = IpAddr::parse(*vtep);
      if (!evpn.config.vtep || evpn.config.vtep->is_v6() || evpn.config.vtep->is_any())
        evpn.problem = bad("evpn-vtep-ip", *vtep, "must be an IPv4 address of this host");
    }
  }
}

void OverlaySources::configure(const std::function<void(const std::string&)>& goes) {
  ReflectorSettings reflector;
  EvpnSettings evpn;
  read(reflector, evpn);
  if (reflector != reflector_settings_) {
    goes("reflector");
    use(reflector);
  }
  if (evpn != evpn_settings_) {
    goes("evpn");
    use(evpn);
  }
}

void OverlaySources::use(const ReflectorSettings& settings) {
  reflector_settings_ = settings;
  reflector_problem_.clear();
  reflector_.reset();
  overlay::ReflectorSource::Config config{{}, settings.name, settings.hold};
  for (const std::string_view text : split_list(settings.servers)) {
    const auto target = ovsdb::Target::parse(text);
    if (target && !target->passive)
      config.servers.push_back(*target);
    else
      reflector_problem_ = fmt::format(
          "other_config:reflector: {}",
          target ? fmt::format("{} does not connect; take tcp:, ssl: or unix:", text) : target.error().text);
  }
  if (config.servers.empty()) return;
  tls_->use(settings.tls);
  reflector_ = std::make_unique<overlay::ReflectorSource>(io_, tls_, config, sink_);
}

void OverlaySources::use(const EvpnSettings& settings) {
  // Our FRR stays with other settings; its keeper starts it anew when they concern it.
  const bool keep = settings.wanted && settings.config.own_frr == evpn_settings_.config.own_frr;
  if (evpn_ && !keep) evpn_->end();
  evpn_.reset();
  evpn_settings_ = settings;
  if (settings.wanted && settings.problem.empty()) evpn_ = std::make_unique<EvpnSource>(io_, settings.config, sink_);
}

void OverlaySources::end() {
  if (evpn_) evpn_->end();
}

// --- which are there ---

overlay::Source* OverlaySources::find(const std::string& control) const {
  if (control == "reflector") return reflector_.get();
  if (control == "evpn") return evpn_.get();
  return nullptr;
}

std::string OverlaySources::problem_of(const std::string& control) const {
  if (control == "reflector") return reflector_problem_.empty() && !reflector_ ? kNoReflector : reflector_problem_;
  return evpn_settings_.wanted ? evpn_settings_.problem : kNoEvpn;
}

std::vector<std::string> OverlaySources::words() const {
  std::vector<std::string> out;
  if (reflector_) out.emplace_back("reflector");
  if (evpn_) out.emplace_back("evpn");
  return out;
}

ofproto::Origin OverlaySources::origin_of(const std::string& control) {
  return control == "evpn" ? ofproto::Origin::evpn : ofproto::Origin::reflector;
}

}  // namespace heddle::vswitchd
