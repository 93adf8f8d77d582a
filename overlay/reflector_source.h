// SPDX-License-Identifier: Apache-2.0
// The reflector's side of the overlay: this host's VTEP, networks and stations in a database "Overlay" somewhere
// (`reflectord`, or ovsdb-server with the same schema), and what the others have written there.
//
// It asks for the rows of its own networks alone, and writes rows of its own name alone. Its Vtep row has a heartbeat;
// whoever holds the lock "sweeper" removes VTEPs that have been silent for kDead.
//
// Owner: whoever made it; Sink and io_context must outlive it. Threads: control. Nothing fails: status() says what is
// wrong.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "overlay/reflector_rows.h"
#include "overlay/soon.h"
#include "overlay/source.h"
#include "overlay/station_claims.h"
#include "ovsdb/follower.h"
#include "ovsdb/uuid.h"

namespace heddle::overlay {

// class-size: the answers of one listener and one source
class ReflectorSource final : public Source, private ovsdb::Follower::Listener {
 public:
  struct Config {
    std::vector<ovsdb::Target> servers;
    std::string name;  // of this VTEP; no other has it
    Duration hold{};
  };
  static constexpr Duration kBeat = std::chrono::seconds(30);
  static constexpr Duration kDead = std::chrono::minutes(5);

  ReflectorSource(boost::asio::io_context& io, std::shared_ptr<ovsdb::Tls> tls, const Config& config,
                  VtepSet::Sink& sink);
  ~ReflectorSource() override;
  ReflectorSource(const ReflectorSource&) = delete;
  ReflectorSource& operator=(const ReflectorSource&) = delete;

  void add_network(Vni vni, const std::optional<IpAddr>& address) override;
  void remove_network(Vni vni) override;
  void add_station(Vni vni, const MacAddr& mac, bool fixed) override;
  void remove_station(Vni vni, const MacAddr& mac) override;
  [[nodiscard]] const VtepSet& known() const override { return known_; }
  [[nodiscard]] SourceStatus status() const override;

 private:
  void dump_begins() override;
  void row_is(const std::string& table, const std::string& uuid, const ovsdb::Json& row) override;
  void row_changed(const std::string& table, const std::string& uuid, const ovsdb::Json& difference) override;
  void row_gone(const std::string& table, const std::string& uuid) override;
  void in_step() override;
  void lost(const std::string& why) override;

  void vtep_is(const ovsdb::Uuid& uuid, const std::string& boot);
  void member_is(const ovsdb::Uuid& uuid, const std::optional<MemberRow>& row);
  void mac_is(const ovsdb::Uuid& uuid, const std::optional<MacRow>& row);
  void vtep_gone(const ovsdb::Uuid& uuid);
  void member_gone(const ovsdb::Uuid& uuid);
  void mac_gone(const ovsdb::Uuid& uuid);
  [[nodiscard]] std::optional<IpAddr> address_of(Vni vni) const;
  [[nodiscard]] const Vni* without_address() const;
  [[nodiscard]] std::string twin() const;
  [[nodiscard]] ovsdb::Follower::Conditions conditions() const;

  void work();
  bool write_place();
  bool write_stations();
  void send(ovsdb::Json operations, std::function<void(const Result<ovsdb::Json>&)> then);
  void beat();
  void sweep_others(const ovsdb::Json& result);
  void every_so_often();

  // What the reflector has, by row.
  struct Rows {
    std::optional<ovsdb::Uuid> vtep;  // ours
    std::string boot;                 // in it
    std::unordered_map<ovsdb::Uuid, MemberRow> members;
    std::unordered_map<ovsdb::Uuid, MacRow> macs;
    std::map<StationClaims::Key, ovsdb::Uuid> mac_of;
    std::map<std::pair<Vni, std::string>, ovsdb::Uuid> member_of;
    std::uint64_t refused = 0;  // stations beyond limits::kOverlayMacs
    std::set<ovsdb::Uuid> bad;  // that no VTEP can have written
  };
  struct Heard {
    std::int64_t heartbeat = 0;
    TimePoint since;
  };

  const Config config_;
  const std::string boot_;  // tells this life of the VTEP from others
  VtepSet known_;
  StationClaims claims_;
  Rows rows_;
  ovsdb::Follower follower_;
  std::map<Vni, std::optional<IpAddr>> networks_;
  std::optional<StationClaims::Batch> on_its_way_;
  std::map<std::string, Heard> heard_;  // of all VTEPs, while we hold the lock
  std::string rival_;                   // the boot of another host with our name; empty: there is none
  std::string problem_;                 // of the last transaction
  std::optional<TimePoint> in_step_since_, beaten_;
  boost::asio::steady_timer timer_;
  Soon work_soon_;
  bool busy_ = false;
  std::shared_ptr<char> alive_ = std::make_shared<char>();
};

}  // namespace heddle::overlay
