// SPDX-License-Identifier: Apache-2.0
// A frame's way through the switch, on one worker: decapsulated where it comes from an underlay, decided about by the
// bridge of its port, emitted as decided. Puts the parts together that do this, each with state of its own.
//
// Owned by a Worker, on whose thread everything runs, under one RCU guard for a round: begin(), any number of input()
// and resume(), flush(). Takes no lock, holds no configuration of its own. Nothing fails: a frame that goes nowhere is
// counted.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

#include "datapath/user/emitter.h"
#include "datapath/user/mirrors.h"
#include "datapath/user/normal_path.h"
#include "datapath/user/tunnel_input.h"

namespace heddle::dp {

class Forwarder {
 public:
  // `learned`: wakes the FDB authority when there are reports of unknown sources.
  Forwarder(unsigned worker, FramePool& pool, const TunnelPaths& paths, Mailboxes& mail, Signal& learned);
  Forwarder(const Forwarder&) = delete;
  Forwarder& operator=(const Forwarder&) = delete;

  // `now`: on a clock that all workers and all users of the FDB (in seconds) share.
  void begin(const Config& config, std::chrono::nanoseconds now);
  // Frames received on the device in slot `io`.
  void input(std::uint32_t io, const Batch& batch);
  // A frame that another worker handed over because this one owns its way out.
  void resume(const Handover& item) { queues_.resume(item); }
  // Sends all frames but those that wait for their rate.
  void flush();
  // When the next frame that waits for its rate is due; flush() sends it. Nothing when none waits.
  [[nodiscard]] std::optional<std::chrono::nanoseconds> next_release() const { return queues_.next_release(); }
  // Asks the kernel once more to take the frames that it has not taken; true while some are left.
  bool nudge() { return queues_.nudge(); }

  [[nodiscard]] FrameCache& cache() { return cache_; }

 private:
  void bridge(FrameRef f, const PortConf& port, const IpAddr* outer_source);
  [[nodiscard]] std::optional<Drop> refused(FrameRef f, const PortConf& port);

  Round round_;
  FrameCache cache_;
  FrameChecksums checksums_;
  SourceReports reports_;
  OutputQueues queues_;
  PatchQueue patches_;
  TunnelInput tunnel_input_;
  TunnelOutput tunnel_output_;
  NormalPath normal_;
  Mirrors mirrors_;
  Emitter emitter_;
};

}  // namespace heddle::dp
