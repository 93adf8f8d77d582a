// SPDX-License-Identifier: Apache-2.0
// The sources of the overlay by their words in options:control ("reflector", "evpn"), as the database's settings ask
// for them: made, made anew when their settings change, and ended.
//
// Owner: OverlayService. Threads: control. Nothing fails: problem_of() says why a source is not there.
#pragma once

#include <boost/asio/io_context.hpp>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "ofproto-lite/origin.h"
#include "overlay/evpn/evpn_source.h"
#include "overlay/reflector_source.h"
#include "ovsdb/database.h"
#include "vswitchd/remotes.h"

namespace heddle::vswitchd {

class OverlaySources {
 public:
  // `evpn_folder`: overlay/evpn/frr_files.h. All must outlive it.
  OverlaySources(boost::asio::io_context& io, const ovsdb::Database& db, const RemoteConfig& remotes,
                 std::string evpn_folder, overlay::VtepSet::Sink& sink);
  OverlaySources(const OverlaySources&) = delete;
  OverlaySources& operator=(const OverlaySources&) = delete;

  // FRR of ours is to end, and the devices beside an operator's to go: nothing is forwarded any more.
  void end();
  // Reads the settings. `goes` is called with the word of a source before that goes.
  void configure(const std::function<void(const std::string& control)>& goes);
  // Null: it is not set, or not rightly.
  [[nodiscard]] overlay::Source* find(const std::string& control) const;
  [[nodiscard]] std::string problem_of(const std::string& control) const;
  // Of those that are there.
  [[nodiscard]] std::vector<std::string> words() const;
  [[nodiscard]] static ofproto::Origin origin_of(const std::string& control);
  [[nodiscard]] const std::string& vtep_name() const { return reflector_settings_.name; }

 private:
  struct ReflectorSettings {
    std::string servers;  // as they were asked for; empty: none
    std::string name;
    Duration hold{};
    ovsdb::TlsFiles tls;
    bool operator==(const ReflectorSettings&) const = default;
  };
  struct EvpnSettings {
    bool wanted = false;
    overlay::evpn::EvpnSource::Config config;
    std::string problem;
    bool operator==(const EvpnSettings&) const = default;
  };
  void read(ReflectorSettings& reflector, EvpnSettings& evpn) const;
  void use(const ReflectorSettings& settings);
  void use(const EvpnSettings& settings);

  boost::asio::io_context& io_;
  const ovsdb::Database& db_;
  RemoteConfig remotes_;
  std::string evpn_folder_;
  overlay::VtepSet::Sink& sink_;
  std::shared_ptr<ovsdb::Tls> tls_;
  ReflectorSettings reflector_settings_;
  EvpnSettings evpn_settings_;
  std::string reflector_problem_;
  std::unique_ptr<overlay::ReflectorSource> reflector_;
  std::unique_ptr<overlay::evpn::EvpnSource> evpn_;
};

}  // namespace heddle::vswitchd
