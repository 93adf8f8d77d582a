// SPDX-License-Identifier: Apache-2.0
// The event loop's standing orders: reconcile when the database asks for it, take note of devices, try again what has
// failed, refresh counters.
//
// Reconciling happens in pieces of some milliseconds, so that clients of the database are answered in between, however
// many ports there are. Owner: the Service; all that it is given must outlive it. Threads: control only.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <list>
#include <map>
#include <set>
#include <string>

#include "base/clock.h"
#include "datapath/datapath.h"
#include "vswitchd/reconcile.h"

namespace heddle::vswitchd {

class Loop {
 public:
  Loop(boost::asio::io_context& io, Reconciler& reconciler, const std::map<std::string, dp::Datapath*>& datapaths);
  ~Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  // Begins with a first reconcile, and calls `applied` when that is done. News of devices wait until then.
  void start(std::function<void()> applied);
  // Has these ports looked at again soon.
  void look_again(const std::set<std::string>& ports);
  // From now on nothing asks switches or datapaths.
  void end();

 private:
  struct Source {
    std::string type;
    dp::Datapath& datapath;
    boost::asio::posix::stream_descriptor news;
  };

  void want();
  void reconcile();
  void step();
  void finished();
  void wait_for_devices(Source& source);
  void wait_for_causes();
  void wait_for_statistics();
  void give_back_memory();

  boost::asio::io_context& io_;
  Reconciler& reconciler_;
  std::list<Source> sources_;
  boost::asio::steady_timer timer_;
  boost::asio::steady_timer rest_;
  boost::asio::steady_timer retry_;
  std::function<void()> applied_;  // empty: it has been called
  Duration took_{};                // the last reconcile, or the present one so far; without what came in between
  std::size_t unused_ = 0;         // bytes of the heap that are free, by the last look
  Duration looked_{};              // the thread's processor time at that look
  bool posted_ = false;
  bool resting_ = false;
  bool running_ = false;
  bool again_ = false;  // wanted while running_
  bool ended_ = false;
};

}  // namespace heddle::vswitchd
