// SPDX-License-Identifier: Apache-2.0
// The overlay at work in the daemon: which tunnel ports are networks that a source has charge of (options:control),
// local stations to the source, and what it tells to the forwarding database and to the ports' flood lists.
//
// A network is a multipoint port and the VLAN of its bridge that it carries untagged: its tag, or the untagged frames
// of a trunk. Frames with other tags pass as with any multipoint port, and their stations are learned.
//
// Owner: the Service; all that it is given must outlive it. Threads: control. What is wrong is in part_of() of the
// port.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "ofproto-lite/handler.h"
#include "ofproto-lite/switch.h"
#include "overlay/source.h"
#include "ovsdb/database.h"
#include "vswitchd/desired.h"
#include "vswitchd/overlay_sources.h"
#include "vswitchd/overlay_writer.h"
#include "vswitchd/remotes.h"
#include "vswitchd/station_news.h"

namespace heddle::vswitchd {

class OverlayService final : private overlay::VtepSet::Sink {
 public:
  // The overlay's view of one datapath.
  struct Datapath {
    ofproto::Switch* sw;
    ofproto::Handler* handler;
    StationNews* news;
  };
  OverlayService(boost::asio::io_context& io, const ovsdb::Database& db, const RemoteConfig& remotes,
                 std::string evpn_folder, std::map<std::string, Datapath> datapaths,
                 OverlayWriter::LookAgain look_again);
  ~OverlayService() override;
  OverlayService(const OverlayService&) = delete;
  OverlayService& operator=(const OverlayService&) = delete;

  // After each run of the reconciler: settings and ports may be others.
  void configure(const Desired& desired);
  [[nodiscard]] OverlayPart part_of(const DesiredPort& port) const;
  // Forwarding ends for good: other VTEPs are not to be sent here by FRR.
  void end() { sources_.end(); }
  // Of vtep-show; of one bridge, or of all.
  [[nodiscard]] std::string show(const std::optional<std::string>& bridge) const;

 private:
  struct Network {
    std::string port, bridge, datapath, control;
    dp::BridgeId bridge_id = dp::BridgeId::none;
    dp::VlanId vlan = 0;
    dp::PortNo number = dp::PortNo::none;
    bool v6 = false;
    std::optional<IpAddr> local;
    bool operator==(const Network&) const = default;
  };
  using Place = std::tuple<std::string, dp::BridgeId, dp::VlanId>;  // of stations: datapath, bridge, VLAN
  void members_changed(overlay::Vni vni) override;
  void mac_changed(overlay::Vni vni, const MacAddr& mac, const std::optional<IpAddr>& vtep) override;
  [[nodiscard]] std::map<overlay::Vni, Network> wanted(const Desired& desired);
  void add_network(overlay::Vni vni, const Network& network);
  void drop_network(overlay::Vni vni);
  void tell_stations(overlay::Vni vni, const Network& network);
  void take_news(const std::string& datapath);
  void watch_status();
  [[nodiscard]] std::string error_of(overlay::Vni vni, const Network& network) const;

  boost::asio::io_context& io_;
  std::map<std::string, Datapath> datapaths_;
  OverlayWriter writer_;
  OverlaySources sources_;
  std::map<overlay::Vni, Network> networks_;
  std::map<Place, overlay::Vni> places_;
  std::map<std::string, std::string> refused_;  // ports that are no network, with the reason
  std::map<overlay::Vni, std::string> shown_;   // errors of sources, as the ports have them
  boost::asio::steady_timer timer_;
  std::shared_ptr<char> alive_ = std::make_shared<char>();
};

}  // namespace heddle::vswitchd
