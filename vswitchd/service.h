// SPDX-License-Identifier: Apache-2.0
// The daemon at work: its parts, built in the order in which they can be had, and the event loop that runs them.
//
// First the database is served, on db.sock and wherever else it is asked for: its clients are answered from then on,
// also while the rest comes, which takes a second or, with thousands of ports, more. Then the datapaths are made, on a
// thread of their own; then the configuration is applied for the first time, in pieces (loop.h). Then the daemon is
// ready: what an earlier one left and nobody asks for goes, commands on the control socket are run, the pid file is
// written and the starter told. Whoever waits for a change to be applied (cur_cfg) waits until then, too.
//
// Owner: main. Threads: run() is the control thread; the one that makes the datapaths ends before anything is done with
// them. Fails when a socket or a datapath cannot be had. A signal or the command "exit" ends run() at any time.
#pragma once

#include <memory>

#include "base/result.h"
#include "ovsdb/database.h"
#include "vswitchd/daemon.h"
#include "vswitchd/options.h"
#include "vswitchd/service_manager.h"

namespace heddle::vswitchd {

class Service {
 public:
  // All must outlive it. Privileges have been dropped: threads begin here.
  Service(const Options& options, ovsdb::Database& database, Starter& starter, KeptSockets& sockets);
  ~Service();
  Service(const Service&) = delete;
  Service& operator=(const Service&) = delete;

  Result<> run();

 private:
  class Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace heddle::vswitchd
