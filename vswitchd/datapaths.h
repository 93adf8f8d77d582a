// SPDX-License-Identifier: Apache-2.0
// The datapaths that this host can have, each with the handler and the switch that stand on it.
//
// Owner: main. Threads: control only (each handler has a thread of its own between start() and the end). What a
// datapath leaves in the kernel when this object goes is its affair, see Datapath in datapath/datapath.h; clean_up()
// has it leave nothing.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "datapath/control/group_memberships.h"
#include "datapath/datapath.h"
#include "ofproto-lite/handler.h"
#include "ofproto-lite/switch.h"
#include "vswitchd/desired.h"
#include "vswitchd/options.h"
#include "vswitchd/overlay_service.h"
#include "vswitchd/station_news.h"

namespace heddle::vswitchd {

// Marks devices and pins as those of the daemon on this run directory, whatever name it is called by. It is a device's
// alias, so `ip link` shows it.
std::string owner_text(const std::string& rundir);

class Datapaths {
 public:
  // Makes what can be had. Fails when the user-space datapath cannot; that the kernel does not allow the other is a
  // warning in the log and a reason in offer(). `time` must outlive the object. `keep_socket`: see GroupMemberships.
  static Result<std::unique_ptr<Datapaths>> make(const Options& options, const TimeSource& time,
                                                 const dp::GroupMemberships::Keep& keep_socket);
  // Starts the handlers.
  Result<> start();

  // By canonical type, as the next four.
  [[nodiscard]] std::map<std::string, ofproto::Switch*> switches() const;
  [[nodiscard]] std::map<std::string, dp::Datapath*> datapaths() const;
  [[nodiscard]] std::map<std::string, OverlayService::Datapath> for_overlay() const;
  [[nodiscard]] DatapathOffer offer() const;

  // The first configuration is in.
  void settle();
  // Removes all bridges, ends the handlers and has every datapath leave nothing. After it only the destructor may be
  // called, also of switches() and datapaths().
  void clean_up();

 private:
  struct Provider {
    Provider(std::unique_ptr<dp::Datapath> made, const TimeSource& time)
        : datapath(std::move(made)), handler(datapath->stations(), time), sw(*datapath, handler) {
      handler.add_observer(news);
    }
    std::unique_ptr<dp::Datapath> datapath;
    StationNews news;  // outlives the handler
    ofproto::Handler handler;
    ofproto::Switch sw;
  };

  std::map<std::string, std::unique_ptr<Provider>> providers_;
  std::string standard_;
  std::map<std::string, std::string> why_not_;
};

}  // namespace heddle::vswitchd
