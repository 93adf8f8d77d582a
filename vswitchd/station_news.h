// SPDX-License-Identifier: Apache-2.0
// News of local stations, from the handler thread of one datapath to the control thread. Nothing is kept until start().
//
// Owner: the datapath's Provider. take() and start() on the control thread; the observer's calls on the handler's.
// Bounded: when more than kMost wait, all are dropped, and the taker has to read the forwarding database anew.
#pragma once

#include <functional>
#include <mutex>
#include <vector>

#include "ofproto-lite/fdb_observer.h"

namespace heddle::vswitchd {

class StationNews final : public ofproto::FdbObserver {
 public:
  static constexpr std::size_t kMost = 262'144;
  struct Item {
    dp::FdbKey key;
    dp::PortNo port = dp::PortNo::none;
    bool here = false;   // the station is on a port of this host, or has sent by one
    bool fixed = false;  // an operator says so
  };
  struct Taken {
    std::vector<Item> items;
    bool all_lost = false;
  };

  // `wake` is called on the handler thread when news wait, once until take().
  void start(std::function<void()> wake);
  void stop() { start({}); }
  [[nodiscard]] Taken take();

  void appeared(const ofproto::LocalStation& now) override { add(now, true); }
  void moved(const ofproto::LocalStation& /*before*/, const ofproto::LocalStation& now) override { add(now, true); }
  void gone(const ofproto::LocalStation& before) override { add(before, false); }
  void claimed(const ofproto::LocalStation& now) override { add(now, true); }

 private:
  void add(const ofproto::LocalStation& station, bool here);

  std::mutex mutex_;
  std::function<void()> wake_;  // empty: nobody takes
  Taken waiting_;
};

}  // namespace heddle::vswitchd
