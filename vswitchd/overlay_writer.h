// SPDX-License-Identifier: Apache-2.0
// Carries to the forwarding database what the overlay's source tells, and has ports looked at again whose members are
// others: soon, so that what comes together is done together.
//
// Owner: the OverlayService; all that it is given must outlive it. Threads: control; a write waits for the handler.
#pragma once

#include <boost/asio/io_context.hpp>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/log.h"
#include "ofproto-lite/handler.h"
#include "overlay/soon.h"
#include "vswitchd/station_news.h"

namespace heddle::vswitchd {

class OverlayWriter {
 public:
  // `look_again`: ports whose part of the overlay is another.
  using LookAgain = std::function<void(const std::set<std::string>& ports)>;
  OverlayWriter(boost::asio::io_context& io, std::map<std::string, ofproto::Handler*> handlers, LookAgain look_again);
  OverlayWriter(const OverlayWriter&) = delete;
  OverlayWriter& operator=(const OverlayWriter&) = delete;

  void touch(const std::string& port);
  void put(const std::string& datapath, ofproto::Origin origin, const dp::FdbKey& key, const dp::FdbTarget& target);
  // The station that has sent here meanwhile is learned where it did: it is not to be unknown until it sends again.
  void withdraw(const std::string& datapath, ofproto::Origin origin, const dp::FdbKey& key);

  // --- stations of this host ---
  void here(const std::string& datapath, const dp::FdbKey& key, dp::PortNo port);
  void not_here(const std::string& datapath, const dp::FdbKey& key);

 private:
  struct News {
    ofproto::Origin origin;
    dp::FdbKey key;
    std::optional<dp::FdbTarget> target;  // nothing: withdrawn
    dp::PortNo here = dp::PortNo::none;
  };
  void write();

  std::map<std::string, ofproto::Handler*> handlers_;
  LookAgain look_again_;
  std::map<std::string, std::vector<News>> pending_;                   // by datapath
  std::map<std::pair<std::string, dp::FdbKey>, dp::PortNo> stations_;  // that are here, or want to be
  std::set<std::string> touched_;
  LogLimit complaints_;
  overlay::Soon soon_;
};

}  // namespace heddle::vswitchd
