// SPDX-License-Identifier: Apache-2.0
// BGP EVPN (RFC 7432, RFC 8365) as a source: FRR's bgpd speaks to the neighbors, and this class to FRR's zebra by
// entries in the kernel. Either FRR is ours, run by its keeper in a namespace that serves nothing else, or an
// operator's own, in this namespace.
//
// Stations and members that are withdrawn go a second later; those of a VTEP that has left, or of a lost FRR, after
// the hold time (withdrawals.h).
//
// Owner: whoever made it; Sink and io_context must outlive it. Threads: control. Nothing fails: status() and
// problem_of() say what is wrong. FRR and the devices stay when the object goes, so that a restart of the daemon
// withdraws nothing; end() ends them.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "base/clock.h"
#include "base/log.h"
#include "netlink/netlink.h"
#include "overlay/evpn/frr_files.h"
#include "overlay/evpn/frr_watch.h"
#include "overlay/evpn/shadow_fdb.h"
#include "overlay/evpn/shadow_kernel.h"
#include "overlay/evpn/station_writer.h"
#include "overlay/evpn/withdrawals.h"
#include "overlay/soon.h"
#include "overlay/source.h"

namespace heddle::overlay::evpn {

// class-size: the answers of one source and of its three listeners
class EvpnSource final : public Source,
                         private ShadowFdb::Listener,
                         private ShadowKernel::Listener,
                         private FrrWatch::Listener {
 public:
  struct Config {
    std::string folder;  // of our FRR (frr_files.h), or with the sockets of the operator's
    bool own_frr = false;
    BgpSettings bgp;             // of our FRR
    std::optional<IpAddr> vtep;  // of networks without an address of their own; nothing: that by which the first
                                 // neighbor is reached
    Duration hold{};
    bool operator==(const Config&) const = default;
  };

  EvpnSource(boost::asio::io_context& io, Config config, VtepSet::Sink& sink);
  ~EvpnSource() override;
  EvpnSource(const EvpnSource&) = delete;
  EvpnSource& operator=(const EvpnSource&) = delete;
  // Nobody wants it any more: FRR, when it is ours, and the devices go.
  void end();

  void add_network(Vni vni, const std::optional<IpAddr>& address) override;
  void remove_network(Vni vni) override;
  void add_station(Vni vni, const MacAddr& mac, bool fixed) override;
  void remove_station(Vni vni, const MacAddr& mac) override;
  [[nodiscard]] const VtepSet& known() const override { return known_; }
  [[nodiscard]] SourceStatus status() const override;
  [[nodiscard]] std::string problem_of(Vni vni) const override;

 private:
  struct Network {
    std::optional<IpAddr> address;
    std::string problem;
    std::set<IpAddr> twins;            // members with our address
    std::optional<TimePoint> changed;  // of what zebra has told, since the last audit
  };

  // --- listeners ---
  void remote_mac(Vni vni, const MacAddr& mac, const std::optional<IpAddr>& vtep) override;
  void remote_member(Vni vni, const IpAddr& vtep, bool here) override;
  void station_here(Vni vni, const MacAddr& mac, bool sticky) override;
  void station_not_here(Vni vni, const MacAddr& mac) override;
  void frr_up() override;
  void frr_down() override;

  // --- work ---
  void look();
  void ask_for_frr();
  [[nodiscard]] std::optional<IpAddr> address_to_neighbor() const;
  void settle();
  Result<> open_kernel();
  void work_on_networks();
  void work_on(Vni vni, Network& network);
  void doubt_soon();
  void settle_withdrawals();
  void take_neighbors(const Neighbors& neighbors);
  void audit();
  [[nodiscard]] std::optional<IpAddr> address_of(const Network& network) const;

  boost::asio::io_context& io_;
  const Config config_;
  const FrrFiles files_;
  VtepSet known_;
  ShadowFdb remotes_;
  Withdrawals withdrawals_;
  FrrWatch frr_;
  std::unique_ptr<ShadowKernel> kernel_;  // while FRR is up
  StationWriter stations_;                // uses kernel_
  std::map<Vni, Network> networks_;
  std::optional<IpAddr> vtep_;
  std::string problem_;
  Neighbors neighbors_;
  const TimePoint begun_ = Clock::now();
  TimePoint neighbors_asked_{}, settle_at_ = TimePoint::max();
  boost::asio::steady_timer look_timer_, doubt_timer_;
  Soon networks_soon_;
  bool asked_ = false;  // FRR is wanted with our settings
  LogLimit complaints_;
  std::shared_ptr<char> alive_ = std::make_shared<char>();
};

}  // namespace heddle::overlay::evpn
