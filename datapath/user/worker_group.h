// SPDX-License-Identifier: Apache-2.0
// The worker threads with everything that packets need: packet memory, the sockets that share it, the configuration
// that workers read. None of it is had before start(): a host may have all its bridges in another datapath.
//
// Owner: UserDatapath. Control thread. Objects that the configuration names (PortIo, PortShared) belong to others; they
// may go after stop().
#pragma once

#include <memory>
#include <vector>

#include "base/clock.h"
#include "base/rcu.h"
#include "datapath/user/config_draft.h"
#include "datapath/user/frames.h"
#include "datapath/user/mailbox.h"
#include "datapath/user/packet_shares.h"
#include "datapath/user/signal.h"
#include "datapath/user/worker.h"
#include "datapath/user/xsk.h"

namespace heddle::dp {

class WorkerGroup {
 public:
  struct Options {
    unsigned workers = 1;
    std::size_t frames = limits::kFrames;
  };
  // Errc::invalid: options that can never work.
  static Result<> check(const Options& options);

  // Workers read `paths` and raise `learned` after a learn event. `epoch` is the origin of their clock.
  WorkerGroup(const Options& options, const TunnelPaths& paths, Signal& learned, TimePoint epoch);
  ~WorkerGroup() { stop(); }
  WorkerGroup(const WorkerGroup&) = delete;
  WorkerGroup& operator=(const WorkerGroup&) = delete;

  // Takes the memory and starts the threads, unless they run. Fails when the system has not got them; a later call
  // tries again.
  Result<> start();
  [[nodiscard]] bool running() const { return draft_ != nullptr; }
  // Ends the threads, and lets go of their configuration. No start() follows.
  void stop();

  [[nodiscard]] unsigned size() const { return options_.workers; }

  // --- while it runs ---
  [[nodiscard]] ConfigDraft& draft() { return *draft_; }
  [[nodiscard]] XskFactory& sockets() { return *sockets_; }
  [[nodiscard]] PacketShares& shares() { return *shares_; }

 private:
  Options options_;
  const TunnelPaths& paths_;
  Signal& learned_;
  TimePoint epoch_;
  std::unique_ptr<FramePool> pool_;
  std::unique_ptr<XskFactory> sockets_;
  std::unique_ptr<PacketShares> shares_;
  RcuPtr<Config> config_;
  std::unique_ptr<Mailboxes> mail_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::unique_ptr<ConfigDraft> draft_;
};

}  // namespace heddle::dp
