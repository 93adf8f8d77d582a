// SPDX-License-Identifier: Apache-2.0
#include "overlay/evpn/evpn_source.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "base/limits.h"
#include "netlink/namespace.h"

namespace heddle::overlay::evpn {
namespace {

constexpr Duration kLook = std::chrono::seconds(1);
constexpr Duration kNeighbors = std::chrono::seconds(5);  // between two looks at neighbors that are in session
constexpr Duration kStart = std::chrono::seconds(5);      // for FRR's first start, before its absence is an error
constexpr Duration kQuiet = std::chrono::seconds(5);      // without a change of a network, before an audit

// The shadow devices need a port, and no packet uses it: in a namespace of their own it may be VXLAN's, beside an
// operator's FRR it may not, as the datapath has that.
constexpr std::uint16_t kOwnPort = 4789;
constexpr std::uint16_t kSharedPort = 60000;

}  // namespace

EvpnSource::EvpnSource(boost::asio::io_context& io, Config config, VtepSet::Sink& sink)
    : io_(io),
      config_(std::move(config)),
      files_(config_.folder),
      known_(sink, config_.hold),
      remotes_(*this),
      frr_(io, config_.own_frr ? config_.folder : files_.sockets(), *this),
      stations_(io),
      vtep_(config_.vtep),
      look_timer_(io),
      doubt_timer_(io),
      networks_soon_(io, [this] { work_on_networks(); }) {
  look();
}

EvpnSource::~EvpnSource() = default;

void EvpnSource::end() {
  if (!config_.own_frr) (void)files_.stop();
  if (kernel_ && config_.own_frr) kernel_->devices().remove_all();
}

// --- this host ---

std::optional<IpAddr> EvpnSource::address_of(const Network& network) const {
  return network.address ? network.address : vtep_;
}

void EvpnSource::add_network(Vni vni, const std::optional<IpAddr>& address) {
  if (networks_.size() >= limits::kOverlayNetworks && !networks_.contains(vni)) return;
  networks_[vni].address = address;
  networks_soon_();
}

void EvpnSource::remove_network(Vni vni) {
  if (networks_.erase(vni) == 0) return;
  stations_.forget_network(vni);
  if (kernel_) kernel_->devices().remove(vni);
  remotes_.forget(vni);
  known_.remove_network(vni);
}

void EvpnSource::add_station(Vni vni, const MacAddr& mac, bool fixed) {
  if (!networks_.contains(vni)) return;
  if (remotes_.is_fixed(vni, mac)) {
    unsigned held_back = 0;
    if (complaints_.allow(held_back))
      spdlog::warn("evpn: station {} in network {} cannot be claimed: VTEP {} says that it is fixed there",
                   mac.to_string(), vni, remotes_.vtep_of(vni, mac)->to_string());
    return;
  }
  stations_.add({vni, mac}, fixed);
  if (!remotes_.vtep_of(vni, mac)) known_.remove_mac(vni, mac);  // what was held
}

void EvpnSource::remove_station(Vni vni, const MacAddr& mac) { stations_.remove({vni, mac}); }

// --- what zebra tells ---

void EvpnSource::remote_mac(Vni vni, const MacAddr& mac, const std::optional<IpAddr>& vtep) {
  const auto network = networks_.find(vni);
  if (network == networks_.end()) return;
  network->second.changed = Clock::now();
  if (vtep) {
    withdrawals_.settled(vni, mac);
    known_.put_mac(vni, mac, *vtep);
  } else if (stations_.is_here({vni, mac})) {
    withdrawals_.settled(vni, mac);
    known_.remove_mac(vni, mac);
  } else {
    withdrawals_.mac(vni, mac, Clock::now());
    doubt_soon();
  }
}

void EvpnSource::remote_member(Vni vni, const IpAddr& vtep, bool here) {
  const auto network = networks_.find(vni);
  if (network == networks_.end()) return;
  network->second.changed = Clock::now();
  if (vtep == address_of(network->second)) {
    if (here)
      network->second.twins.insert(vtep);
    else
      network->second.twins.erase(vtep);
  } else if (here) {
    withdrawals_.settled(vni, vtep);
    known_.put_member(vni, vtep.to_string(), vtep);
  } else {
    withdrawals_.member(vni, vtep, Clock::now());
    doubt_soon();
  }
}

void EvpnSource::station_here(Vni vni, const MacAddr& mac, bool sticky) { stations_.found({vni, mac}, sticky); }
void EvpnSource::station_not_here(Vni vni, const MacAddr& mac) { stations_.taken({vni, mac}); }

// --- FRR ---

void EvpnSource::look() {
  ask_for_frr();
  frr_.look();
  const TimePoint now = Clock::now();
  if (frr_.up() && !kernel_) frr_up();
  if (kernel_) {
    const bool all_well = neighbors_.established > 0 && neighbors_.others.empty();
    if (now >= neighbors_asked_ + (all_well ? kNeighbors : kLook)) {
      neighbors_asked_ = now;
      frr_.ask_neighbors([this](const Neighbors& neighbors) { take_neighbors(neighbors); });
    }
    if (config_.own_frr || std::ranges::any_of(networks_, [](const auto& n) { return !n.second.problem.empty(); }))
      networks_soon_();
    audit();
    if (now >= settle_at_) {
      settle_at_ = TimePoint::max();
      settle();
    }
  }
  known_.tick(now);
  look_timer_.expires_after(kLook);
  look_timer_.async_wait([this, alive = std::weak_ptr(alive_)](const boost::system::error_code& stopped) {
    if (!stopped && !alive.expired()) look();
  });
}

// What an earlier daemon left and nobody has asked for since: its networks may come one after the other.
void EvpnSource::settle() {
  for (const Vni vni : kernel_->devices().networks())
    if (!networks_.contains(vni)) kernel_->devices().remove(vni);
  stations_.settle();
}

// Our FRR is asked for once the VTEP's address is known, and again as long as it does not run: the folder may have been
// full, or be gone.
void EvpnSource::ask_for_frr() {
  if (config_.own_frr || (asked_ && frr_.up())) return;
  if (!vtep_) vtep_ = address_to_neighbor();
  if (!vtep_) return;
  const auto done = files_.want(config_.bgp, *vtep_);
  asked_ = done.has_value();
  problem_ = done ? "" : done.error().text;
}

std::optional<IpAddr> EvpnSource::address_to_neighbor() const {
  const auto nl = netlink::Netlink::open();
  if (!nl || config_.bgp.neighbors.empty()) return std::nullopt;
  const auto route = (*nl)->route(config_.bgp.neighbors.front(), std::nullopt);
  if (!route || route->unreachable || route->source.is_any() || route->source.is_v6()) return std::nullopt;
  return route->source;
}

void EvpnSource::frr_up() {
  if (const auto done = open_kernel(); !done) {
    if (std::exchange(problem_, done.error().text) != done.error().text) spdlog::error("evpn: {}", problem_);
    stations_.use(nullptr);
    kernel_.reset();
    return;
  }
  spdlog::info("evpn: FRR {} is there", frr_.version());
  problem_.clear();
  settle_at_ = Clock::now() + config_.hold;
  neighbors_asked_ = {};
}

Result<> EvpnSource::open_kernel() {
  const auto holder = config_.own_frr ? std::nullopt : files_.holder();
  if (!config_.own_frr && !holder) return fail(Errc::not_found, config_.folder + "/holder does not name a process");
  const auto netns = holder ? netlink::namespace_of(*holder) : netlink::own_namespace();
  if (!netns) return std::unexpected(netns.error());
  const std::uint16_t port = config_.own_frr ? kSharedPort : kOwnPort;
  auto kernel = ShadowKernel::open(io_, netns->get(), port, remotes_, *this);
  if (!kernel) return std::unexpected(kernel.error());
  kernel_ = std::move(*kernel);
  remotes_.forget();
  work_on_networks();
  stations_.use(kernel_.get());
  return kernel_->begin();
}

// Beside an operator's FRR the devices go, too: what zebra left in them would be taken for news of the next.
void EvpnSource::frr_down() {
  spdlog::warn("evpn: {}; what it told stays for {} s", frr_.problem(),
               std::chrono::duration_cast<std::chrono::seconds>(config_.hold).count());
  if (kernel_ && config_.own_frr) kernel_->devices().remove_all();
  stations_.use(nullptr);
  kernel_.reset();
  neighbors_ = {};
  withdrawals_.clear();
  remotes_.forget();
  for (auto& [vni, network] : networks_) network.twins.clear();
  known_.lost(Clock::now());
}

void EvpnSource::take_neighbors(const Neighbors& neighbors) {
  const bool before = neighbors_.established > 0;
  neighbors_ = neighbors;
  const bool now = neighbors.established > 0;
  if (before == now) return;
  if (now) {
    spdlog::info("evpn: {} neighbors are in session", neighbors.established);
    known_.in_step(Clock::now());
  } else {
    spdlog::warn("evpn: no neighbor is in session: {}", fmt::join(neighbors.others, ", "));
    known_.lost(Clock::now());
  }
}

// --- networks ---

void EvpnSource::work_on_networks() {
  if (!kernel_) return;
  if (const auto done = kernel_->devices().look(); !done) spdlog::error("evpn: {}", done.error().text);
  for (auto& [vni, network] : networks_) work_on(vni, network);
}

void EvpnSource::work_on(Vni vni, Network& network) {
  const auto address = address_of(network);
  if (!address) {
    network.problem = "no VTEP address is known: no route leads to a neighbor; set options:local_ip";
    return;
  }
  if (address->is_v6()) {
    network.problem = fmt::format("EVPN takes an IPv4 VTEP address, and not {}: FRR before 10.6 would announce another",
                                  address->to_string());
    return;
  }
  ShadowDevices& devices = kernel_->devices();
  const auto* before = devices.find(vni);
  const int was = before == nullptr ? 0 : before->vxlan;
  const auto done = devices.put(vni, *address);
  network.problem = done ? "" : done.error().text;
  const auto* after = devices.find(vni);
  if (after == nullptr || after->vxlan == was) return;
  if (was != 0) remotes_.forget(vni);
  stations_.restart(vni);
}

// --- withdrawals ---

void EvpnSource::doubt_soon() {
  if (doubt_timer_.expiry() > Clock::now()) return;
  doubt_timer_.expires_after(Withdrawals::kDoubt);
  doubt_timer_.async_wait([this, alive = std::weak_ptr(alive_)](const boost::system::error_code& stopped) {
    if (stopped || alive.expired() || !kernel_) return;
    frr_.ask_neighbors([this](const Neighbors& neighbors) {
      take_neighbors(neighbors);
      settle_withdrawals();
    });
  });
}

void EvpnSource::settle_withdrawals() {
  if (neighbors_.established == 0) return withdrawals_.clear();
  const TimePoint now = Clock::now();
  const auto due = withdrawals_.take(now);
  for (const auto& [vni, vtep] : due.members) known_.hold_member(vni, vtep.to_string(), now);
  for (const auto& [vni, mac] : due.macs) {
    const auto known = known_.mac(vni, mac);
    if (known && !remotes_.is_member(vni, known->vtep))
      known_.hold_mac(vni, mac, now);
    else
      known_.remove_mac(vni, mac);
  }
  if (!withdrawals_.empty()) doubt_soon();
}

// At high rates of change entries were seen to stay that zebra does not know. One network at a time, when it is quiet.
void EvpnSource::audit() {
  const TimePoint now = Clock::now();
  const auto it = std::ranges::find_if(
      networks_, [now](const auto& n) { return n.second.changed && *n.second.changed + kQuiet <= now; });
  if (it == networks_.end()) return;
  const Vni vni = it->first;
  it->second.changed.reset();
  frr_.ask_remote_macs(vni, [this, vni](const std::vector<MacAddr>& macs) {
    const auto network = networks_.find(vni);
    if (!kernel_ || network == networks_.end() || network->second.changed) return;
    const std::set<MacAddr> right(macs.begin(), macs.end());
    std::vector<MacAddr> wrong;
    for (const MacAddr& mac : remotes_.valid(vni))
      if (!right.contains(mac)) wrong.push_back(mac);
    if (wrong.empty()) return;
    spdlog::warn("evpn: network {}: {} entries that zebra does not know are removed", vni, wrong.size());
    if (const auto done = kernel_->remove_remote(vni, wrong); !done) spdlog::error("evpn: {}", done.error().text);
  });
}

// --- for people ---

SourceStatus EvpnSource::status() const {
  SourceStatus out;
  out.in_step = kernel_ && neighbors_.established > 0;
  out.where = "FRR " + (frr_.version().empty() ? config_.folder : frr_.version());
  if (!config_.own_frr && !vtep_) {
    out.last_error = config_.bgp.neighbors.empty()
                         ? "no neighbors are set"
                         : fmt::format("no route leads to neighbor {}", config_.bgp.neighbors.front().to_string());
  } else if (!problem_.empty()) {
    out.last_error = problem_;
  } else if (!frr_.up()) {
    if (Clock::now() < begun_ + kStart) return out;
    const std::string why = config_.own_frr ? "" : files_.problem();
    out.last_error = why.empty() ? frr_.problem() + (config_.own_frr ? "" : " (systemctl status heddle-evpn)") : why;
  } else if (neighbors_.established == 0) {
    if (Clock::now() < begun_ + 2 * kStart) return out;
    out.last_error = neighbors_.others.empty()
                         ? "bgpd has no neighbors for EVPN"
                         : fmt::format("no neighbor is in session: {}", fmt::join(neighbors_.others, ", "));
  } else if (remotes_.refused() + known_.refused() > 0) {
    out.last_error = fmt::format("there are more stations or members than are possible: {} were passed over",
                                 remotes_.refused() + known_.refused());
  }
  return out;
}

std::string EvpnSource::problem_of(Vni vni) const {
  const auto it = networks_.find(vni);
  if (it == networks_.end()) return {};
  if (!it->second.twins.empty())
    return fmt::format("another VTEP has this VTEP's address {} in network {}: give one of the two another",
                       it->second.twins.begin()->to_string(), vni);
  return it->second.problem;
}

}  // namespace heddle::overlay::evpn
